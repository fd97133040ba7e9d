/**
 * DNS messages as bytes: a bounded decoder for questions and encoders for our answers (RFC 1035, RFC 6891, RFC 9267).
 * The decoder never throws, never loops and follows no compression pointer: the one name of a question is the first
 * in the message, so it has nothing to point to, and names in the additional section need only be stepped over. Each
 * byte is looked at once. The encoders point every owner name at the question, whose bytes (case kept) they echo.
 */
import { type Family, type Ip, putBytes } from '../ip.ts';

export const TYPE = {
  A: 1,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  HINFO: 13,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const;

export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const;

export const CLASS_IN = 1;
export const FLAG = { QR: 0x8000, AA: 0x0400, TC: 0x0200, RD: 0x0100, RA: 0x0080, AD: 0x0020, CD: 0x0010 } as const;
export const HEADER_BYTES = 12;
/** What fits every path unfragmented (DNS flag day 2020); without EDNS a client takes 512 (RFC 1035, 4.2.1). */
const UDP_BYTES = 1232;
const PLAIN_UDP_BYTES = 512;
const TCP_BYTES = 65_535;
const OPT_BYTES = 11;
export const NAME_BYTES = 255;
const LABEL_BYTES = 63;
/** OPT, TSIG and SIG(0) are all that a question may carry behind it. */
const ADDITIONAL_RECORDS = 4;

export interface Edns {
  readonly udpBytes: number;
  readonly version: number;
  readonly dnssecOk: boolean;
}

export interface Query {
  readonly kind: 'query';
  /** The whole message; its question is the bytes from {@link HEADER_BYTES} to `questionEnd`. */
  readonly message: Uint8Array;
  readonly flags: number;
  /** Lower case, no dot at the end (the root is empty); bytes that are not plain text are written `\DDD`. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  readonly questionEnd: number;
  readonly edns: Edns | undefined;
}

/** A message that deserves an answer with this code and nothing else. */
export interface Malformed {
  readonly kind: 'malformed';
  readonly rcode: number;
}

const FORMAT_ERROR: Malformed = { kind: 'malformed', rcode: RCODE.FORMERR };
const NOT_IMPLEMENTED: Malformed = { kind: 'malformed', rcode: RCODE.NOTIMP };

/** Reads a big-endian 16-bit number; the caller has checked the bounds. */
export function uint16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

export function putUint16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** Of a message that has a whole header; without the part of it that EDNS adds. */
export function rcodeOf(message: Uint8Array): number {
  return uint16(message, 2) & 0xf;
}

/** Undefined: drop it (shorter than a header, or not a question at all). */
export function decodeQuery(message: Uint8Array): Query | Malformed | undefined {
  if (message.length < HEADER_BYTES) return undefined;
  const flags = uint16(message, 2);
  if ((flags & FLAG.QR) !== 0) return undefined;
  if ((flags & 0x7800) !== 0) return NOT_IMPLEMENTED;
  if (uint16(message, 4) !== 1 || uint16(message, 6) !== 0 || uint16(message, 8) !== 0) return FORMAT_ERROR;

  let at = HEADER_BYTES;
  let name = '';
  for (;;) {
    const length = message[at];
    if (length === undefined || length > LABEL_BYTES) return FORMAT_ERROR;
    at += 1;
    if (length === 0) break;
    const end = at + length;
    if (end >= message.length || end - HEADER_BYTES >= NAME_BYTES) return FORMAT_ERROR;
    if (name !== '') name += '.';
    for (; at < end; at++) name += CHARACTERS[message[at] as number];
  }
  if (at + 4 > message.length) return FORMAT_ERROR;
  const type = uint16(message, at);
  const questionEnd = at + 4;
  if (type === 0 || type === TYPE.OPT) return FORMAT_ERROR;
  const additional = uint16(message, 10);
  const edns = additional === 0 && questionEnd === message.length ? undefined : decodeEdns(message, questionEnd);
  if (edns === null) return FORMAT_ERROR;
  return { kind: 'query', message, flags, name, type, class: uint16(message, at + 2), questionEnd, edns };
}

/** The OPT record among the additional records; null when they are not well-formed up to the message's last byte. */
function decodeEdns(message: Uint8Array, start: number): Edns | undefined | null {
  const count = uint16(message, 10);
  if (count > ADDITIONAL_RECORDS) return null;
  let at = start;
  let edns: Edns | undefined;
  for (let i = 0; i < count; i++) {
    const owner = at;
    at = skipName(message, at);
    if (at < 0 || at + 10 > message.length) return null;
    const type = uint16(message, at);
    const end = at + 10 + uint16(message, at + 8);
    if (end > message.length) return null;
    if (type === TYPE.OPT) {
      if (edns !== undefined || message[owner] !== 0) return null;
      edns = {
        udpBytes: uint16(message, at + 2),
        version: message[at + 5] as number,
        dnssecOk: ((message[at + 6] as number) & 0x80) !== 0,
      };
    }
    at = end;
  }
  return at === message.length ? edns : null;
}

/** Offset behind the name, a compression pointer ending it; −1 when it runs out of the message. */
function skipName(message: Uint8Array, start: number): number {
  let at = start;
  while (at - start < NAME_BYTES) {
    const length = message[at];
    if (length === undefined) return -1;
    if (length === 0) return at + 1;
    if (length >= 0xc0) return at + 2 <= message.length ? at + 2 : -1;
    if (length > LABEL_BYTES) return -1;
    at += 1 + length;
  }
  return -1;
}

/** How each byte of a label reads in {@link Query.name}. */
const CHARACTERS: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  const text = String.fromCharCode(byte);
  const plain = byte > 0x20 && byte < 0x7f && text !== '.' && text !== '\\';
  return plain ? text.toLowerCase() : `\\${String(byte).padStart(3, '0')}`;
});

