/** Automatic subnets of IPv6: a /64 each (RFC 4291, section 2.5.4) of the cluster's own /48 (RFC 4193). */
import { formatCidr, requireCidr } from '../cidr.ts';
import type { Pool } from './subnet.ts';

const SUBNET_BITS = 64;

/**
 * A /48 for one cluster, that nobody else has as like as not: the 40 bits behind `fd` are by chance (RFC 4193, section 3.2).
 * So networks of two clusters can be joined one day, and meet no route that a host has.
 */
export function drawUlaPrefix(random: { readonly hex: (bytes: number) => string }): string {
  const hex = `fd${random.hex(5)}`;
  return formatCidr(requireCidr(`${hex.slice(0, 4)}:${hex.slice(4, 8)}:${hex.slice(8)}::/48`, 'prefix'));
}

export function ulaPools(ulaPrefix: string): readonly Pool[] {
  return [{ base: ulaPrefix, prefix: SUBNET_BITS }];
}
