/** How many addresses of a network are what, without a look at each: what `countAddresses` counts anew. */
import { contains, requireCidr, sizeOf } from '../cidr.ts';
import type { ClusterView } from '../cluster-view.ts';
import type { Family } from '../ip.ts';
import { parseIp } from '../ip.ts';
import type { NetworkRecord, SubnetSpec } from '../records.ts';
import { subnetsOf } from '../subnets.ts';
import { type AddressCounts, countable, reservedAddresses } from './address.ts';

type Counted = Pick<ClusterView, 'addresses' | 'claims' | 'quarantine' | 'subnetTally'>;

/** Of all its subnets of that family. */
export function familyCounts(view: Counted, { id, subnets }: Pick<NetworkRecord, 'id' | 'subnets'>, family: Family) {
  return addressCounts(view, id, subnetsOf(subnets, family));
}

/** Of subnets of the network, all together. Scales: a look at what no endpoint gets of each, which is a few addresses. */
export function addressCounts(view: Counted, networkId: string, subnets: readonly SubnetSpec[]): AddressCounts {
  const tallies = subnets.map(({ cidr }) => view.subnetTally(networkId, cidr));
  const blocks = subnets.map(({ cidr }) => requireCidr(cidr, 'subnet'));
  const total = blocks.reduce((sum, block) => sum + sizeOf(block), 0n);
  const used = tallies.reduce((sum, { taken }) => sum + taken, 0);
  let quarantined = tallies.reduce((sum, tally) => sum + tally.quarantined, 0);
  let kept = tallies.reduce((sum, tally) => sum + tally.kept, 0);
  // What is several of it counts once: as taken, else as reserved.
  const [endpoints, claims, quarantine] = [
    view.addresses(networkId),
    view.claims(networkId),
    view.quarantine(networkId),
  ];
  const names = new Set(subnets.flatMap((subnet) => [...reservedAddresses(subnet).keys()]));
  const reserved = [...names].filter((address) => !endpoints.has(address) && !claims.has(address));
  for (const address of reserved) {
    const resting = quarantine.get(address);
    const ip = parseIp(address);
    if (!resting || !ip || !blocks.some((block) => contains(block, ip))) continue;
    if (resting.keptFor) kept--;
    else quarantined--;
  }
  const free = total - BigInt(used + reserved.length + quarantined + kept);
  return { ...{ total: countable(total), used, reserved: reserved.length, quarantined, kept }, free: countable(free) };
}