/** A name of plain text in wire form, root byte included; undefined when it cannot be one (RFC 1035, 2.3.4). */
export function encodeName(text: string): Uint8Array | undefined {
  if (text.length === 0 || text.length + 2 > NAME_BYTES || !/^[!-~]+$/.test(text) || text.includes('\\')) {
    return undefined;
  }
  const bytes = new Uint8Array(text.length + 2);
  let at = 0;
  for (const label of text.split('.')) {
    if (label.length === 0 || label.length > LABEL_BYTES) return undefined;
    bytes[at++] = label.length;
    for (let i = 0; i < label.length; i++) bytes[at++] = label.charCodeAt(i);
  }
  return bytes;
}

/** Most bytes that the reply to this question may have. */
export function replyLimit(query: Query, transport: 'udp' | 'tcp'): number {
  if (transport === 'tcp') return TCP_BYTES;
  if (query.edns === undefined) return PLAIN_UDP_BYTES;
  return Math.min(Math.max(query.edns.udpBytes, PLAIN_UDP_BYTES), UDP_BYTES);
}

/** A header that says no, for a question that could not be read. `message` has a whole header. */
export function encodeFailure(message: Uint8Array, rcode: number): Uint8Array {
  const out = new Uint8Array(HEADER_BYTES);
  out[0] = message[0] as number;
  out[1] = message[1] as number;
  putUint16(out, 2, FLAG.QR | (uint16(message, 2) & (0x7800 | FLAG.RD)) | rcode);
  return out;
}

export interface Sections {
  /** At most one record, encoded with its owner pointing into the question. */
  readonly answer?: Uint8Array;
  readonly authority?: Uint8Array;
}

/** A reply of our own authority: header, question, at most one record a section, OPT if the question had one. */
export function encodeReply(query: Query, rcode: number, sections: Sections = {}): Uint8Array {
  const { answer, authority } = sections;
  const ours = rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN;
  const out = open(query, (answer?.length ?? 0) + (authority?.length ?? 0), rcode, ours ? FLAG.AA : 0);
  let at = query.questionEnd;
  if (answer !== undefined) {
    out[7] = 1;
    out.set(answer, at);
    at += answer.length;
  }
  if (authority !== undefined) {
    out[9] = 1;
    out.set(authority, at);
  }
  return out;
}

