/**
 * Neighbours and FDB rows as numbers, of which there are thousands: so they are read from the kernel's messages, compared with
 * what was seen before, and handed from thread to thread. Text and objects are made of those alone that are not known yet.
 */
import { type FdbRow, type Neighbour, TUNNEL } from '../../core/host-state.ts';
import { align, formatIpv4, formatMac } from '../netlink/attributes.ts';
import type { Message } from '../netlink/message.ts';
import * as nl from '../netlink/uapi/neighbour.ts';
import { NLA_HDRLEN, NLA_TYPE_MASK } from '../netlink/uapi/netlink.ts';

/** A neighbour: index of the link, address, MAC (its first two bytes, the other four). */
const NEIGHBOUR_WORDS = 4;
/** An FDB row: index of the link, MAC, tunnel end, its UDP port; the port's upper half says that there is a tunnel end. */
const FDB_WORDS = 5;
const HAS_VTEP = 1 << 16;
const INITIAL_WORDS = 256;

/** Collects rows while a dump is read. */
export class RowReader {
  #words = new Uint32Array(INITIAL_WORDS);
  #length = 0;

  /** Permanent neighbours alone. True when it was one. */
  readonly neighbour = ({ view, start, end }: Message): true | undefined => {
    if (!(view.getUint16(start + 8, true) & nl.NUD_PERMANENT)) return undefined;
    const at = this.#row(NEIGHBOUR_WORDS);
    this.#words[at] = view.getUint32(start + 4, true);
    for (let next = start + nl.NDMSG_BYTES; next + NLA_HDRLEN <= end; ) {
      const length = view.getUint16(next, true);
      if (length < NLA_HDRLEN) break;
      const type = view.getUint16(next + 2, true) & NLA_TYPE_MASK;
      if (type === nl.NDA_DST) this.#words[at + 1] = view.getUint32(next + NLA_HDRLEN);
      else if (type === nl.NDA_LLADDR) this.#mac(at + 2, view, next, length);
      next += align(length);
    }
    return true;
  };

  /** Rows that someone wrote: the bridge's own (permanent, one per link) and what it learnt are left out. */
  readonly fdb = ({ view, start, end }: Message): true | undefined => {
    const state = view.getUint16(start + 8, true);
    const at = this.#row(FDB_WORDS);
    this.#words[at] = view.getUint32(start + 4, true);
    let master = false;
    for (let next = start + nl.NDMSG_BYTES; next + NLA_HDRLEN <= end; ) {
      const length = view.getUint16(next, true);
      if (length < NLA_HDRLEN) break;
      const type = view.getUint16(next + 2, true) & NLA_TYPE_MASK;
      const value = next + NLA_HDRLEN;
      if (type === nl.NDA_LLADDR) this.#mac(at + 1, view, next, length);
      else if (type === nl.NDA_DST && length === NLA_HDRLEN + 4) {
        this.#words[at + 3] = view.getUint32(value);
        this.#words[at + 4]! |= HAS_VTEP;
      } else if (type === nl.NDA_PORT) this.#words[at + 4]! |= view.getUint16(value);
      else if (type === nl.NDA_MASTER) master = true;
      next += align(length);
    }
    const written = this.#words[at + 4]! & HAS_VTEP || (master && isStatic(state));
    if (written) return true;
    this.#length = at;
    return undefined;
  };

  /** The last rows, as many as a dump has told: those before them are of one that had to be begun again. */
  take(kind: 'neighbour' | 'fdb', count: number): Uint32Array {
    const words = count * (kind === 'fdb' ? FDB_WORDS : NEIGHBOUR_WORDS);
    return this.#words.slice(this.#length - words, this.#length);
  }

  #mac(at: number, view: DataView, attribute: number, length: number): void {
    if (length !== NLA_HDRLEN + 6) return;
    this.#words[at] = view.getUint16(attribute + NLA_HDRLEN);
    this.#words[at + 1] = view.getUint32(attribute + NLA_HDRLEN + 2);
  }

  #row(words: number): number {
    const at = this.#length;
    this.#length += words;
    if (this.#length > this.#words.length) {
      const larger = new Uint32Array(2 * this.#words.length);
      larger.set(this.#words);
      this.#words = larger;
    }
    this.#words.fill(0, at, this.#length);
    return at;
  }
}

/** As `bridge fdb` says: neither learnt nor the bridge's own. */
function isStatic(state: number): boolean {
  return (state & nl.NUD_NOARP) !== 0 && (state & nl.NUD_PERMANENT) === 0;
}

export function sameRows(a: Uint32Array | undefined, b: Uint32Array): boolean {
  if (a?.length !== b.length) return false;
  return Buffer.compare(bytesOf(a), bytesOf(b)) === 0;
}

function bytesOf(words: Uint32Array): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

// ---------------------------------------------------------------- as objects

/** Rows with the numbers that they were made of. */
export interface MadeRows<T> {
  readonly words: Uint32Array;
  /** By place in `words`; undefined: one that is of no concern. */
  readonly made: readonly (T | undefined)[];
  readonly rows: readonly T[];
}

type Names = ReadonlyMap<number, string>;

/** `names`: of links by index. `last`: of the same links; what is where it was is not made again. */
export function makeNeighbours(words: Uint32Array, names: Names, last?: MadeRows<Neighbour>): MadeRows<Neighbour> {
  return make(words, NEIGHBOUR_WORDS, last, (at) => ({
    link: names.get(words[at]!) ?? '',
    address: formatIpv4(words[at + 1]!),
    mac: formatMac(words[at + 2]!, words[at + 3]!),
  }));
}

export function makeFdb(words: Uint32Array, names: Names, last?: MadeRows<FdbRow>): MadeRows<FdbRow> {
  return make(words, FDB_WORDS, last, (at) => {
    const link = names.get(words[at]!) ?? '';
    const mac = formatMac(words[at + 1]!, words[at + 2]!);
    const end = words[at + 4]!;
    if (!(end & HAS_VTEP)) return { link, mac };
    // Of another VXLAN device.
    if (link !== TUNNEL) return undefined;
    const port = end & 0xffff;
    return { link, mac, vtep: formatIpv4(words[at + 3]!), port: port === 0 ? undefined : port };
  });
}

function make<T>(
  words: Uint32Array,
  size: number,
  last: MadeRows<T> | undefined,
  row: (at: number) => T | undefined,
): MadeRows<T> {
  const made: (T | undefined)[] = [];
  for (let at = 0, nth = 0; at < words.length; at += size, nth++) {
    made.push(last && nth < last.made.length && sameAt(words, last.words, at, size) ? last.made[nth] : row(at));
  }
  const rows = made.includes(undefined) ? made.filter((each) => each !== undefined) : (made as T[]);
  return { words, made, rows };
}

function sameAt(a: Uint32Array, b: Uint32Array, at: number, size: number): boolean {
  for (let each = at; each < at + size; each++) if (a[each] !== b[each]) return false;
  return true;
}
