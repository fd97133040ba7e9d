/**
 * Neighbours and FDB rows by the thousand, as numbers in one array: so they are planned, compared, handed from thread to
 * thread and written. Objects and text are made of those alone that somebody has to read. A table is not changed once it is
 * made; it is plain data, which a message between threads can hold.
 *
 * A row is a few 32-bit words: the number of its link, then
 * - neighbour: address (4 words), MAC (its first two bytes, the other four);
 * - FDB: whose row it is ({@link OF_DEVICE}, or the bridge's that the link is in), MAC (2 words), tunnel end (4 words), its UDP
 *   port.
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
export const ROW_WORDS = { neighbour: 7, fdb: 9 } as const;
/** Where what begins. */
export const NEIGHBOUR = { link: 0, address: 1, mac: 5 } as const;
export const FDB = { link: 0, owner: 1, mac: 2, vtep: 4, port: 8 } as const;
/** The third word of an IPv4 address, before its own. */
export const MAPPED_IPV4 = 0xffff;
/** Of a VXLAN device's row, which has a tunnel end; 0: of a bridge's. */
export const OF_DEVICE = 1;
/** A VXLAN device sends to the tunnel ends of this MAC, of which it keeps a list, what no other row is for: flood rows. */
export const ALL_ZEROS = '00:00:00:00:00:00';

const INITIAL_ROWS = 32;
const ADDRESS_WORDS = 4;

export function rowCount({ kind, words }: RowTable): number {
  return words.length / ROW_WORDS[kind];
}

// ---------------------------------------------------------------- making

/** Collects rows, given as text. Throws `internal` for what is no address or MAC: it was checked where it came in. */
export class RowWriter<K extends RowKind> {
  readonly #kind: K;
  readonly #links = new Map<string, number>();
  readonly #names = new Map<number, string>();
  readonly #size: number;
  #words: Uint32Array;
  #length = 0;
  /** Of thousands of rows most are of the link of the one before, and behind its tunnel end. */
  #link = { name: '', number: -1 };
  #end: string | undefined;
  #endAt = 0;

  constructor(kind: K, rows = INITIAL_ROWS) {
    this.#kind = kind;
    this.#size = ROW_WORDS[kind];
    this.#words = new Uint32Array(rows * this.#size);
  }

