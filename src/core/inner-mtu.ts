/**
 * The MTU inside a network: what the narrowest underlay of any member leaves, so that every pair of endpoints agrees.
 * Options win: `mtu` is the inner value, Docker's `com.docker.network.driver.mtu` is the underlay's.
 */
import type { ClusterView } from './cluster-view.ts';
import { OverlaydError } from './errors.ts';
import { isIpv4 } from './ip.ts';
import { networkSettings, VXLAN_OVERHEAD_BYTES } from './network-options.ts';
import type { NetworkRecord, NodeRecord } from './records.ts';
import { hasFamily } from './subnets.ts';

type Members = Pick<ClusterView, 'nodes'>;

type OfNetwork = Pick<NetworkRecord, 'options'> & Partial<Pick<NetworkRecord, 'subnets'>>;

const DEFAULT_UNDERLAY_BYTES = 1500;
/** What every host must take of IPv4 (RFC 791), and every link of IPv6 (RFC 8200, section 5): Linux has none on smaller ones. */
const LEAST_BYTES = { 4: 576, 6: 1_280 } as const;

/**
 * Bytes. Members that left do not count. A network with IPv6 keeps what IPv6 needs where the underlay leaves less: the links
 * would lose their addresses.
 */
export function innerMtu(view: Members, network: OfNetwork): number {
  const least = LEAST_BYTES[hasFamily(network, 6) ? 6 : 4];
  return Math.max(least, networkSettings(network).innerMtu ?? leftInside(view, network));
}

/** Throws `invalid-argument` for a network with IPv6 that would have less than IPv6 needs. */
export function refuseTooSmallMtu(view: Members, network: Pick<NetworkRecord, 'options'>): void {
  const { innerMtu: inner, underlayMtu: underlay } = networkSettings(network);
  const mtu = inner ?? leftInside(view, network);
  if (mtu >= LEAST_BYTES[6]) return;
  const needs = `IPv6 needs an MTU of ${LEAST_BYTES[6]} (RFC 8200)`;
  const least = narrowest(view);
  throw new OverlaydError(
    'invalid-argument',
    inner !== undefined || underlay !== undefined || !least
      ? `${needs}, and the option gives the network one of ${mtu}; give a larger one, or leave the option out`
      : `${needs}, and ${describeLimit(least)} leaves ${mtu} inside of networks; raise the MTU there, or leave IPv6 out`,
  );
}

/** What the underlay leaves, as the option says it or as it is. */
function leftInside(view: Members, network: Pick<NetworkRecord, 'options'>): number {
  const { underlayMtu = narrowest(view)?.underlayMtu ?? DEFAULT_UNDERLAY_BYTES } = networkSettings(network);
  return insideOf(view, underlayMtu);
}

/** The member whose underlay makes it smaller than all others' would; undefined where that is alike, or by an option. */
export function mtuLimit(view: Members, network: Pick<NetworkRecord, 'options'>): NodeRecord | undefined {
  const { innerMtu: inner, underlayMtu: underlay } = networkSettings(network);
  if (inner !== undefined || underlay !== undefined) return undefined;
  const least = narrowest(view);
  const isLarger = ({ left, underlayMtu }: NodeRecord) => !left && underlayMtu > least!.underlayMtu;
  return [...view.nodes()].some(isLarger) ? least : undefined;
}

/** In words, e.g. `h2 (link eth0, 1400)`. */
export function describeLimit({ name, underlayLimit, underlayMtu }: NodeRecord): string {
  return `${name} (${underlayLimit === undefined ? '' : `${underlayLimit}, `}${underlayMtu})`;
}

/** In words, of networks that ask for more than the narrowest underlay carries by now: by their option, or for IPv6. */
export function mtuProblems(view: Members, networks: readonly NetworkRecord[]): readonly string[] {
  const least = narrowest(view);
  if (!least) return [];
  const most = insideOf(view, least.underlayMtu);
  return networks.flatMap((network) => {
    const mtu = innerMtu(view, network);
    if (mtu <= most) return [];
    const isAsked = mtu === networkSettings(network).innerMtu || leftInside(view, network) > most;
    const [why, what] = isAsked
      ? ['by its option', 'may get lost; make the network anew without the option, or raise the MTU there']
      : ['because IPv6 needs it', 'go in fragments, or get lost where those are dropped; raise the MTU there'];
    return `network ${network.name} has an MTU of ${mtu} ${why}, and ${describeLimit(least)} leaves ${most}: larger packets from or to that host ${what}`;
  });
}

function insideOf(view: Members, underlay: number): number {
  return Math.max(LEAST_BYTES[4], underlay - overheadOf(view));
}

/** Bytes that the tunnels take: more where one of them is over IPv6. */
export function overheadOf(view: Members): number {
  for (const { left, vtep } of view.nodes()) if (!left && !isIpv4(vtep)) return VXLAN_OVERHEAD_BYTES[6];
  return VXLAN_OVERHEAD_BYTES[4];
}

/** The first by name of those with the least. */
function narrowest(view: Members): NodeRecord | undefined {
  let least: NodeRecord | undefined;
  for (const node of view.nodes()) {
    if (node.left || (least && node.underlayMtu > least.underlayMtu)) continue;
    if (!least || node.underlayMtu < least.underlayMtu || node.name < least.name) least = node;
  }
  return least;
}
