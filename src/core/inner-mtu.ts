/**
 * The MTU inside a network: what the narrowest underlay of any member leaves, so that every pair of endpoints agrees.
 * Options win: `mtu` is the inner value, Docker's `com.docker.network.driver.mtu` is the underlay's.
 */
import type { ClusterView } from './cluster-view.ts';
import { isIpv4 } from './ip.ts';
import { networkSettings, VXLAN_OVERHEAD_BYTES } from './network-options.ts';
import type { NetworkRecord, NodeRecord } from './records.ts';

type Members = Pick<ClusterView, 'nodes'>;

const DEFAULT_UNDERLAY_BYTES = 1500;
/** What every IPv4 host must take (RFC 791). */
const LEAST_BYTES = 576;

/** Bytes. Members that left do not count. */
export function innerMtu(view: Members, network: Pick<NetworkRecord, 'options'>): number {
  const { innerMtu: inner, underlayMtu: underlay = narrowest(view)?.underlayMtu ?? DEFAULT_UNDERLAY_BYTES } =
    networkSettings(network);
  return inner ?? insideOf(view, underlay);
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

/** In words, of networks whose option asks for more than the narrowest underlay carries by now. */
export function mtuProblems(view: Members, networks: readonly NetworkRecord[]): readonly string[] {
  const least = narrowest(view);
  if (!least) return [];
  const most = insideOf(view, least.underlayMtu);
  return networks.flatMap((network) => {
    const mtu = innerMtu(view, network);
    return mtu > most
      ? `network ${network.name} has an MTU of ${mtu} by its option, and ${describeLimit(least)} leaves ${most}: larger packets from or to that host may get lost; make the network anew without the option, or raise the MTU there`
      : [];
  });
}

function insideOf(view: Members, underlay: number): number {
  return Math.max(LEAST_BYTES, underlay - overheadOf(view));
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