/** Of one record as {@link encodeAddresses} makes it: an owner that points, what every record has, the address. */
const addressRecordBytes = (family: Family) => (family === 4 ? 16 : 28);

/** A or AAAA records for the name in the question, one after the other; the same bytes serve every question for that name. */
export function encodeAddresses(addresses: readonly Ip[], family: Family, ttlSeconds: number): Uint8Array {
  const recordBytes = addressRecordBytes(family);
  const out = new Uint8Array(addresses.length * recordBytes);
  addresses.forEach((address, i) => {
    const at = i * recordBytes;
    putFixed(out, at, HEADER_BYTES, family === 4 ? TYPE.A : TYPE.AAAA, ttlSeconds, recordBytes - 12);
    putBytes(out, at + 12, address);
  });
  return out;
}

/**
 * The reply that gives `records` (of {@link encodeAddresses}, one at least) beginning with one that `random` in [0, 1)
 * chooses, round and round; as many as `limit` bytes hold. TC tells a UDP client that TCP has them all.
 */
export function encodeAddressReply(
  query: Query,
  records: Uint8Array,
  family: Family,
  random: number,
  limit: number,
): Uint8Array {
  const recordBytes = addressRecordBytes(family);
  const total = records.length / recordBytes;
  const room = limit - query.questionEnd - (query.edns === undefined ? 0 : OPT_BYTES);
  const count = Math.min(total, Math.floor(room / recordBytes));
  const truncated = count < total && limit < TCP_BYTES;
  const out = open(query, count * recordBytes, RCODE.NOERROR, FLAG.AA | (truncated ? FLAG.TC : 0));
  putUint16(out, 6, count);
  const from = Math.floor(random * total) * recordBytes;
  const straight = Math.min(count * recordBytes, records.length - from);
  copyBytes(records, from, straight, out, query.questionEnd);
  copyBytes(records, 0, count * recordBytes - straight, out, query.questionEnd + straight);
  return out;
}

/** A record whose owner's name stands at that offset of the message; `data` is its data. */
export function encodeRecord(owner: number, type: number, ttlSeconds: number, data: Uint8Array): Uint8Array {
  const out = new Uint8Array(12 + data.length);
  putFixed(out, 0, owner, type, ttlSeconds, data.length);
  out.set(data, 12);
  return out;
}

/** A PTR record for the name in the question; `target` from {@link encodeName}. */
export function encodePointer(target: Uint8Array, ttlSeconds: number): Uint8Array {
  return encodeRecord(HEADER_BYTES, TYPE.PTR, ttlSeconds, target);
}

export interface RecordSections {
  readonly answers: readonly Uint8Array[];
  readonly authority?: Uint8Array | undefined;
  /** What does not fit is left out. */
  readonly additional?: readonly Uint8Array[];
}

/** The reply that gives records in this order, as many as `limit` bytes hold; as of {@link encodeAddressReply}. */
export function encodeRecordsReply(
  query: Query,
  rcode: number,
  { answers, authority, additional = [] }: RecordSections,
  limit: number,
): Uint8Array {
  const room = limit - sizeWithOpt(query, 0);
  const given: Uint8Array[] = [];
  let bytes = 0;
  const others = authority ? [authority, ...additional] : additional;
  for (const record of [...answers, ...others]) {
    if (bytes + record.length > room) break;
    given.push(record);
    bytes += record.length;
  }
  const count = Math.min(given.length, answers.length);
  const truncated = count < answers.length && limit < TCP_BYTES;
  const out = open(query, bytes, rcode, FLAG.AA | (truncated ? FLAG.TC : 0));
  putUint16(out, 6, count);
  const authorities = authority && given.length > count ? 1 : 0;
  putUint16(out, 8, authorities);
  putUint16(out, 10, given.length - count - authorities + (query.edns === undefined ? 0 : 1));
  let at = query.questionEnd;
  for (const record of given) {
    out.set(record, at);
    at += record.length;
  }
  return out;
}

