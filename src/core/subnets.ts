/** A network's subnets, which do not overlap: of which families they are, and which of them an address is in. */
import { contains, parseCidr } from './cidr.ts';
import { type Family, type Ip, parseIp } from './ip.ts';
import type { SubnetSpec } from './records.ts';

/** A network has the families of its subnets, and only those. */
export function hasFamily(
  { subnets = [] }: { readonly subnets?: readonly Pick<SubnetSpec, 'cidr'>[] },
  family: Family,
): boolean {
  return subnets.some(({ cidr }) => cidr.includes(':') === (family === 6));
}

/** Undefined when it is in none, or is no address. */
export function subnetWith(subnets: readonly SubnetSpec[], address: string | Ip): SubnetSpec | undefined {
  const ip = typeof address === 'string' ? parseIp(address) : address;
  if (ip === undefined) return undefined;
  return subnets.find(({ cidr }) => {
    const block = parseCidr(cidr);
    return block !== undefined && contains(block, ip);
  });
}
