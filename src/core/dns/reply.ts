/** Questions as bytes, and replies as text: for people who ask what a name is answered with (RFC 1035). Pure. */

import { formatIp, ipOfBytes } from '../ip.ts';
import type { NameAnswer } from '../look.ts';
import { CLASS_IN, encodeName, FLAG, HEADER_BYTES, NAME_BYTES, putUint16, RCODE, TYPE, uint16 } from './wire.ts';

/** Types that may be asked for by name. */
export const ASKED_TYPES = ['A', 'AAAA', 'CNAME', 'PTR', 'SRV', 'TXT'] as const;
export type AskedType = (typeof ASKED_TYPES)[number];

export interface Reply {
  readonly id: number;
  /** `NOERROR`, `NXDOMAIN`, … */
  readonly code: string;
  /** It is cut: the rest is told by TCP. */
  readonly isCut: boolean;
  readonly answers: readonly NameAnswer[];
}

/** Undefined: no name can be so. */
export function encodeQuestion(id: number, name: string, type: AskedType): Uint8Array | undefined {
  const encoded = encodeName(name);
  if (encoded === undefined) return undefined;
  const message = new Uint8Array(HEADER_BYTES + encoded.length + 4);
  putUint16(message, 0, id);
  putUint16(message, 2, FLAG.RD);
  putUint16(message, 4, 1);
  message.set(encoded, HEADER_BYTES);
  putUint16(message, HEADER_BYTES + encoded.length, TYPE[type]);
  putUint16(message, HEADER_BYTES + encoded.length + 2, CLASS_IN);
  return message;
}

/** Undefined: it is no reply, or not well-formed. */
export function decodeReply(message: Uint8Array): Reply | undefined {
  if (message.length < HEADER_BYTES || (uint16(message, 2) & FLAG.QR) === 0) return undefined;
  const reading: Reading = { message, at: HEADER_BYTES };
  try {
    for (let left = uint16(message, 4); left > 0; left--) {
      readName(reading);
      skip(reading, 4);
    }
    const answers = Array.from({ length: uint16(message, 6) }, () => readRecord(reading));
    const flags = uint16(message, 2);
    return { id: uint16(message, 0), code: codeName(flags & 0xf), isCut: (flags & FLAG.TC) !== 0, answers };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

interface Reading {
  readonly message: Uint8Array;
  at: number;
}

function readRecord(reading: Reading): NameAnswer {
  const { message } = reading;
  readName(reading);
  const head = skip(reading, 10);
  const type = uint16(message, head);
  const ttlSeconds = uint16(message, head + 4) * 65_536 + uint16(message, head + 6);
  const start = skip(reading, uint16(message, head + 8));
  const name = Object.entries(TYPE).find(([, number]) => number === type)?.[0] ?? `TYPE${type}`;
  return { type: name, ttlSeconds, value: recordValue(type, message, start, reading.at) };
}

function recordValue(type: number, message: Uint8Array, start: number, end: number): string {
  const data = message.subarray(start, end);
  switch (type) {
    case TYPE.A:
    case TYPE.AAAA: {
      const ip = ipOfBytes(data);
      return ip ? formatIp(ip) : hex(data);
    }
    case TYPE.CNAME:
    case TYPE.PTR:
      return readName({ message, at: start });
    case TYPE.SRV: {
      const [priority, weight, port] = [0, 2, 4].map((at) => uint16(data, at));
      return `${priority} ${weight} ${port} ${readName({ message, at: start + 6 })}`;
    }
    case TYPE.TXT:
      return texts(data).join(' ');
    default:
      return hex(data);
  }
}

/** Follows pointers backwards alone, and no further than a name is long, so it ends soon whoever wrote it. */
function readName(reading: Reading): string {
  const { message } = reading;
  const labels: string[] = [];
  let { at } = reading;
  let least = at;
  let end: number | undefined;
  let bytes = 0;
  for (;;) {
    const length = byteAt(message, at);
    if (length >= 0xc0) {
      const to = ((length & 0x3f) << 8) | byteAt(message, at + 1);
      if (to >= least) throw new RangeError('a pointer that does not lead back');
      end ??= at + 2;
      least = to;
      at = to;
      continue;
    }
    if (length > 63) throw new RangeError('no label');
    at += 1;
    if (length === 0) break;
    if (at + length > message.length) throw new RangeError('cut');
    bytes += 1 + length;
    if (bytes >= NAME_BYTES) throw new RangeError('longer than names are');
    labels.push(printable(message.subarray(at, at + length)));
    at += length;
  }
  reading.at = end ?? at;
  return labels.join('.');
}

/** Returns where it was. */
function skip(reading: Reading, bytes: number): number {
  const { at } = reading;
  if (at + bytes > reading.message.length) throw new RangeError('cut');
  reading.at = at + bytes;
  return at;
}

function byteAt(message: Uint8Array, at: number): number {
  const byte = message[at];
  if (byte === undefined) throw new RangeError('cut');
  return byte;
}

function texts(data: Uint8Array): string[] {
  const found: string[] = [];
  for (let at = 0; at < data.length; at += 1 + byteAt(data, at)) {
    found.push(JSON.stringify(printable(data.subarray(at + 1, at + 1 + byteAt(data, at)))));
  }
  return found;
}

function printable(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) =>
    byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : byte === 0x20 ? ' ' : `\\${String(byte).padStart(3, '0')}`,
  ).join('');
}

function hex(data: Uint8Array): string {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function codeName(code: number): string {
  return Object.entries(RCODE).find(([, number]) => number === code)?.[0] ?? `RCODE${code}`;
}
