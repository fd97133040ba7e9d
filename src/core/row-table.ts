/**
 * Neighbours and FDB rows by the thousand, as numbers in one array: so they are planned, compared, handed from thread to
 * thread and written. Objects and text are made of those alone that somebody has to read. A table is not changed once it is
 * made; it is plain data, which a message between threads can hold.
 *
 * A row is a few 32-bit words: the number of its link, then
 * - neighbour: address (4 words), MAC (its first two bytes, the other four);
 * - FDB: MAC (2 words), tunnel end (4 words), its UDP port, with {@link HAS_VTEP} where there is a tunnel end.
 *
 * Addresses have 16 bytes; one of IPv4 is written as IPv6 has it, `::ffff:a.b.c.d` (RFC 4291, 2.5.5.2).
 */
import { OverlaydError } from './errors.ts';
import type { FdbRow, Neighbour } from './host-state.ts';
import { formatIp, formatIpv4Number, parseIp, parseIpv4Number } from './ip.ts';

export type RowKind = 'neighbour' | 'fdb';

export interface RowTable<K extends RowKind = RowKind> {
  readonly kind: K;
  /** Names of links by their numbers, which mean nothing outside of the table. */
  readonly links: ReadonlyMap<number, string>;
  readonly words: Uint32Array;
}

export type NeighbourTable = RowTable<'neighbour'>;
export type FdbTable = RowTable<'fdb'>;

/** Words of a row. */
export const ROW_WORDS = { neighbour: 7, fdb: 8 } as const;
/** So many of them, from the first on, name a row: its link, and the address or the MAC. */
const KEY_WORDS = { neighbour: 5, fdb: 3 } as const;
/** Where what begins. */
export const NEIGHBOUR = { link: 0, address: 1, mac: 5 } as const;
export const FDB = { link: 0, mac: 1, vtep: 3, port: 7 } as const;
/** The third word of an IPv4 address, before its own. */
export const MAPPED_IPV4 = 0xffff;
export const HAS_VTEP = 1 << 16;

const INITIAL_ROWS = 32;

export function rowCount({ kind, words }: RowTable): number {
  return words.length / ROW_WORDS[kind];
}

// ---------------------------------------------------------------- making

/** Collects rows, given as text. Throws `internal` for what is no address or MAC: it was checked where it came in. */
export class RowWriter<K extends RowKind> {
  readonly #kind: K;
  readonly #links = new Map<string, number>();
  #words: Uint32Array;
  #length = 0;

  constructor(kind: K, rows = INITIAL_ROWS) {
    this.#kind = kind;
    this.#words = new Uint32Array(rows * ROW_WORDS[kind]);
  }