  table(): RowTable<K> {
    return { kind: this.#kind, links: this.#names, words: this.#words.subarray(0, this.#length) };
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
    this.#words[at + FDB.owner] = OF_DEVICE;
    this.#tunnelEnd(at + FDB.vtep, vtep);
    this.#words[at + FDB.port] = port ?? 0;
  }

  #tunnelEnd(at: number, text: string): void {
    if (text === this.#end) this.#words.copyWithin(at, this.#endAt, this.#endAt + ADDRESS_WORDS);
    else writeAddress(this.#words, at, text);
    this.#end = text;
    this.#endAt = at;
  }

  /** Mostly the same for one name in all tables: then they are compared as they are. */
  #numberOf(link: string): number {
    let number = 0;
    for (let index = 0; index < link.length; index++) number = (Math.imul(number, 31) + link.charCodeAt(index)) >>> 0;
    while (this.#names.has(number)) number = (number + 1) >>> 0;
    return number;
  }

  /** Another one, without anything but its link. */
  #row(link: string): number {
    if (this.#link.name !== link || this.#link.number < 0) this.#link = { name: link, number: this.#number(link) };
    const at = this.#length;
    this.#length += this.#size;
    if (this.#length > this.#words.length) {
      const larger = new Uint32Array(2 * this.#length);
      larger.set(this.#words);
      this.#words = larger;
    }
    this.#words[at] = this.#link.number;
    return at;
  }

  #number(link: string): number {
    const known = this.#links.get(link);
    if (known !== undefined) return known;
    const number = this.#numberOf(link);
    this.#links.set(link, number);
    this.#names.set(number, link);
    return number;
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

/** The one that was read last: an endpoint's stands in two rows at least, one after the other. */
let read: ReadMac | undefined;

interface ReadMac {
  readonly text: string;
  readonly high: number;
  readonly low: number;
}

function writeMac(words: Uint32Array, at: number, text: string): void {
  if (text !== read?.text) read = readMac(text);
  words[at] = read.high;
  words[at + 1] = read.low;
}

function readMac(text: string): ReadMac {
  if (text.length !== 17) throw new OverlaydError('internal', `"${text}" is no MAC address`);
  let high = 0;
  let low = 0;
  for (let digit = 0; digit < 17; digit += digit % 3 === 0 ? 1 : 2) {
    const code = text.charCodeAt(digit);
    // Digits, then letters, whose lower bits count from 1 for `a`, upper or lower case.
    const value = code & 0x40 ? (code & 0x7) + 9 : code & 0xf;
    if (digit < 5) high = (high << 4) | value;
    else low = (low << 4) | value;
  }
  return { text, high, low };
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
    mac: formatMac(words, at + NEIGHBOUR.mac),
  };
}

export function fdbRowAt({ links, words }: FdbTable, nth: number): FdbRow {
  const at = nth * ROW_WORDS.fdb;
  const row = { link: links.get(words[at]!) ?? '', mac: formatMac(words, at + FDB.mac) };
  if (words[at + FDB.owner] !== OF_DEVICE) return row;
  const port = words[at + FDB.port]!;
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

function formatMac(words: Uint32Array, at: number): string {
  const value = words[at]! * 2 ** 32 + words[at + 1]!;
  return value
    .toString(16)
    .padStart(12, '0')
    .replace(/..(?=.)/g, '$&:');
}

// ---------------------------------------------------------------- parts of tables

/** Those rows, in that order. */
function rowsAt<K extends RowKind>(table: RowTable<K>, positions: ArrayLike<number>): RowTable<K> {
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

/** Whether it is one of a device's list, in which nothing is overwritten. */
export function isFloodRow({ kind, words }: Pick<RowTable, 'kind' | 'words'>, nth: number): boolean {
  const at = nth * ROW_WORDS.fdb;
  return (
    kind === 'fdb' && words[at + FDB.owner] === OF_DEVICE && words[at + FDB.mac] === 0 && words[at + FDB.mac + 1] === 0
  );
}

/** The same MACs behind the same links, as rows of the bridge. */
export function asBridgeRows(table: FdbTable): FdbTable {
  const words = table.words.slice();
  for (let at = 0; at < words.length; at += ROW_WORDS.fdb) {
    words[at + FDB.owner] = 0;
    words.fill(0, at + FDB.vtep, at + ROW_WORDS.fdb);
  }
  return { ...table, words };
}

/** Without the rows that come after another one of the same MAC. */
export function firstOfEachMac(table: FdbTable): FdbTable {
  const { words } = table;
  const positions = new Int32Array(rowCount(table));
  // Open addressing (Knuth, vol. 3, 6.4): each slot has one more than where a MAC begins; 0: it is free.
  const slots = new Int32Array(2 ** Math.ceil(Math.log2(2 * positions.length + 1)));
  const last = slots.length - 1;
  let count = 0;
  for (let nth = 0; nth < positions.length; nth++) {
    const at = nth * ROW_WORDS.fdb + FDB.mac;
    let slot = (Math.imul(words[at]! ^ Math.imul(words[at + 1]!, 0x9e3779b1), 0x85ebca6b) >>> 7) & last;
    let there = slots[slot]!;
    while (there > 0 && (words[there - 1] !== words[at] || words[there] !== words[at + 1])) {
      slot = (slot + 1) & last;
      there = slots[slot]!;
    }
    if (there > 0) continue;
    slots[slot] = at + 1;
    positions[count++] = nth;
  }
  return count === positions.length ? table : rowsAt(table, positions.subarray(0, count));
}

/** A table of one more link or two than another is compared with it as it is. */
const FEW_LINKS = 4;

/** No name has one number here and another there, and no number two names. */
function agree(links: ReadonlyMap<number, string>, other: ReadonlyMap<number, string>): boolean {
  const unknown: string[] = [];
  for (const [number, name] of links) {
    const theirs = other.get(number);
    if (theirs === undefined) unknown.push(name);
    if ((theirs !== undefined && theirs !== name) || unknown.length > FEW_LINKS) return false;
  }
  if (unknown.length > 0) for (const name of other.values()) if (unknown.includes(name)) return false;
  return true;
}

/** The same rows, with the numbers that `other` has for links of the same names. */
export function numberedAs<K extends RowKind>(table: RowTable<K>, other: RowTable<K>): RowTable<K> {
  if (agree(table.links, other.links)) return table;
  const theirs = new Map([...other.links].map(([number, name]) => [name, number]));
  let free = 0;
  const next = () => {
    do free += 1;
    while (other.links.has(free));
    return free;
  };
  const numbers = new Map([...table.links].map(([number, name]) => [number, theirs.get(name) ?? next()]));
  const words = table.words.slice();
  for (let at = 0; at < words.length; at += ROW_WORDS[table.kind]) words[at] = numbers.get(words[at]!) ?? 0;
  return { ...table, links: new Map([...table.links].map(([number, name]) => [numbers.get(number)!, name])), words };
}
