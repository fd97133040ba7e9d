/** By which of a container's endpoints its default routes go. */
import type { LocalEndpoint } from './container.ts';
import { type Family, familyOfAddress } from './ip.ts';
import type { EndpointRecord, NetworkRecord } from './records.ts';

/** Families in which a container's default route goes through an endpoint. */
export type Routed = Readonly<Record<Family, boolean>>;

export const NOWHERE: Routed = { 4: false, 6: false };

/** Endpoints of a network. */
interface OfNetwork {
  readonly endpoints: readonly LocalEndpoint[];
}

interface Candidate {
  readonly endpoint: LocalEndpoint;
  readonly network: NetworkRecord;
}

/**
 * One endpoint per container and family carries its default route: highest priority, then first by network name. Returns of
 * an endpoint of a network with a way out in which families it does.
 */
export function electDefaultRoutes(
  byNetwork: ReadonlyMap<NetworkRecord, OfNetwork>,
): (endpoint: LocalEndpoint) => Routed {
  const first = new Map<string, LocalEndpoint>();
  /** Of containers on several such networks, of which there are few. */
  const candidates = new Map<string, Candidate[]>();
  for (const [network, { endpoints }] of byNetwork) {
    if (network.internal) continue;
    for (const endpoint of endpoints) {
      const { identity } = endpoint.container;
      const other = first.get(identity);
      if (!other) first.set(identity, endpoint);
      else {
        const all = candidates.get(identity) ?? [{ endpoint: other, network: networkOf(other, byNetwork) }];
        candidates.set(identity, [...all, { endpoint, network }]);
      }
    }
  }
  const elected = new Map<string, Readonly<Record<Family, LocalEndpoint | undefined>>>();
  for (const [identity, all] of candidates) elected.set(identity, { 4: electedOf(all, 4), 6: electedOf(all, 6) });
  return (endpoint) => {
    const own = familiesOf(endpoint.record);
    const of = elected.get(endpoint.container.identity);
    return of ? waysOf(own[4] && of[4] === endpoint, own[6] && of[6] === endpoint) : own;
  };
}

function networkOf({ record }: LocalEndpoint, networks: ReadonlyMap<NetworkRecord, unknown>): NetworkRecord {
  return [...networks.keys()].find(({ id }) => id === record.networkId)!;
}

function electedOf(all: readonly Candidate[], family: Family): LocalEndpoint | undefined {
  let elected: Candidate | undefined;
  for (const candidate of all) {
    if (!familiesOf(candidate.endpoint.record)[family]) continue;
    if (!elected || precedes(candidate, elected)) elected = candidate;
  }
  return elected?.endpoint;
}

function familiesOf({ addresses }: EndpointRecord): Routed {
  const has = { 4: false, 6: false };
  for (const { ip } of addresses) has[familyOfAddress(ip)] = true;
  return waysOf(has[4], has[6]);
}

function waysOf(ipv4: boolean, ipv6: boolean): Routed {
  if (ipv4) return ipv6 ? BOTH : IPV4_ALONE;
  return ipv6 ? IPV6_ALONE : NOWHERE;
}

const IPV4_ALONE: Routed = { 4: true, 6: false };
const IPV6_ALONE: Routed = { 4: false, 6: true };
const BOTH: Routed = { 4: true, 6: true };

function precedes(a: Candidate, b: Candidate): boolean {
  const [first, second] = [a, b].map(({ endpoint }) => endpoint.gwPriority ?? 0) as [number, number];
  if (first !== second) return first > second;
  if (a.network.name !== b.network.name) return a.network.name < b.network.name;
  return a.endpoint.ifname < b.endpoint.ifname;
}