  table(): RowTable<K> {
    const links = new Map([...this.#links].map(([name, number]) => [number, name]));
    return { kind: this.#kind, links, words: this.#words.subarray(0, this.#length) };
  }

  neighbour(this: RowWriter<'neighbour'>, link: string, address: string, mac: string): void {
    const at = this.#row(link);
    writeAddress(this.#words, at + NEIGHBOUR.address, address);
    writeMac(this.#words, at + NEIGHBOUR.mac, mac);
  }

  /** As of {@link FdbRow}. */
  fdb(this: RowWriter<'fdb'>, link: string, mac: string, vtep: string | undefined, port: number | undefined): void {
    const at = this.#row(link);
    writeMac(this.#words, at + FDB.mac, mac);
    if (vtep === undefined) return;
    writeAddress(this.#words, at + FDB.vtep, vtep);
    this.#words[at + FDB.port] = HAS_VTEP | (port ?? 0);
  }

  /** Another one, without anything but its link. */
  #row(link: string): number {
    let number = this.#links.get(link);
    if (number === undefined) {
      number = this.#links.size + 1;
      this.#links.set(link, number);
    }
    const at = this.#length;
    this.#length += ROW_WORDS[this.#kind];
    if (this.#length > this.#words.length) {
      const larger = new Uint32Array(2 * this.#length);
      larger.set(this.#words);
      this.#words = larger;
    }
    this.#words[at] = number;
    return at;
  }
}

export function neighbourTable(rows: NeighbourTable | readonly Neighbour[]): NeighbourTable {
  if ('words' in rows) return rows;
  const writer = new RowWriter('neighbour', rows.length);
  for (const { link, address, mac } of rows) writer.neighbour(link, address, mac);
  return writer.table();
}

export function fdbTable(rows: FdbTable | readonly FdbRow[]): FdbTable {
  if ('words' in rows) return rows;
  const writer = new RowWriter('fdb', rows.length);
  for (const { link, mac, vtep, port } of rows) writer.fdb(link, mac, vtep, port);
  return writer.table();
}

function writeMac(words: Uint32Array, at: number, text: string): void {
  if (text.length !== 17) throw new OverlaydError('internal', `"${text}" is no MAC address`);
  words[at] = (byteOf(text, 0) << 8) | byteOf(text, 3);
  words[at + 1] = (byteOf(text, 6) << 24) | (byteOf(text, 9) << 16) | (byteOf(text, 12) << 8) | byteOf(text, 15);
}

function byteOf(mac: string, at: number): number {
  return (digitOf(mac, at) << 4) | digitOf(mac, at + 1);
}

/** Digits, then letters, whose lower bits count from 1 for `a`, upper or lower case. */
function digitOf(mac: string, at: number): number {
  const code = mac.charCodeAt(at);
  return code & 0x40 ? (code & 0x7) + 9 : code & 0xf;
}

function writeAddress(words: Uint32Array, at: number, text: string): void {
  const value = parseIpv4Number(text);
  if (value >= 0) {
    words[at + 2] = MAPPED_IPV4;
    words[at + 3] = value;
    return;
  }
  const ip = parseIp(text);
  if (!ip) throw new OverlaydError('internal', `"${text}" is no IP address`);
  for (let word = 0; word < 4; word++) words[at + word] = Number((ip.value >> BigInt(96 - 32 * word)) & 0xffff_ffffn);
}

// ---------------------------------------------------------------- reading

export function neighbourRows(rows: NeighbourTable | readonly Neighbour[]): readonly Neighbour[] {
  return 'words' in rows ? Array.from({ length: rowCount(rows) }, (_, nth) => neighbourAt(rows, nth)) : rows;
}

export function fdbRows(rows: FdbTable | readonly FdbRow[]): readonly FdbRow[] {
  return 'words' in rows ? Array.from({ length: rowCount(rows) }, (_, nth) => fdbRowAt(rows, nth)) : rows;
}

export function neighbourAt({ links, words }: NeighbourTable, nth: number): Neighbour {
  const at = nth * ROW_WORDS.neighbour;
  return {
    link: links.get(words[at]!) ?? '',
    address: readAddress(words, at + NEIGHBOUR.address),
    mac: readMac(words, at + NEIGHBOUR.mac),
  };
}

export function fdbRowAt({ links, words }: FdbTable, nth: number): FdbRow {
  const at = nth * ROW_WORDS.fdb;
  const row = { link: links.get(words[at]!) ?? '', mac: readMac(words, at + FDB.mac) };
  const end = words[at + FDB.port]!;
  if (!(end & HAS_VTEP)) return row;
  const port = end & 0xffff;
  return { ...row, vtep: readAddress(words, at + FDB.vtep), port: port === 0 ? undefined : port };
}

function readAddress(words: Uint32Array, at: number): string {
  if (isIpv4(words, at)) return formatIpv4Number(words[at + 3]!);
  let value = 0n;
  for (let word = 0; word < 4; word++) value = (value << 32n) | BigInt(words[at + word]!);
  return formatIp({ family: 6, value });
}

/** Of the address that begins there; its last word is the address then. */
export function isIpv4(words: Uint32Array, at: number): boolean {
  return words[at + 2] === MAPPED_IPV4 && words[at] === 0 && words[at + 1] === 0;
}

function readMac(words: Uint32Array, at: number): string {
  const value = words[at]! * 2 ** 32 + words[at + 1]!;
  return value
    .toString(16)
    .padStart(12, '0')
    .replace(/..(?=.)/g, '$&:');
}

// ---------------------------------------------------------------- parts of tables

/** Those rows, in that order. */
export function rowsAt<K extends RowKind>(table: RowTable<K>, positions: ArrayLike<number>): RowTable<K> {
  const size = ROW_WORDS[table.kind];
  const words = new Uint32Array(positions.length * size);
  for (let nth = 0; nth < positions.length; nth++) {
    const from = positions[nth]! * size;
    for (let each = 0; each < size; each++) words[nth * size + each] = table.words[from + each]!;
  }
  return { ...table, words };
}

export function withoutRows<K extends RowKind>(table: RowTable<K>, positions: readonly number[]): RowTable<K> {
  const left = Array.from({ length: rowCount(table) }, (_, nth) => nth).filter((nth) => !positions.includes(nth));
  return rowsAt(table, left);
}

/** The rows of both. */
export function withRows<K extends RowKind>(table: RowTable<K>, more: RowTable<K>): RowTable<K> {
  const added = numberedAs(more, table);
  const words = new Uint32Array(table.words.length + added.words.length);
  words.set(table.words);
  words.set(added.words, table.words.length);
  return { ...table, links: new Map([...table.links, ...added.links]), words };
}

/** The table itself where all of its rows are of such links. A row whose link has no name in the table is of none. */
export function rowsOfLinks<K extends RowKind>(table: RowTable<K>, isSuch: (link: string) => boolean): RowTable<K> {
  const such = new Set([...table.links].flatMap(([number, name]) => (isSuch(name) ? [number] : [])));
  const size = ROW_WORDS[table.kind];
  const positions = new Int32Array(rowCount(table));
  let count = 0;
  for (let nth = 0; nth < positions.length; nth++) if (such.has(table.words[nth * size]!)) positions[count++] = nth;
  return count === positions.length ? table : rowsAt(table, positions.subarray(0, count));
}

/** Without the rows that come after another one of the same MAC. */
export function firstOfEachMac(table: FdbTable): FdbTable {
  const index = new RowIndex(table, FDB.mac, FDB.vtep, 0, rowCount(table));
  const positions = new Int32Array(rowCount(table));
  let count = 0;
  for (let nth = 0; nth < positions.length; nth++) {
    if (index.first(table.words, nth * ROW_WORDS.fdb) === nth) positions[count++] = nth;
  }
  return count === positions.length ? table : rowsAt(table, positions.subarray(0, count));
}

/** The same rows, with the numbers that `other` has for links of the same names. */
export function numberedAs<K extends RowKind>(table: RowTable<K>, other: RowTable<K>): RowTable<K> {
  const theirs = new Map([...other.links].map(([number, name]) => [name, number]));
  let free = Math.max(0, ...other.links.keys());
  const numbers = new Map([...table.links].map(([number, name]) => [number, theirs.get(name) ?? ++free]));
  if ([...numbers].every(([before, after]) => before === after)) return table;
  const words = table.words.slice();
  for (let at = 0; at < words.length; at += ROW_WORDS[table.kind]) words[at] = numbers.get(words[at]!) ?? 0;
  return { ...table, links: new Map([...table.links].map(([number, name]) => [numbers.get(number)!, name])), words };
}

// ---------------------------------------------------------------- comparing

export interface RowDifference {
  /** Positions in the wanted table of rows that have to be written. */
  readonly missing: Int32Array;
  /** Positions in the seen one of rows that are too many. */
  readonly extra: Int32Array;
}

/**
 * What has to be written over, and what is too many then. Writing overwrites the first row of the same key. Both tables are
 * mostly in the same order and differ in a row or two: only what lies between is worth an index. Scale: linear.
 */
export function rowDifference<K extends RowKind>(wanted: RowTable<K>, seen: RowTable<K>): RowDifference {
  const { kind } = wanted;
  // As at a network's first endpoint here.
  if (rowCount(seen) === 0) return { missing: upTo(rowCount(wanted)), extra: new Int32Array() };
  const size = ROW_WORDS[kind];
  const a = wanted.words;
  const b = numberedAs(seen, wanted).words;
  const [countA, countB] = [rowCount(wanted), rowCount(seen)];
  const shorter = Math.min(countA, countB);
  let front = 0;
  while (front < shorter && isSame(a, front * size, b, front * size, size)) front++;
  let back = 0;
  while (back < shorter - front && isSame(a, (countA - 1 - back) * size, b, (countB - 1 - back) * size, size)) back++;
  const [endA, endB] = [countA - back, countB - back];
  const index = new RowIndex({ kind, words: b }, 0, KEY_WORDS[kind], front, endB);
  const missing = new Int32Array(endA - front);
  let missed = 0;
  const stays = new Uint8Array(countB);
  for (let nth = front; nth < endA; nth++) {
    const first = index.first(a, nth * size);
    let right = first;
    while (right >= 0 && !isSame(a, nth * size, b, right * size, size)) right = index.next(right);
    if (right < 0) missing[missed++] = nth;
    const kept = right < 0 ? first : right;
    if (kept >= 0) stays[kept] = 1;
  }
  const extra = new Int32Array(endB - front);
  let extras = 0;
  let all: RowIndex | undefined;
  for (let nth = front; nth < endB; nth++) {
    if (stays[nth] !== 0) continue;
    // Of two that are the same, deleting one deletes the one that is wanted.
    all ??= new RowIndex(wanted, 0, size, 0, countA);
    if (all.first(b, nth * size) < 0) extra[extras++] = nth;
  }
  return { missing: missing.subarray(0, missed), extra: extra.subarray(0, extras) };
}

function upTo(count: number): Int32Array {
  const positions = new Int32Array(count);
  for (let nth = 0; nth < count; nth++) positions[nth] = nth;
  return positions;
}

/** Positions of the rows that have the key of the only row of `one`. */
export function rowsLike<K extends RowKind>(table: RowTable<K>, one: RowTable<K>): number[] {
  const key = numberedAs(one, table).words;
  const size = ROW_WORDS[table.kind];
  const positions: number[] = [];
  for (let nth = 0, count = rowCount(table); nth < count; nth++)
    if (isSame(table.words, nth * size, key, 0, KEY_WORDS[table.kind])) positions.push(nth);
  return positions;
}

function isSame(a: Uint32Array, atA: number, b: Uint32Array, atB: number, count: number): boolean {
  for (let each = 0; each < count; each++) if (a[atA + each] !== b[atB + each]) return false;
  return true;
}

/** Rows of a part of a table, by the words of their key; those of one key in order. */
class RowIndex {
  readonly #words: Uint32Array;
  readonly #size: number;
  readonly #from: number;
  readonly #length: number;
  /** By hash and by row, one more than the position of the next one; 0: none. */
  readonly #heads: Int32Array;
  readonly #nexts: Int32Array;

  constructor({ kind, words }: Pick<RowTable, 'kind' | 'words'>, from: number, to: number, start: number, end: number) {
    this.#words = words;
    this.#size = ROW_WORDS[kind];
    this.#from = from;
    this.#length = to - from;
    const count = Math.max(0, end - start);
    this.#heads = new Int32Array(2 ** Math.ceil(Math.log2(2 * count + 1)));
    this.#nexts = new Int32Array(count === 0 ? 0 : end);
    for (let nth = end - 1; nth >= start; nth--) {
      const hash = this.#hash(words, nth * this.#size);
      this.#nexts[nth] = this.#heads[hash]!;
      this.#heads[hash] = nth + 1;
    }
  }

  /** The first with the key of the row that begins there in those words; -1: none. */
  first(words: Uint32Array, at: number): number {
    if (this.#nexts.length === 0) return -1;
    return this.#search(this.#heads[this.#hash(words, at)]!, words, at);
  }

  /** The next with the same key; -1: none. */
  next(nth: number): number {
    return this.#search(this.#nexts[nth]!, this.#words, nth * this.#size);
  }

  #search(candidate: number, words: Uint32Array, at: number): number {
    let each = candidate;
    while (each > 0 && !isSame(this.#words, (each - 1) * this.#size + this.#from, words, at + this.#from, this.#length))
      each = this.#nexts[each - 1]!;
    return each - 1;
  }

  #hash(words: Uint32Array, at: number): number {
    let hash = 0;
    for (let each = this.#from; each < this.#from + this.#length; each++) {
      hash = Math.imul(hash ^ words[at + each]!, 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    return hash & (this.#heads.length - 1);
  }
}
