/**
 * Choice and check of subnets. What holds a block: networks, addresses that members' hosts need (their own, their name
 * servers', gateways', etcd's), and routes of members' hosts. Networks and needed addresses hold whatever is asked for.
 * A route holds what is asked for only when a network there would take a neighbour's place: see {@link yields}.
 * Automatic: the first block of the pools, in order, that nothing holds; when there is none in any pool, the first one
 * that is held by nothing but routes that would yield to somebody who asks for it.
 * Scales: a candidate that overlaps skips to the end of what it overlaps, so a scan costs at most one step per holder.
 */
import {
  type Cidr,
  canonical,
  firstOf,
  formatCidr,
  isCanonical,
  lastOf,
  overlaps,
  requireCidr,
  sizeOf,
  subnetAt,
} from '../cidr.ts';
import { OverlaydError } from '../errors.ts';
import { formatIp } from '../ip.ts';

/** A block that is taken, and by whom, in words: `network web`, `a name server of host h2`, `a route of host h2`. */
export interface Holder {
  readonly block: Cidr;
  readonly who: string;
  /**
   * `network`; `address`: of one host, needed by a member; `link`: a route to a link's own hosts; `route`: any other
   * route.
   */
  readonly kind: 'network' | 'address' | 'link' | 'route';
}

export interface Pool {
  readonly base: string;
  readonly prefix: number;
}

/**
 * A route that leads to this many blocks of the wanted size or more is much wider than the block: it says "everything
 * else goes there" (the two halves of the address space, or 10.0.0.0/8, of a VPN) and not "there is a host at each of
 * these". The block's own route is more specific, and wins on that host.
 */
export const MUCH_WIDER_BITS = 8;

/** Whether a network may be there all the same when a person asks for it. An internal one has no route in any host. */
function yields({ kind, block }: Holder, prefix: number, internal: boolean): boolean {
  if (kind === 'route') return internal || prefix - block.prefix >= MUCH_WIDER_BITS;
  return kind === 'link' && internal;
}

/** Throws `no-available-subnets`. */
export function chooseSubnet(pools: readonly Pool[], holders: readonly Holder[], internal = false): Cidr {
  const free = firstFree(pools, () => holders);
  if (free) return free;
  const asked = ({ prefix }: Pool) => holders.filter((holder) => !yields(holder, prefix, internal));
  return firstFree(pools, asked) ?? exhausted(pools, asked);
}

function firstFree(pools: readonly Pool[], holdersOf: (pool: Pool) => readonly Holder[]): Cidr | undefined {
  for (const pool of pools) {
    const base = requireCidr(pool.base, 'default address pool');
    const inPool = holdersOf(pool).filter((holder) => overlaps(holder.block, base));
    let candidate = subnetAt(base, pool.prefix, 0n);
    while (candidate) {
      const wanted = candidate;
      const obstacle = inPool.find((holder) => overlaps(holder.block, wanted));
      if (!obstacle) return wanted;
      // The first one behind it: what it ends within is held by it.
      const distance = lastOf(obstacle.block).value - firstOf(base).value;
      candidate = subnetAt(base, pool.prefix, distance / sizeOf(wanted) + 1n);
    }
  }
  return undefined;
}

/** What a person can do about it depends on what is in the way. */
function exhausted(pools: readonly Pool[], holdersOf: (pool: Pool) => readonly Holder[]): never {
  const names = pools.map((pool) => `${pool.base} in /${pool.prefix} steps`).join(', ');
  const inTheWay = pools.flatMap((pool) => {
    const base = requireCidr(pool.base, 'default address pool');
    return holdersOf(pool).filter(({ block }) => overlaps(block, base));
  });
  const networks = inTheWay.filter(({ kind }) => kind === 'network').length;
  const others = inTheWay.filter(({ kind }) => kind !== 'network').sort((a, b) => a.block.prefix - b.block.prefix);
  const shown = [
    ...(networks > 0 ? [`${networks} network${networks === 1 ? '' : 's'}`] : []),
    ...others.slice(0, SHOWN_HOLDERS).map(describe),
    ...(others.length > SHOWN_HOLDERS ? [`${others.length - SHOWN_HOLDERS} more routes and addresses of hosts`] : []),
  ];
  const prune = networks > 0 ? ', or remove networks (overlayd network prune)' : '';
  throw new OverlaydError(
    'no-available-subnets',
    `no available subnets: ${names} is used up by ${shown.join('; ') || 'nothing, it holds no block'}; name one elsewhere with --subnet${prune}`,
  );
}

