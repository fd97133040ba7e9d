/** A network's subnets, which do not overlap: of which families they are, and which of them an address is in. */
import { contains, parseCidr } from './cidr.ts';
import { FAMILIES, type Family, type Ip, parseIp } from './ip.ts';
import type { SubnetSpec } from './records.ts';

/** A network has the families of its subnets, and only those. */
export function hasFamily(
  { subnets = [] }: { readonly subnets?: readonly Pick<SubnetSpec, 'cidr'>[] },
  family: Family,
): boolean {
  return subnets.some((subnet) => isOf(subnet, family));
}

/** IPv4 before IPv6, whatever the order of the subnets. */
export function familiesOf(network: { readonly subnets: readonly Pick<SubnetSpec, 'cidr'>[] }): readonly Family[] {
  return FAMILIES.filter((family) => hasFamily(network, family));
}

export function subnetsOf<T extends Pick<SubnetSpec, 'cidr'>>(subnets: readonly T[], family: Family): readonly T[] {
  return subnets.filter((subnet) => isOf(subnet, family));
}

function isOf({ cidr }: Pick<SubnetSpec, 'cidr'>, family: Family): boolean {
  return cidr.includes(':') === (family === 6);
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
