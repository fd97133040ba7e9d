/**
 * Blocks of IP addresses of both families (RFC 4632, RFC 4291): the arithmetic that IPAM, planning and DNS need. Families
 * never mix: a block of one neither contains nor overlaps anything of the other. Nothing here costs by the size of a block.
 */
import { OverlaydError } from './errors.ts';
import { BITS, type Family, formatIp, type Ip, parseIp, refuseMapped } from './ip.ts';

export interface Cidr {
  /** The address as written, which may have host bits set. */
  readonly ip: Ip;
  readonly prefix: number;
}

/** Destinations of the default routes. */
export const DEFAULT_ROUTE = { 4: '0.0.0.0/0', 6: '::/0' } as const;

export function isDefaultRoute(destination: string): boolean {
  return destination === DEFAULT_ROUTE[4] || destination === DEFAULT_ROUTE[6];
}

const EXAMPLES = { 4: '10.0.1.0/24', 6: 'fd00:0:0:1::/64' } as const;

/** By number of bits: that many ones. */
const ONES = Array.from({ length: BITS[6] + 1 }, (_, bits) => (1n << BigInt(bits)) - 1n);

/** Undefined when malformed. Host bits are kept: see {@link isCanonical}. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  const ip = parseIp(text.slice(0, slash));
  const length = text.slice(slash + 1);
  if (ip === undefined || !/^(0|[1-9]\d{0,2})$/.test(length) || Number(length) > BITS[ip.family]) return undefined;
  return { ip, prefix: Number(length) };
}

/**
 * As {@link parseCidr}, but throws `invalid-address` naming `what` and an example, which is of `family` where one is given.
 * IPv4-mapped addresses are refused, as by {@link refuseMapped}.
 */
export function requireCidr(text: string, what: string, family?: Family): Cidr {
  const cidr = parseCidr(text);
  if (cidr === undefined || (family !== undefined && cidr.ip.family !== family)) {
    const noun = family === undefined ? 'a CIDR' : `an IPv${family} CIDR`;
    const example = family === undefined ? `${EXAMPLES[4]} or ${EXAMPLES[6]}` : EXAMPLES[family];
    throw new OverlaydError('invalid-address', `${what}: "${text}" is not ${noun}; write it like ${example}`);
  }
  refuseMapped(cidr.ip, text, what);
  return cidr;
}

export function formatCidr({ ip, prefix }: Cidr): string {
  return `${formatIp(ip)}/${prefix}`;
}

/** The block of nothing but this address. */
export function blockOf(ip: Ip): Cidr {
  return { ip, prefix: BITS[ip.family] };
}

/** Whether the block holds a single address. */
export function isSingle({ ip, prefix }: Cidr): boolean {
  return prefix === BITS[ip.family];
}

/** Number of addresses in the block, the first and the last included. */
export function sizeOf(cidr: Cidr): bigint {
  return hostOnes(cidr) + 1n;
}

export function firstOf(cidr: Cidr): Ip {
  const { family, value } = cidr.ip;
  return { family, value: value - (value & hostOnes(cidr)) };
}

export function lastOf(cidr: Cidr): Ip {
  const { family, value } = cidr.ip;
  return { family, value: value | hostOnes(cidr) };
}

/** The block with its host bits cleared. */
export function canonical(cidr: Cidr): Cidr {
  return { ip: firstOf(cidr), prefix: cidr.prefix };
}

export function isCanonical(cidr: Cidr): boolean {
  return (cidr.ip.value & hostOnes(cidr)) === 0n;
}

export function contains(outer: Cidr, ip: Ip): boolean {
  return outer.ip.family === ip.family && (outer.ip.value ^ ip.value) <= hostOnes(outer);
}

export function containsCidr(outer: Cidr, inner: Cidr): boolean {
  return inner.prefix >= outer.prefix && contains(outer, inner.ip);
}

export function overlaps(a: Cidr, b: Cidr): boolean {
  return a.prefix <= b.prefix ? contains(a, b.ip) : contains(b, a.ip);
}

/** How far behind the block's first address; undefined when it lies outside. */
export function offsetOf(block: Cidr, ip: Ip): bigint | undefined {
  return contains(block, ip) ? ip.value & hostOnes(block) : undefined;
}

/** The reverse of {@link offsetOf}; undefined when the block is not that large. */
export function ipAt(block: Cidr, offset: bigint): Ip | undefined {
  if (offset < 0n || offset > hostOnes(block)) return undefined;
  const { family, value } = firstOf(block);
  return { family, value: value + offset };
}

/** Of the blocks with this prefix that the block is made of, the one with this index; undefined when there is none. */
export function subnetAt(block: Cidr, prefix: number, index: bigint): Cidr | undefined {
  if (prefix < block.prefix) return undefined;
  const ip = ipAt(block, index * sizeOf({ ip: block.ip, prefix }));
  return ip && { ip, prefix };
}

/** What well-known range an address is of; of IPv4 `unspecified` is all of 0.0.0.0/8 (RFC 1122, 3.2.1.3). */
export type IpKind = 'unspecified' | 'loopback' | 'link-local' | 'multicast' | 'private' | 'other';

/** `private`: RFC 1918, RFC 4193. */
export function kindOf(ip: Ip): IpKind {
  return KINDS.find(([block]) => contains(block, ip))?.[1] ?? 'other';
}

const KINDS = (
  [
    ['0.0.0.0/8', 'unspecified'],
    ['::/128', 'unspecified'],
    ['127.0.0.0/8', 'loopback'],
    ['::1/128', 'loopback'],
    ['169.254.0.0/16', 'link-local'],
    ['fe80::/10', 'link-local'],
    ['224.0.0.0/4', 'multicast'],
    ['ff00::/8', 'multicast'],
    ['10.0.0.0/8', 'private'],
    ['172.16.0.0/12', 'private'],
    ['192.168.0.0/16', 'private'],
    ['fc00::/7', 'private'],
  ] as const
).map(([text, kind]) => [requireCidr(text, 'range'), kind] as const);

function hostOnes({ ip, prefix }: Cidr): bigint {
  return ONES[BITS[ip.family] - prefix]!;
}
