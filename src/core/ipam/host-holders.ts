/** What members' hosts hold of the address space: addresses that they need, and where their routes lead. */
import { canonical, parseAddress, parseCidr } from '../ip.ts';
import type { NodeRecord } from '../records.ts';
import type { Holder } from './subnet.ts';

export type HostNeeds = Pick<
  NodeRecord,
  'name' | 'left' | 'advertiseAddress' | 'vtep' | 'neededAddresses' | 'hostRoutes' | 'linkRoutes'
>;

/**
 * Addresses first, so that they are what a refusal names. What does not parse holds nothing, and neither does a default
 * route, also one in two halves (0.0.0.0/1 and 128.0.0.0/1, as VPNs make them).
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
      const value = parseAddress(address);
      if (value === undefined) continue;
      addresses.push({ block: { address: value, prefix: 32 }, who: `${what} of ${host}`, kind: 'address' });
    }
    const links = new Set(node.linkRoutes ?? []);
    for (const route of node.hostRoutes) {
      const block = parseCidr(route);
      if (!block || block.prefix <= 1) continue;
      const kind = links.has(route) ? 'link' : 'route';
      routes.push({ block: canonical(block), who: `a route of ${host}`, kind });
    }
  }
  return [...addresses, ...routes];
}

function articleOf(what: string): string {
  return /^[aeiou]/.test(what) ? 'an' : 'a';
}
