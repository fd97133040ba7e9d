/** What a host holds of the address space besides the addresses that members use, as its node record publishes it. */
import { contains, isDefaultRoute, kindOf, parseCidr } from '../../core/cidr.ts';
import type { HostAddress } from '../../core/host-facts.ts';
import { parseHttpUrl } from '../../core/host-port.ts';
import { BITS, FAMILIES, parseIp, requireIp } from '../../core/ip.ts';
import type { NeededAddress, NodeRecord } from '../../core/records.ts';
import type { HostFacts } from '../../ports/host.ts';

export type Surroundings = Required<Pick<NodeRecord, 'hostRoutes' | 'linkRoutes' | 'neededAddresses'>> &
  Pick<NodeRecord, 'hasIpv6'>;

/** A host with a routing table of its own (BGP) would not fit into a record; automatic subnets see this many of a family. */
const MAX_ROUTES = 256;
const MAX_NEEDED = 64;
/** Links whose addresses come and go with containers, virtual machines and Kubernetes' services. */
const PASSING_LINK = /^(veth|vnet|tap|cali|cilium|lxc|kube|ovlwg)/;

/** `storeEndpoints`: URLs at which this host reaches etcd. Everything each once, in an order that stays. */
export async function lookAround(
  facts: Pick<HostFacts, 'addresses' | 'routes' | 'nameServers' | 'lookUp'>,
  storeEndpoints: readonly string[],
): Promise<Surroundings> {
  const [addresses, routes, nameServers, stores] = await Promise.all([
    facts.addresses(),
    facts.routes(),
    facts.nameServers(),
    Promise.all(storeEndpoints.map((endpoint) => storeAddresses(facts, endpoint))),
  ]);
  const defaults = routes.filter(({ destination }) => isDefaultRoute(destination));
  const others = routes.filter(({ destination }) => !isDefaultRoute(destination));
  const destinations = distinct(others.map(({ destination }) => destination));
  const hostRoutes = FAMILIES.flatMap((family) =>
    destinations.filter((destination) => parseCidr(destination)?.ip.family === family).slice(0, MAX_ROUTES),
  );
  const onLink = new Set(others.filter((route) => route.onLink).map(({ destination }) => destination));
  const linkRoutes = hostRoutes.filter((destination) => onLink.has(destination));
  const needed = new Map<string, string>();
  for (const [what, found] of [
    ['name server', nameServers],
    ['default gateway', defaults.flatMap(({ gateways }) => gateways)],
    ['etcd server', stores.flat()],
    ['gateway', others.flatMap(({ gateways }) => gateways)],
    ['address', ownAddresses(addresses, linkRoutes)],
  ] as const) {
    for (const address of [...found].sort()) if (!needed.has(address)) needed.set(address, what);
  }
  return {
    hostRoutes,
    linkRoutes,
    hasIpv6: addresses.some(isUsableIpv6),
    neededAddresses: [...needed].slice(0, MAX_NEEDED).map(([address, what]): NeededAddress => ({ address, what })),
  };
}

export function isUsableIpv6({ address, unfit }: HostAddress): boolean {
  const ip = requireIp(address, 'address');
  return ip.family === 6 && kindOf(ip) !== 'link-local' && unfit !== 'tentative' && unfit !== 'duplicate';
}

/**
 * All that a name has led to so far. A name server may name some of many addresses, others each time, or fail for a while.
 * A record that followed would be written without end: each write of one host has all others look again.
 */
export function remembering(lookUp: HostFacts['lookUp']): HostFacts['lookUp'] {
  const known = new Map<string, readonly string[]>();
  return async (hostName) => {
    const now = await lookUp(hostName);
    const all = distinct([...(known.get(hostName) ?? []), ...now]).slice(0, MAX_NEEDED);
    known.set(hostName, all);
    return all;
  };
}

/**
 * Addresses of the host that no route of a link holds: a /32 or /128 has none, as one on `lo` for BGP. One that lies within
 * a link's route is held by that already, and may move between hosts (keepalived's). Temporary ones are in the link's route.
 */
function ownAddresses(addresses: readonly HostAddress[], linkRoutes: readonly string[]): string[] {
  const held = linkRoutes.flatMap((route) => parseCidr(route) ?? []);
  return addresses
    .filter(({ link }) => !PASSING_LINK.test(link))
    .filter(({ address, prefix, unfit }) => {
      const ip = requireIp(address, 'address');
      if (prefix !== BITS[ip.family] || unfit === 'temporary') return false;
      // No network lies among link-local addresses; our service address does.
      return kindOf(ip) !== 'link-local' && !held.some((block) => contains(block, ip));
    })
    .map(({ address }) => address);
}

async function storeAddresses({ lookUp }: Pick<HostFacts, 'lookUp'>, endpoint: string): Promise<readonly string[]> {
  const { host = '' } = parseHttpUrl(endpoint) ?? {};
  const ip = parseIp(host);
  if (ip === undefined) return lookUp(host);
  return kindOf(ip) === 'loopback' ? [] : [host];
}

function distinct(texts: readonly string[]): string[] {
  return [...new Set(texts)].sort();
}
