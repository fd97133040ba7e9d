/**
 * IPv4 addresses and CIDR blocks as numbers: parsing, formatting and the arithmetic that IPAM, planning and DNS need.
 * Addresses are unsigned 32-bit integers in host order. Source: RFC 4632 (CIDR), RFC 3021 (/31).
 */
import { OverlaydError } from './errors.ts';

export interface Cidr {
  /** The address as written, which may have host bits set. */
  readonly address: number;
  readonly prefix: number;
}

/** `a.b.c.d` to an unsigned number; undefined when the text is not exactly one dotted quad without leading zeros. */
export function parseAddress(text: string): number | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let value = 0;
  for (const part of parts) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part)) return undefined;
    const byte = Number(part);
    if (byte > 255) return undefined;
    value = value * 256 + byte;
  }
  return value;
}

/** As {@link parseAddress}, but throws `invalid-address` naming `what` and an example. */
export function requireAddress(text: string, what: string): number {
  const address = parseAddress(text);
  if (address === undefined) {
    throw new OverlaydError('invalid-address', `${what}: "${text}" is not an IPv4 address; write it like 10.0.1.5`);
  }
  return address;
}

export function formatAddress(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

/** `a.b.c.d/len`; undefined when malformed. Host bits are kept: see {@link isCanonical}. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  const address = parseAddress(text.slice(0, slash));
  const length = text.slice(slash + 1);
  if (address === undefined || !/^(0|[1-9]\d?)$/.test(length) || Number(length) > 32) return undefined;
  return { address, prefix: Number(length) };
}

/** As {@link parseCidr}, but throws `invalid-address` naming `what` and an example. */
export function requireCidr(text: string, what: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr === undefined) {
    throw new OverlaydError('invalid-address', `${what}: "${text}" is not an IPv4 CIDR; write it like 10.0.1.0/24`);
  }
  return cidr;
}

export function formatCidr(cidr: Cidr): string {
  return `${formatAddress(cidr.address)}/${cidr.prefix}`;
}

/** What a socket that listens everywhere is bound to. */
export const ALL_ADDRESSES = '0.0.0.0';

/** Destination of a default route. */
export const DEFAULT_ROUTE = '0.0.0.0/0';

/** Number of addresses in the block, network and broadcast included. */
export function sizeOf(cidr: Cidr): number {
  return 2 ** (32 - cidr.prefix);
}

export function firstOf(cidr: Cidr): number {
  return cidr.address - (cidr.address % sizeOf(cidr));
}

export function lastOf(cidr: Cidr): number {
  return firstOf(cidr) + sizeOf(cidr) - 1;
}

/** The block with its host bits cleared. */
export function canonical(cidr: Cidr): Cidr {
  return { address: firstOf(cidr), prefix: cidr.prefix };
}

export function isCanonical(cidr: Cidr): boolean {
  return cidr.address === firstOf(cidr);
}

export function contains(outer: Cidr, address: number): boolean {
  return address >= firstOf(outer) && address <= lastOf(outer);
}

export function containsCidr(outer: Cidr, inner: Cidr): boolean {
  return contains(outer, firstOf(inner)) && contains(outer, lastOf(inner));
}

export function overlaps(a: Cidr, b: Cidr): boolean {
  return firstOf(a) <= lastOf(b) && firstOf(b) <= lastOf(a);
}

/** The MAC that belongs to an IPv4 endpoint address: locally administered, `02:42:` and the four address bytes. */
export function macOf(address: number): string {
  const hex = (shift: number) => ((address >>> shift) & 255).toString(16).padStart(2, '0');
  return `02:42:${hex(24)}:${hex(16)}:${hex(8)}:${hex(0)}`;
}
