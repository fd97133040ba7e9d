/**
 * Choice and check of subnets. Automatic: the first free block of the pools, in order, that touches no network of the
 * cluster and no route of a member's host. Asked for: honoured or refused with the holder's name.
 * Scales: a candidate that overlaps skips to the end of what it overlaps, so a scan costs at most one step per holder.
 */
import { OverlaydError } from '../errors.ts';
import {
  type Cidr,
  canonical,
  firstOf,
  formatCidr,
  isCanonical,
  lastOf,
  overlaps,
  parseCidr,
  requireCidr,
  sizeOf,
} from '../ip.ts';

/** A block that is taken, and by whom, in words: `network web`, `host h2 (route via eth1)`. */
export interface Holder {
  readonly block: Cidr;
  readonly who: string;
}

export interface Pool {
  readonly base: string;
  readonly prefix: number;
}

export function chooseSubnet(pools: readonly Pool[], holders: readonly Holder[]): Cidr {
  for (const pool of pools) {
    const base = canonical(requireCidr(pool.base, 'default address pool'));
    const step = sizeOf({ address: 0, prefix: pool.prefix });
    const inPool = holders.filter((holder) => overlaps(holder.block, base));
    let first = firstOf(base);
    while (first + step - 1 <= lastOf(base)) {
      const candidate = { address: first, prefix: pool.prefix };
      const obstacle = inPool.find((holder) => overlaps(holder.block, candidate));
      if (!obstacle) return candidate;
      first = Math.max(first + step, Math.ceil((lastOf(obstacle.block) + 1) / step) * step);
    }
  }
  const names = pools.map((pool) => `${pool.base} in /${pool.prefix} steps`).join(', ');
  throw new OverlaydError(
    'no-available-subnets',
    `no available subnets: ${names} is used up by networks and host routes; name one with --subnet, or remove networks (overlayd network prune)`,
  );
}

/** A subnet as a person typed it. Throws `invalid-address`, `subnet-not-canonical`, `pool-overlaps`. */
export function checkSubnet(text: string, holders: readonly Holder[]): Cidr {
  const block = requireCidr(text, 'subnet');
  if (!isCanonical(block)) {
    throw new OverlaydError(
      'subnet-not-canonical',
      `subnet: ${text} has host bits set; did you mean ${formatCidr(canonical(block))}?`,
    );
  }
  if (block.prefix < 8 || block.prefix > 31) {
    throw new OverlaydError('invalid-address', `subnet: ${text} is not between /8 and /31 in size; use e.g. a /24`);
  }
  const unusable = UNUSABLE.find((range) => overlaps(range.block, block));
  if (unusable) {
    throw new OverlaydError(
      'invalid-address',
      `subnet: ${text} lies in ${unusable.who}; use a private range like 10.0.1.0/24`,
    );
  }
  const holder = holders.find((candidate) => overlaps(candidate.block, block));
  if (holder) {
    throw new OverlaydError(
      'pool-overlaps',
      `subnet: ${text} pool overlaps with other one on this address space: ${formatCidr(holder.block)} of ${holder.who}`,
    );
  }
  return block;
}

const unusable = (text: string, who: string): Holder => ({ block: requireCidr(text, 'range'), who });

const UNUSABLE: readonly Holder[] = [
  unusable('0.0.0.0/8', '"this network" (RFC 791)'),
  unusable('127.0.0.0/8', 'the loopback range'),
  unusable('169.254.0.0/16', 'the link-local range (RFC 3927)'),
  unusable('224.0.0.0/3', 'the multicast and reserved ranges'),
];

/** Routes of member hosts as holders; what does not parse (or is a default route) holds nothing. */
export function routeHolders(
  nodes: Iterable<{ readonly name: string; readonly left: boolean; readonly hostRoutes: readonly string[] }>,
): Holder[] {
  const holders: Holder[] = [];
  for (const node of nodes) {
    if (node.left) continue;
    for (const route of node.hostRoutes) {
      const block = parseCidr(route);
      if (block && block.prefix > 0) holders.push({ block: canonical(block), who: `a route of host ${node.name}` });
    }
  }
  return holders;
}
