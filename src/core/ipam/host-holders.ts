/** What members' hosts hold of the address space: addresses that they need, and where their routes lead. */
import { blockOf, type Cidr, canonical, overlaps, parseCidr } from '../cidr.ts';
import { formatIp, parseIp } from '../ip.ts';
import type { NetworkRecord, NodeRecord } from '../records.ts';
import type { Holder } from './subnet.ts';

export type HostNeeds = Pick<
  NodeRecord,
  'name' | 'left' | 'advertiseAddress' | 'vtep' | 'neededAddresses' | 'hostRoutes' | 'linkRoutes'
>;

/**
 * Addresses first, so that they are what a refusal names. What does not parse holds nothing, and neither does a default
 * route, also one in two halves (0.0.0.0/1 and 128.0.0.0/1, as VPNs make them), or 2000::/3, all of IPv6's that is given out.
 */
export function hostHolders(nodes: Iterable<HostNeeds>): Holder[] {
  const addresses: Holder[] = [];
  const routes: Holder[] = [];
  for (const node of nodes) {
    if (node.left) continue;
    const host = `host ${node.name}`;
    for (const [address, what] of [
      [node.advertiseAddress, 'the advertise address'],
      [node.vtep, 'the data path address'],
      ...(node.neededAddresses ?? []).map(({ address, what }) => [address, `${articleOf(what)} ${what}`] as const),
    ] as const) {
      const ip = parseIp(address);
      if (ip === undefined) continue;
      addresses.push({ block: blockOf(ip), who: `${what} of ${host}`, kind: 'address' });
    }
    const links = new Set(node.linkRoutes ?? []);
    for (const route of node.hostRoutes) {
      const block = parseCidr(route);
      if (!block || isEverything(block)) continue;
      const kind = links.has(route) ? 'link' : 'route';
      routes.push({ block: canonical(block), who: `a route of ${host}`, kind });
    }
  }
  return [...addresses, ...routes];
}

/** Up to this prefix a route means everything. */
const MOST_OF_ALL = { 4: 1, 6: 3 } as const;

/** Of a default route, also of one in halves. */
export function isEverything({ ip, prefix }: Cidr): boolean {
  return prefix <= MOST_OF_ALL[ip.family];
}

/**
 * In words, what a host needs and a network has taken from it: the need came after the network, or with the host. The
 * address of the network's own gateway is no need: a host may well ask the network's responder.
 */
export function coveredNeeds(node: HostNeeds, networks: Iterable<NetworkRecord>): string[] {
  const needs = hostHolders([node]).filter(({ kind }) => kind === 'address');
  const problems: string[] = [];
  for (const { name, internal, subnets } of networks) {
    if (internal) continue;
    for (const { cidr, gateway } of subnets) {
      const block = parseCidr(cidr);
      const taken = needs.find((need) => block && overlaps(block, need.block) && formatIp(need.block.ip) !== gateway);
      if (!taken) continue;
      problems.push(
        `network ${name} (${cidr}) covers ${formatIp(taken.block.ip)}, ${taken.who}: a host cannot reach that while a container there is on the network; make another network with a --subnet elsewhere, and move its containers`,
      );
    }
  }
  return problems;
}

function articleOf(what: string): string {
  return /^[aeiou]/.test(what) ? 'an' : 'a';
}
