/**
 * Attributes of netlink messages (`struct nlattr`, netlink(7)): length and type, two bytes each in the host's order, and
 * the value, padded to four bytes. The hosts that we run on (x64, arm64) are little endian; what is not is said so.
 */
import { OverlaydError } from '../../core/errors.ts';
import { BITS, formatIp, formatIpv4Number, type Ip, ipOfBytes, parseIp, putBytes } from '../../core/ip.ts';
import { type NLA_F_NESTED, NLA_HDRLEN, NLA_TYPE_MASK } from './uapi/netlink.ts';

const INITIAL_BYTES = 256;
/** The length is a 16-bit number. */
const MOST_BYTES = 0xffff;
const UTF8 = new TextDecoder();

/** `NLA_ALIGN`, and `NLMSG_ALIGN`. */
export function align(bytes: number): number {
  return (bytes + 3) & ~3;
}

/** Throws `internal` where the length, header included, is more than an attribute can say of itself. */
function checkedLength(type: number, bytes: number): number {
  if (bytes > MOST_BYTES) throw new OverlaydError('internal', `attribute ${type} of ${bytes} bytes is too long`);
  return bytes;
}

/** A message's payload as it is written: the family's header first, then attributes. */
export class PayloadWriter {
  #bytes: Buffer = Buffer.allocUnsafe(INITIAL_BYTES);
  #view = viewOf(this.#bytes);
  #length = 0;