/** What a question for ANY gets (RFC 8482, 4.2). */
export function encodeMinimalAny(ttlSeconds: number): Uint8Array {
  const text = 'RFC8482';
  const out = new Uint8Array(12 + text.length + 2);
  putFixed(out, 0, HEADER_BYTES, TYPE.HINFO, ttlSeconds, text.length + 2);
  out[12] = text.length;
  for (let i = 0; i < text.length; i++) out[13 + i] = text.charCodeAt(i);
  return out;
}

const SOA_NAMES = encodeName('overlayd.invalid') as Uint8Array;

/**
 * The SOA of a negative answer (RFC 2308): it lets a cache keep the absence for `ttlSeconds`. Its owner is the last
 * `suffix` of the question's name, the root when that is empty.
 */
export function encodeSoa(query: Query, suffix: string, ttlSeconds: number): Uint8Array {
  const ownerBytes = suffix === '' ? 1 : 2;
  const rdata = 2 * SOA_NAMES.length + 20;
  const out = new Uint8Array(ownerBytes + 10 + rdata);
  // the name's root byte lies 5 bytes before the question's end; a plain suffix of n characters takes n + 1 bytes
  if (suffix !== '') putUint16(out, 0, 0xc000 | (query.questionEnd - 5 - (suffix.length + 1)));
  let at = putRecord(out, ownerBytes, TYPE.SOA, ttlSeconds, rdata);
  out.set(SOA_NAMES, at);
  out.set(SOA_NAMES, at + SOA_NAMES.length);
  at += 2 * SOA_NAMES.length;
  for (const value of [1, 3600, 600, 86_400, ttlSeconds]) {
    putUint16(out, at, value >>> 16);
    putUint16(out, at + 2, value & 0xffff);
    at += 4;
  }
  return out;
}

/** The OPT record of our messages (RFC 6891, 6.1.2), written at the end of `out`. */
export function putOpt(out: Uint8Array, dnssecOk: boolean, rcode = 0): void {
  const at = out.length - OPT_BYTES;
  putUint16(out, at + 1, TYPE.OPT);
  putUint16(out, at + 3, UDP_BYTES);
  out[at + 5] = rcode >>> 4;
  out[at + 7] = dnssecOk ? 0x80 : 0;
  out[11] = 1;
}

/** Room for a question and, if it has EDNS, an OPT record behind `bodyBytes`. */
export function sizeWithOpt(query: Query, bodyBytes: number): number {
  return query.questionEnd + bodyBytes + (query.edns === undefined ? 0 : OPT_BYTES);
}

/** Header, question and OPT in place, counts of the other sections zero, `bodyBytes` free behind the question. */
function open(query: Query, bodyBytes: number, rcode: number, flags: number): Uint8Array {
  const { message, edns } = query;
  const out = new Uint8Array(sizeWithOpt(query, bodyBytes));
  copyBytes(message, 0, query.questionEnd, out, 0);
  putUint16(out, 2, FLAG.QR | FLAG.RA | flags | (query.flags & (FLAG.RD | FLAG.CD)) | (rcode & 15));
  out[10] = 0;
  out[11] = 0;
  if (edns !== undefined) putOpt(out, edns.dnssecOk, rcode);
  return out;
}

function putFixed(out: Uint8Array, at: number, owner: number, type: number, ttlSeconds: number, rdata: number): number {
  putUint16(out, at, 0xc000 | owner);
  return putRecord(out, at + 2, type, ttlSeconds, rdata);
}

/** What follows a record's owner name, up to its data; returns where the data goes. */
function putRecord(out: Uint8Array, at: number, type: number, ttlSeconds: number, rdata: number): number {
  putUint16(out, at, type);
  putUint16(out, at + 2, CLASS_IN);
  putUint16(out, at + 4, ttlSeconds >>> 16);
  putUint16(out, at + 6, ttlSeconds & 0xffff);
  putUint16(out, at + 8, rdata);
  return at + 10;
}

/** A plain loop: for a few dozen bytes it beats making a view and calling `set`. */
export function copyBytes(from: Uint8Array, start: number, length: number, to: Uint8Array, at: number): void {
  for (let i = 0; i < length; i++) to[at + i] = from[start + i] as number;
}
