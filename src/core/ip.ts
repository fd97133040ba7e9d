/**
 * IP addresses of both families as values: parsing, formatting, bytes and order. Blocks of them are in `cidr.ts`.
 * Text is read strictly (RFC 4291, 2.2: no leading zeros in IPv4, no zone) and written in one way (RFC 5952), so that
 * the text of an address can be a key: what records, maps and plans are keyed by is {@link formatIp}'s.
 *
 * The integer is a bigint in both families. Of 10,000 addresses, IPv4 | IPv6: parsing takes 0.5 | 1.8 ms and a look into
 * four blocks 0.4 | 0.6 ms, which numbers for IPv4 alone do in 0.3 and 0.3, with all arithmetic written twice; ipaddr.js
 * 2.5.0 takes 5.6 | 24 and 0.4 | 0.5 ms, ip-address 10.7.6 2.3 | 14 and 1.4 | 1.4 ms.
 */
import { OverlaydError } from './errors.ts';

export type Family = 4 | 6;
/** In the order in which they are named and chosen. */
export const FAMILIES = [4, 6] as const satisfies readonly Family[];

export interface Ip {
  readonly family: Family;
  /** Unsigned, of 32 or 128 bits, first byte highest. */
  readonly value: bigint;
}

/** Length of an address in bits. */
export const BITS = { 4: 32, 6: 128 } as const;

/** What a socket is bound to that listens at all addresses; that of IPv6 at those of IPv4 too, unless it is told not to. */
export const ALL_ADDRESSES = { 4: '0.0.0.0', 6: '::' } as const;

const EXAMPLES = { 4: '10.0.1.5', 6: 'fd00:0:0:1::5' } as const;

/** IPv4-mapped (RFC 4291, 2.5.5.2): an IPv6 address that stands for an IPv4 one. */
const MAPPED = 0xffffn;

/** Of 16 bytes; for the way between groups, bytes and the integer. Nobody keeps it beyond a call. */
const scratch = new DataView(new ArrayBuffer(16));

/** Undefined when the text is not exactly one address. */
export function parseIp(text: string): Ip | undefined {
  if (text.includes(':')) return readGroups(text) ? { family: 6, value: valueOfScratch() } : undefined;
  const value = parseIpv4Number(text);
  return value < 0 ? undefined : { family: 4, value: BigInt(value) };
}

/**
 * As {@link parseIp}, for the address of a host: throws `invalid-address` naming `what` and an example of the right form,
 * which is that of `family` where one is given. An IPv4-mapped address is refused, for it may mean one of either family.
 */
export function requireIp(text: string, what: string, family?: Family): Ip {
  const ip = parseIp(text);
  if (ip === undefined || (family !== undefined && ip.family !== family)) {
    const noun = family === undefined ? 'an IP address' : `an IPv${family} address`;
    const example = family === undefined ? `${EXAMPLES[4]} or ${EXAMPLES[6]}` : EXAMPLES[family];
    throw new OverlaydError('invalid-address', `${what}: "${text}" is not ${noun}; write it like ${example}`);
  }
  refuseMapped(ip, text, what);
  return ip;
}

/** Throws `invalid-address` for an IPv4-mapped address; `what` says what it is of. */
export function refuseMapped(ip: Ip, text: string, what: string): void {
  if (ip.family === 4 || ip.value >> 32n !== MAPPED) return;
  const meant = formatIpv4Number(Number(ip.value & 0xffff_ffffn));
  throw new OverlaydError('invalid-address', `${what}: "${text}" is an IPv4 address written as IPv6; write ${meant}`);
}

export function isIpv4(text: string): boolean {
  return parseIpv4Number(text) >= 0;
}

/** Whether it is an address, written as {@link formatIp} writes it. */
export function isCanonicalIp(text: string): boolean {
  if (!text.includes(':')) return isIpv4(text);
  const ip = parseIp(text);
  return ip !== undefined && formatIp(ip) === text;
}

/** An address as {@link formatIp} writes it; undefined when it is none. */
export function canonicalIp(text: string): string | undefined {
  const ip = parseIp(text);
  return ip && formatIp(ip);
}

/** The family of an address, also of one with a zone (`fe80::1%eth0`, RFC 4007), as sockets take it. */
export function familyOf(text: string): Family | undefined {
  const zone = text.indexOf('%');
  if (zone < 0) return parseIp(text)?.family;
  const hasZone = zone < text.length - 1 && parseIp(text.slice(0, zone))?.family === 6;
  return hasZone ? 6 : undefined;
}

/** The family of what is known to be an address, such as a record's. */
export function familyOfAddress(text: string): Family {
  return text.includes(':') ? 6 : 4;
}

export function formatIp({ family, value }: Ip): string {
  if (family === 4) return formatIpv4Number(Number(value));
  valueToScratch(value);
  if (value >> 32n === MAPPED) return `::ffff:${formatIpv4Number(scratch.getUint32(12))}`;
  const [start, length] = longestZeros();
  let text = '';
  for (let group = 0; group < 8; group++) {
    if (group === start) {
      text += '::';
      group += length - 1;
      continue;
    }
    if (group > 0 && group !== start + length) text += ':';
    text += scratch.getUint16(2 * group).toString(16);
  }
  return text;
}

/** 4 or 16 bytes, as they go over the network. */
export function bytesOf(ip: Ip): Uint8Array {
  const bytes = new Uint8Array(BITS[ip.family] / 8);
  putBytes(bytes, 0, ip);
  return bytes;
}

