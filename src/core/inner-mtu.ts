/**
 * The MTU inside a network: what the narrowest underlay of any member leaves, so that every pair of endpoints agrees.
 * Options win: `mtu` is the inner value, Docker's `com.docker.network.driver.mtu` is the underlay's.
 */
import type { ClusterView } from './cluster-view.ts';
import { OverlaydError } from './errors.ts';
import { familyOfAddress } from './ip.ts';
import { networkSettings } from './network-options.ts';
import type { NetworkRecord, NodeRecord } from './records.ts';
import { hasFamily } from './subnets.ts';
import { type Backend, backendOf, insideOf } from './underlay.ts';

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
  return innerMtus(view)(network);
}

/** The same of several networks at one moment: members are gone through once, however many networks there are. */
export function innerMtus(view: Members): (network: OfNetwork) => number {
  const limits = limitsOf(view);
  return (network) => {
    const least = LEAST_BYTES[hasFamily(network, 6) ? 6 : 4];
    return Math.max(least, networkSettings(network).innerMtu ?? leftInside(limits, network));
  };
}

/** Throws `invalid-argument` for a network with IPv6 that would have less than IPv6 needs. */
export function refuseTooSmallMtu(view: Members, network: Pick<NetworkRecord, 'options'>): void {
  const { innerMtu: inner, underlayMtu: underlay } = networkSettings(network);
  const limits = limitsOf(view);
  const mtu = inner ?? leftInside(limits, network);
  if (mtu >= LEAST_BYTES[6]) return;
  const needs = `IPv6 needs an MTU of ${LEAST_BYTES[6]} (RFC 8200)`;
  const { least } = limits(backendOf(networkSettings(network)));
  throw new OverlaydError(
    'invalid-argument',
    inner !== undefined || underlay !== undefined || !least
      ? `${needs}, and the option gives the network one of ${mtu}; give a larger one, or leave the option out`
      : `${needs}, and ${describeLimit(least)} leaves ${mtu} inside of networks; raise the MTU there, or leave IPv6 out`,
  );
}

/**
 * What no member's underlay carries in one piece would hang, not slow down, wherever fragments are dropped. Throws
 * `invalid-argument`.
 */
export function refuseTooLargeMtu(view: Members, network: OfNetwork): void {
  const backend = backendOf(networkSettings(network));
  const most = mostInside(limitsOf(view), backend);
  const asked = innerMtu(view, network);
  if (asked <= most) return;
  const tunnel = backend === 'plain' ? 'VXLAN' : 'WireGuard and VXLAN';
  throw new OverlaydError(
    'invalid-argument',
    `an MTU of ${asked} does not fit: the narrowest way between members leaves ${most} (the rest of its MTU is for ${tunnel}); leave the option out to get that`,
  );
}

/** What the underlay leaves, as the option says it or as it is. */
function leftInside(limits: Limits, network: Pick<NetworkRecord, 'options'>): number {
  const settings = networkSettings(network);
  const backend = backendOf(settings);
  const { underlayMtu = limits(backend).least?.underlayMtu ?? DEFAULT_UNDERLAY_BYTES } = settings;
  return leastInside(limits, backend, underlayMtu);
}

/** What the underlay as it is leaves to a network that says nothing of it. */
function mostInside(limits: Limits, backend: Backend): number {
  return leastInside(limits, backend, limits(backend).least?.underlayMtu ?? DEFAULT_UNDERLAY_BYTES);
}

/** The member whose underlay makes it smaller than all others' would; undefined where that is alike, or by an option. */
export function mtuLimit(view: Members, network: Pick<NetworkRecord, 'options'>): NodeRecord | undefined {
  const settings = networkSettings(network);
  if (settings.innerMtu !== undefined || settings.underlayMtu !== undefined) return undefined;
  const backend = backendOf(settings);
  const { least } = limitsOf(view)(backend);
  return [...membersOf(view, backend)].some(({ underlayMtu }) => underlayMtu > least!.underlayMtu) ? least : undefined;
}

/** In words, e.g. `h2 (link eth0, 1400)`. */
export function describeLimit({ name, underlayLimit, underlayMtu }: NodeRecord): string {
  return `${name} (${underlayLimit === undefined ? '' : `${underlayLimit}, `}${underlayMtu})`;
}

/** In words, of networks that ask for more than the narrowest underlay carries by now: by their option, or for IPv6. */
export function mtuProblems(view: Members, networks: readonly NetworkRecord[]): readonly string[] {
  const limits = limitsOf(view);
  const mtuOf = innerMtus(view);
  return networks.flatMap((network) => {
    const settings = networkSettings(network);
    const backend = backendOf(settings);
    const { least } = limits(backend);
    const most = mostInside(limits, backend);
    const mtu = mtuOf(network);
    if (!least || mtu <= most) return [];
    const isAsked = mtu === settings.innerMtu || leftInside(limits, network) > most;
    const [why, what] = isAsked
      ? ['by its option', 'may get lost; make the network anew without the option, or raise the MTU there']
      : ['because IPv6 needs it', 'go in fragments, or get lost where those are dropped; raise the MTU there'];
    return `network ${network.name} has an MTU of ${mtu} ${why}, and ${describeLimit(least)} leaves ${most}: larger packets from or to that host ${what}`;
  });
}

/** What the members of a backend leave. */
interface Limit {
  /** The first by name of those with the least; undefined: there is none. */
  readonly least: NodeRecord | undefined;
  /** One of the paths may be over IPv6. */
  readonly isIpv6: boolean;
}

type Limits = (backend: Backend) => Limit;

/** Looked for when they are asked for, once. */
function limitsOf(view: Members): Limits {
  const known = new Map<Backend, Limit>();
  return (backend) => {
    const limit = known.get(backend) ?? limitOf(view, backend);
    known.set(backend, limit);
    return limit;
  };
}

/** Of an underlay with that MTU: less where one of the paths is over IPv6. */
function leastInside(limits: Limits, backend: Backend, underlay: number): number {
  return Math.max(LEAST_BYTES[4], insideOf(backend, underlay, limits(backend).isIpv6 ? 6 : 4));
}

/** Those that take part in networks of that backend, or may begin to at any moment. */
function* membersOf(view: Members, backend: Backend): Iterable<NodeRecord> {
  for (const node of view.nodes()) if (!node.left && (backend === 'wireguard' || !node.nat)) yield node;
}

function limitOf(view: Members, backend: Backend): Limit {
  let least: NodeRecord | undefined;
  let isIpv6 = false;
  for (const node of membersOf(view, backend)) {
    isIpv6 ||= familyOfAddress(node.vtep) === 6;
    if (least && node.underlayMtu > least.underlayMtu) continue;
    if (!least || node.underlayMtu < least.underlayMtu || node.name < least.name) least = node;
  }
  return { least, isIpv6 };
}
