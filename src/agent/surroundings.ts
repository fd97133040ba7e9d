/** What a host holds of the address space besides its own addresses, as its node record publishes it. */
import { DEFAULT_ROUTE, parseAddress } from '../core/ip.ts';
import type { NeededAddress, NodeRecord } from '../core/records.ts';
import type { HostFacts } from '../ports.ts';

export type Surroundings = Required<Pick<NodeRecord, 'hostRoutes' | 'linkRoutes' | 'neededAddresses'>>;

/** A host with a routing table of its own (BGP) would not fit into a record; automatic subnets see this many. */
const MAX_ROUTES = 256;
const MAX_NEEDED = 64;

/** `storeEndpoints`: URLs at which this host reaches etcd. Everything each once, in an order that stays. */
export async function lookAround(
  facts: Pick<HostFacts, 'routes' | 'nameServers' | 'lookUp'>,
  storeEndpoints: readonly string[],
): Promise<Surroundings> {
  const [routes, nameServers, stores] = await Promise.all([
    facts.routes(),
    facts.nameServers(),
    Promise.all(storeEndpoints.map((endpoint) => storeAddresses(facts, endpoint))),
  ]);
  const defaults = routes.filter(({ destination }) => destination === DEFAULT_ROUTE);
  const others = routes.filter(({ destination }) => destination !== DEFAULT_ROUTE);
  const needed = new Map<string, string>();
  for (const [what, addresses] of [
    ['name server', nameServers],
    ['default gateway', defaults.flatMap(({ gateways }) => gateways)],
    ['etcd server', stores.flat()],
    ['gateway', others.flatMap(({ gateways }) => gateways)],
  ] as const) {
    for (const address of [...addresses].sort()) if (!needed.has(address)) needed.set(address, what);
  }
  const hostRoutes = distinct(others.map(({ destination }) => destination)).slice(0, MAX_ROUTES);
  const onLink = new Set(others.filter((route) => route.onLink).map(({ destination }) => destination));
  return {
    hostRoutes,
    linkRoutes: hostRoutes.filter((destination) => onLink.has(destination)),
    neededAddresses: [...needed].slice(0, MAX_NEEDED).map(([address, what]): NeededAddress => ({ address, what })),
  };
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

async function storeAddresses({ lookUp }: Pick<HostFacts, 'lookUp'>, endpoint: string): Promise<readonly string[]> {
  const { hostname } = new URL(endpoint);
  if (parseAddress(hostname) === undefined) return lookUp(hostname);
  return hostname.startsWith('127.') ? [] : [hostname];
}

function distinct(texts: readonly string[]): string[] {
  return [...new Set(texts)].sort();
}