/** Writes {@link bytesOf} into what has room for them. */
export function putBytes(out: Uint8Array, at: number, { family, value }: Ip): void {
  valueToScratch(value);
  const start = family === 4 ? 12 : 0;
  for (let i = start; i < 16; i++) out[at + i - start] = scratch.getUint8(i);
}

/** Undefined when they are not 4 or 16. */
export function ipOfBytes(bytes: Uint8Array): Ip | undefined {
  const { length } = bytes;
  if (length !== 4 && length !== 16) return undefined;
  valueToScratch(0n);
  for (let at = 0; at < length; at++) scratch.setUint8(16 - length + at, bytes[at]!);
  return { family: length === 4 ? 4 : 6, value: valueOfScratch() };
}

/** For `sort`: IPv4 before IPv6, then by value. */
export function compareIps(a: Ip, b: Ip): number {
  if (a.family !== b.family) return a.family - b.family;
  return a.value < b.value ? -1 : a.value > b.value ? 1 : 0;
}

/**
 * The MAC that belongs to an endpoint's IPv4 address: locally administered, `02:42:` and the four bytes. Throws
 * `internal` for IPv6, whose addresses differ by more than a MAC holds.
 */
export function macOf({ family, value }: Ip): string {
  if (family !== 4) throw new OverlaydError('internal', 'no MAC follows from an IPv6 address');
  const bytes = Number(value);
  return `02:42:${HEX[bytes >>> 24]}:${HEX[(bytes >>> 16) & 255]}:${HEX[(bytes >>> 8) & 255]}:${HEX[bytes & 255]}`;
}

/** The link-local address that belongs to a MAC (RFC 4291, appendix A). */
export function linkLocalOf(mac: string): string {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = mac.split(':').map((byte) => Number.parseInt(byte, 16));
  const groups = [((a ^ 2) << 8) | b, (c << 8) | 0xff, 0xfe00 | d, (e << 8) | f];
  return formatIp({
    family: 6,
    value: groups.reduce((value, group) => (value << 16n) | BigInt(group), 0xfe80n << 48n),
  });
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** An IPv4 address as a number, for tables of many rows; −1 when the text from `start` on is not exactly one. */
export function parseIpv4Number(text: string, start = 0): number {
  let value = 0;
  let part = 0;
  let digits = 0;
  let dots = 0;
  for (let at = start; at < text.length; at++) {
    const digit = text.charCodeAt(at) - ZERO;
    if (digit === DOT) {
      if (digits === 0 || dots === 3) return -1;
      value = value * 256 + part;
      part = 0;
      digits = 0;
      dots += 1;
    } else {
      if (!(digit >= 0 && digit <= 9) || (digits > 0 && part === 0)) return -1;
      part = part * 10 + digit;
      digits += 1;
      if (part > 255) return -1;
    }
  }
  return dots === 3 && digits > 0 ? value * 256 + part : -1;
}

/** The reverse of {@link parseIpv4Number}. */
export function formatIpv4Number(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

const ZERO = '0'.charCodeAt(0);
const DOT = '.'.charCodeAt(0) - ZERO;
const COLON = ':'.charCodeAt(0);

/** Reads an IPv6 address into {@link scratch}; false when the text is none. */
function readGroups(text: string): boolean {
  const end = text.length;
  let groups = 0;
  /** Where `::` stands, in groups; −1: nowhere yet. */
  let gap = -1;
  let at = 0;
  if (text.startsWith('::')) {
    gap = 0;
    at = 2;
  }
  while (at < end) {
    const start = at;
    let value = 0;
    for (let digit = hexDigit(text, at); digit >= 0; digit = hexDigit(text, at)) {
      value = value * 16 + digit;
      at += 1;
    }
    if (text[at] === '.') {
      // The last 32 bits may be written as an IPv4 address is.
      const last = parseIpv4Number(text, start);
      if (last < 0 || groups > 6) return false;
      scratch.setUint32(2 * groups, last);
      groups += 2;
      break;
    }
    if (at === start || at - start > 4 || groups === 8) return false;
    scratch.setUint16(2 * groups, value);
    groups += 1;
    if (at === end) break;
    if (text.charCodeAt(at) !== COLON) return false;
    at += 1;
    if (at === end) return false;
    if (text.charCodeAt(at) === COLON) {
      if (gap >= 0) return false;
      gap = groups;
      at += 1;
    }
  }
  if (gap < 0) return groups === 8;
  if (groups === 8) return false;
  const zeros = 8 - groups;
  for (let group = 7; group >= gap; group--) {
    scratch.setUint16(2 * group, group >= gap + zeros ? scratch.getUint16(2 * (group - zeros)) : 0);
  }
  return true;
}

/** −1: none. */
function hexDigit(text: string, at: number): number {
  const code = text.charCodeAt(at);
  if (code >= 48 && code <= 57) return code - 48;
  if (code >= 97 && code <= 102) return code - 87;
  return code >= 65 && code <= 70 ? code - 55 : -1;
}

/** Of the groups in {@link scratch}: the first longest run of two zeros or more, and its length (RFC 5952, 4.2). */
function longestZeros(): readonly [start: number, length: number] {
  let [start, length] = [-1, 1];
  for (let group = 0; group < 8; ) {
    let next = group;
    while (next < 8 && scratch.getUint16(2 * next) === 0) next += 1;
    if (next - group > length) [start, length] = [group, next - group];
    group = Math.max(next, group + 1);
  }
  return [start, length];
}

function valueToScratch(value: bigint): void {
  scratch.setBigUint64(0, value >> 64n);
  scratch.setBigUint64(8, value);
}

function valueOfScratch(): bigint {
  return (scratch.getBigUint64(0) << 64n) | scratch.getBigUint64(8);
}