  /** Adds a header of so many bytes, all 0, for `fill` to write into. */
  header(bytes: number, fill: (view: DataView, at: number) => void): this {
    const at = this.#take(bytes);
    this.#bytes.fill(0, at, at + bytes);
    fill(this.#view, at);
    return this;
  }

  u8(type: number, value: number): this {
    const at = this.#attribute(type, 1);
    this.#view.setUint32(at, value, true);
    return this;
  }

  u16(type: number, value: number): this {
    const at = this.#attribute(type, 2);
    this.#view.setUint32(at, value, true);
    return this;
  }

  u32(type: number, value: number): this {
    const at = this.#attribute(type, 4);
    this.#view.setUint32(at, value, true);
    return this;
  }

  i32(type: number, value: number): this {
    return this.u32(type, value);
  }

  /** Big endian, as ports are. */
  be16(type: number, value: number): this {
    const at = this.#attribute(type, 2);
    this.#view.setUint32(at, 0, true);
    this.#view.setUint16(at, value);
    return this;
  }

  /** Of either family, as many bytes as it has. */
  ip(type: number, ip: Ip): this {
    const at = this.#attribute(type, BITS[ip.family] / 8);
    putBytes(this.#bytes, at, ip);
    return this;
  }

  /** Six bytes, as text `02:42:0a:00:00:01`. */
  mac(type: number, mac: string): this {
    const at = this.#attribute(type, 6);
    const value = parseMac(mac);
    this.#view.setUint16(at, Math.floor(value / 2 ** 32));
    this.#view.setUint32(at + 2, value % 2 ** 32);
    this.#view.setUint16(at + 6, 0);
    return this;
  }

  /** As they are: a structure, or a key. */
  bytes(type: number, value: Uint8Array): this {
    const at = this.#attribute(type, value.length);
    this.#bytes.fill(0, at, at + align(value.length));
    this.#bytes.set(value, at);
    return this;
  }

  /** Ends with a 0, as names do. */
  text(type: number, text: string): this {
    const value = Buffer.from(`${text}\0`);
    const at = this.#attribute(type, value.length);
    this.#bytes.fill(0, at, at + align(value.length));
    value.copy(this.#bytes, at);
    return this;
  }

  /** Attributes within an attribute. `flag`: some families want them marked. */
  nested(type: number, fill: (writer: this) => void, flag: 0 | typeof NLA_F_NESTED = 0): this {
    const at = this.#take(NLA_HDRLEN);
    fill(this);
    this.#view.setUint16(at, checkedLength(type, this.#length - at), true);
    this.#view.setUint16(at + 2, type | flag, true);
    return this;
  }

  /** Of what was written so far. */
  get length(): number {
    return this.#length;
  }

  /** What was written. */
  payload(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #attribute(type: number, length: number): number {
    const bytes = checkedLength(type, NLA_HDRLEN + length);
    const at = this.#take(align(bytes));
    this.#view.setUint16(at, bytes, true);
    this.#view.setUint16(at + 2, type, true);
    return at + NLA_HDRLEN;
  }

  #take(bytes: number): number {
    const at = this.#length;
    this.#length += align(bytes);
    // Eight more: values are written with their padding, in whole words.
    if (this.#length + 8 > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(2 * (this.#length + 8));
      this.#bytes.copy(larger, 0, 0, at);
      this.#bytes = larger;
      this.#view = viewOf(larger);
    }
    return at;
  }
}

/**
 * Goes through attributes one after another:
 *
 *     while (attributes.next()) if (attributes.type === IFLA_MTU) mtu = attributes.u32();
 *
 * Ends before one that is cut short, as libraries of netlink do: what follows cannot be understood.
 */
export class AttributeReader {
  readonly view: DataView;
  /** Of the attribute at which it is, without its flags. */
  type = 0;
  /** Where its value begins, and its length in bytes. */
  at = 0;
  length = 0;
  #next: number;
  readonly #end: number;

  constructor(view: DataView, start: number, end: number) {
    this.view = view;
    this.#next = start;
    this.#end = end;
  }

  next(): boolean {
    const start = this.#next;
    if (start + NLA_HDRLEN > this.#end) return false;
    const length = this.view.getUint16(start, true);
    if (length < NLA_HDRLEN || start + length > this.#end) return false;
    this.type = this.view.getUint16(start + 2, true) & NLA_TYPE_MASK;
    this.at = start + NLA_HDRLEN;
    this.length = length - NLA_HDRLEN;
    this.#next = start + align(length);
    return true;
  }

  u8(): number {
    return this.length < 1 ? 0 : this.view.getUint8(this.at);
  }

  u32(): number {
    return this.u32At(0);
  }

  /** So many bytes from the start of the value. */
  u32At(offset: number): number {
    return this.length < offset + 4 ? 0 : this.view.getUint32(this.at + offset, true);
  }

  i32(): number {
    return this.length < 4 ? 0 : this.view.getInt32(this.at, true);
  }

  be16(): number {
    return this.length < 2 ? 0 : this.view.getUint16(this.at);
  }

  be32(): number {
    return this.length < 4 ? 0 : this.view.getUint32(this.at);
  }

  /** Counters, all below 2^53. */
  be64(): number {
    return this.length < 8 ? 0 : Number(this.view.getBigUint64(this.at));
  }

  u16(): number {
    return this.length < 2 ? 0 : this.view.getUint16(this.at, true);
  }

  /** Counters, and times of a signed type, all below 2^53. */
  u64(): number {
    return this.u64At(0);
  }

  u64At(offset: number): number {
    return this.length < offset + 8 ? 0 : Number(this.view.getBigInt64(this.at + offset, true));
  }

  /** A copy. */
  bytes(): Uint8Array {
    return new Uint8Array(this.view.buffer, this.view.byteOffset + this.at, this.length).slice();
  }

  /** Of the family that its length tells; undefined when it is no address. */
  ip(): string | undefined {
    return this.ipAt(0, this.length);
  }

  /** The same, within a structure. */
  ipAt(offset: number, bytes: number): string | undefined {
    if (this.length < offset + bytes) return undefined;
    if (bytes === 4) return formatIpv4(this.view.getUint32(this.at + offset));
    if (bytes !== 16) return undefined;
    return formatIp(ipOfBytes(new Uint8Array(this.view.buffer, this.view.byteOffset + this.at + offset, 16))!);
  }

  /** Undefined when it is no address of Ethernet's. */
  mac(): string | undefined {
    if (this.length !== 6) return undefined;
    return formatMac(this.view.getUint16(this.at), this.view.getUint32(this.at + 2));
  }

  /** Up to a 0, should there be one. */
  text(): string {
    const bytes = new Uint8Array(this.view.buffer, this.view.byteOffset + this.at, this.length);
    const end = bytes.indexOf(0);
    return UTF8.decode(end < 0 ? bytes : bytes.subarray(0, end));
  }

  /** The attribute itself, as it came, with its padding. */
  raw(): Uint8Array {
    const bytes = align(NLA_HDRLEN + this.length);
    return new Uint8Array(this.view.buffer, this.view.byteOffset + this.at - NLA_HDRLEN, bytes);
  }

  /** Of the attributes within this one; `skip` bytes of a header before them. */
  nested(skip = 0): AttributeReader {
    return new AttributeReader(this.view, this.at + skip, this.at + this.length);
  }
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

// ---------------------------------------------------------------- addresses as text

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
/** Dumps tell the same few thousand addresses over and over: text that exists need not be made, or kept twice. */
const MOST_KEPT = 65_536;
const ipv4Texts = new Map<number, string>();
const macTexts = new Map<number, string>();

/** `value`: the address as a number, first byte highest. */
function formatIpv4(value: number): string {
  const kept = ipv4Texts.get(value);
  if (kept !== undefined) return kept;
  return keep(ipv4Texts, value, formatIpv4Number(value));
}

/** `high`: the first two bytes, `low`: the other four. */
function formatMac(high: number, low: number): string {
  const value = high * 2 ** 32 + low;
  const kept = macTexts.get(value);
  if (kept !== undefined) return kept;
  const bytes = [high >>> 8, high & 255, low >>> 24, (low >>> 16) & 255, (low >>> 8) & 255, low & 255];
  return keep(macTexts, value, bytes.map((byte) => HEX[byte]).join(':'));
}

function keep(texts: Map<number, string>, value: number, text: string): string {
  if (texts.size >= MOST_KEPT) texts.clear();
  texts.set(value, text);
  return text;
}

/** Throws `internal` for what is no address: what comes in from outside was checked there. */
export function parseAddress(text: string): Ip {
  const ip = parseIp(text);
  if (!ip) throw new OverlaydError('internal', `"${text}" is no IP address`);
  return ip;
}

const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i;

function parseMac(text: string): number {
  if (!MAC.test(text)) throw new OverlaydError('internal', `"${text}" is no MAC address`);
  let value = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    // 0-9, then letters, whose lower bits count from 1 for `a`, upper or lower case.
    if (code !== COLON) value = value * 16 + (code & 0x40 ? (code & 0x7) + 9 : code & 0xf);
  }
  return value;
}

const COLON = ':'.charCodeAt(0);