const SHOWN_HOLDERS = 3;

function describe({ kind, block, who }: Holder): string {
  return kind === 'address' ? `${formatIp(block.ip)}, ${who}` : `${formatCidr(block)}, ${who}`;
}

/**
 * Prefix lengths of subnets: least, most, and the usual one. The largest of IPv6 is what a provider gets for all its
 * customers. A smallest one has room for the gateway and one container (RFC 3021, RFC 6164).
 */
const PREFIXES = { 4: [8, 31, 24], 6: [32, 127, 64] } as const;

/**
 * A subnet as a person typed it. Throws `invalid-address`, `subnet-not-canonical`, `pool-overlaps`.
 * `internal`: of a network without a way out.
 */
export function checkSubnet(text: string, holders: readonly Holder[], internal = false): Cidr {
  const block = requireCidr(text, 'subnet');
  if (!isCanonical(block)) {
    throw new OverlaydError(
      'subnet-not-canonical',
      `subnet: ${text} has host bits set; did you mean ${formatCidr(canonical(block))}?`,
    );
  }
  const [least, most, usual] = PREFIXES[block.ip.family];
  if (block.prefix < least || block.prefix > most) {
    throw new OverlaydError(
      'invalid-address',
      `subnet: ${text} is not between /${least} and /${most} in size; use e.g. a /${usual}`,
    );
  }
  refuseUnusable(block, 'subnet');
  const holder = holders.find(
    (candidate) => overlaps(candidate.block, block) && !yields(candidate, block.prefix, internal),
  );
  if (holder === undefined) return block;
  const overlap = `subnet: ${text} pool overlaps with other one on this address space`;
  throw new OverlaydError(
    'pool-overlaps',
    holder.kind === 'network'
      ? `${overlap}: ${formatCidr(holder.block)} of ${holder.who}`
      : `${overlap}: ${describe(holder)}; choose a subnet ${holder.kind === 'address' ? 'without it' : 'outside of it'}`,
  );
}

/** So many subnets has a network at most: all of them are written in one transaction, and are routes of its containers. */
const MOST_SUBNETS = 64;

/** Throws `invalid-argument`. `count`: of one network. */
export function refuseTooMany(count: number): void {
  if (count <= MOST_SUBNETS) return;
  throw new OverlaydError(
    'invalid-argument',
    `a network has ${MOST_SUBNETS} subnets at most; use larger ones, or a second network`,
  );
}

/** Those of one network, as a person typed them. Throws what {@link checkSubnet} throws, and `invalid-argument`. */
export function checkSubnets(texts: readonly string[], holders: readonly Holder[], internal = false): Cidr[] {
  refuseTooMany(texts.length);
  const blocks: Cidr[] = [];
  for (const text of texts) {
    const own = blocks.map((block): Holder => ({ block, who: 'the same network', kind: 'network' }));
    blocks.push(checkSubnet(text, [...own, ...holders], internal));
  }
  return blocks;
}

/** Ranges in which no container can have an address. Throws `invalid-address`; `what` says what the block is. */
export function refuseUnusable(block: Cidr, what: string): void {
  const range = UNUSABLE.find((unusable) => overlaps(unusable.block, block));
  if (range === undefined) return;
  throw new OverlaydError(
    'invalid-address',
    `${what}: ${formatCidr(block)} lies in ${range.who}; use a private range like ${PRIVATE[block.ip.family]}`,
  );
}

const PRIVATE = { 4: '10.0.1.0/24', 6: 'fd12:3456:789a:1::/64' } as const;

const unusable = (text: string, who: string) => ({ block: requireCidr(text, 'range'), who });

const UNUSABLE = [
  unusable('0.0.0.0/8', '"this network" (RFC 791)'),
  unusable('127.0.0.0/8', 'the loopback range'),
  unusable('169.254.0.0/16', 'the link-local range (RFC 3927)'),
  unusable('224.0.0.0/3', 'the multicast and reserved ranges'),
  unusable('::/8', 'the reserved range of the loopback and of IPv4-mapped addresses (RFC 4291)'),
  unusable('100::/64', 'the discard-only range (RFC 6666)'),
  unusable('fe80::/10', 'the link-local range (RFC 4291)'),
  unusable('fec0::/10', 'the former site-local range (RFC 3879)'),
  unusable('ff00::/8', 'the multicast range'),
];
