/** Which of a network's subnets an address is in; they do not overlap. */
import { contains, parseCidr } from './cidr.ts';
import { type Ip, parseIp } from './ip.ts';
import type { SubnetSpec } from './records.ts';

/** Undefined when it is in none, or is no address. */
export function subnetWith(subnets: readonly SubnetSpec[], address: string | Ip): SubnetSpec | undefined {
  const ip = typeof address === 'string' ? parseIp(address) : address;
  if (ip === undefined) return undefined;
  return subnets.find(({ cidr }) => {
    const block = parseCidr(cidr);
    return block !== undefined && contains(block, ip);
  });
}
