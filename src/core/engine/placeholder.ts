/**
 * What stands for the subnet of a network that an engine makes without naming one. The IPAM driver is asked for a pool
 * before anybody says which network of the cluster it is for, and the engine takes no other pool afterwards: it gets a
 * block that says nothing and that nobody has (240.0.0.0/4, RFC 1112, section 4; of e000::/4, which RFC 4291 leaves to the
 * IETF). Containers have addresses of the network's own subnet all the same, and its gateway; an engine compares neither
 * with the pool.
 */
import { containsCidr, formatCidr, ipAt, parseCidr, requireCidr, subnetAt } from '../cidr.ts';
import { type Family, formatIp } from '../ip.ts';

const RESERVED = {
  4: { range: requireCidr('240.0.0.0/4', 'range'), prefix: 24 },
  6: { range: requireCidr('e000::/16', 'range'), prefix: 64 },
} as const;

export interface Placeholder {
  readonly cidr: string;
  /** The engine wants to know one. */
  readonly gateway: string;
}

/** One of a million or more, but none of `taken` (CIDRs). `chance`: uniform in [0, 1). */
export function choosePlaceholder(family: Family, taken: ReadonlySet<string>, chance: () => number): Placeholder {
  const { range, prefix } = RESERVED[family];
  const count = 2 ** (prefix - range.prefix);
  for (;;) {
    const block = subnetAt(range, prefix, BigInt(Math.floor(chance() * count)))!;
    const cidr = formatCidr(block);
    if (!taken.has(cidr)) return { cidr, gateway: formatIp(ipAt(block, 1n)!) };
  }
}

export function isPlaceholder(cidr: string): boolean {
  const block = parseCidr(cidr);
  return block !== undefined && containsCidr(RESERVED[block.ip.family].range, block);
}
