/** What two tables of rows differ in, by their words. */
import {
  FDB,
  isFloodRow,
  NEIGHBOUR,
  numberedAs,
  ROW_WORDS,
  type RowKind,
  type RowTable,
  rowCount,
} from './row-table.ts';

/** So many words of a row, from the first on, name it: its link, and the address, or whose row it is and the MAC. */
const KEY_WORDS = { neighbour: 5, fdb: 4 } as const;
/** The word in which rows differ most. */
const TELLING = { neighbour: NEIGHBOUR.address + 3, fdb: FDB.mac + 1 } as const;
/** So many rows are sooner looked for one by one than in an index of all. */
const FEW_ROWS = 16;

export interface RowDifference {
  /** Positions in the wanted table of rows that have to be written. */
  readonly missing: Int32Array;
  /** Positions in the seen one of rows that are too many. */
  readonly extra: Int32Array;
}

/**
 * What has to be written over, and what is too many then. Writing overwrites the first row of the same key, but for flood
 * rows, to which it adds. Both tables are mostly in the same order and differ in a row or two: only what lies between is
 * worth an index. Scale: linear.
 */
export function rowDifference<K extends RowKind>(wanted: RowTable<K>, seen: RowTable<K>): RowDifference {
  const { kind } = wanted;
  // As at a network's first endpoint here.
  if (rowCount(seen) === 0) return { missing: upTo(rowCount(wanted)), extra: new Int32Array() };
  const size = ROW_WORDS[kind];
  const made = splices.get(wanted);
  const known = made?.of.deref() === seen ? made : undefined;
  const a = wanted.words;
  const b = known ? seen.words : numberedAs(seen, wanted).words;
  const [countA, countB] = [rowCount(wanted), rowCount(seen)];
  const shorter = Math.min(countA, countB);
  let [front, back] = known ? [known.front, known.back] : [0, 0];
  while (front < shorter - back && isSame(a, front * size, b, front * size, size)) front++;
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
    const kept = right < 0 && !isFloodRow(wanted, nth) ? first : right;
    if (kept >= 0) stays[kept] = 1;
  }
  const extra = new Int32Array(endB - front);
  let extras = 0;
  let all: RowIndex | undefined;
  const isWanted = (nth: number) => {
    if (endB - front <= FEW_ROWS) return hasRow(wanted, b, nth);
    all ??= new RowIndex(wanted, 0, size, 0, countA);
    return all.first(b, nth * size) >= 0;
  };
  for (let nth = front; nth < endB; nth++) {
    if (stays[nth] !== 0) continue;
    // Of two that are the same, deleting one deletes the one that is wanted.
    if (!isWanted(nth)) extra[extras++] = nth;
  }
  return { missing: missing.subarray(0, missed), extra: extra.subarray(0, extras) };
}

/** What a table was made of by {@link spliceRows}: so many of its first and last rows are that one's. */
interface Splice {
  readonly of: WeakRef<RowTable>;
  readonly front: number;
  readonly back: number;
}

const splices = new WeakMap<RowTable, Splice>();

/** Whether the one was made of the other by {@link spliceRows}: the numbers of their links are the same. */
export function isSpliceOf(table: RowTable, other: RowTable): boolean {
  return splices.get(table)?.of.deref() === other;
}

/**
 * The table with other rows in the place of `count` of its own, from position `start` on. To tell the two apart takes as long
 * as there are such rows, however many there are besides.
 */
export function spliceRows<K extends RowKind>(
  table: RowTable<K>,
  start: number,
  count: number,
  rows: RowTable<K>,
): RowTable<K> {
  const { kind } = table;
  const size = ROW_WORDS[kind];
  const added = numberedAs(rows, table);
  const [from, to] = [start * size, (start + count) * size];
  const words = new Uint32Array(table.words.length - (to - from) + added.words.length);
  words.set(table.words.subarray(0, from));
  words.set(added.words, from);
  words.set(table.words.subarray(to), from + added.words.length);
  const gone = new Set<number>();
  // A number may stand elsewhere as another word: then a name stays that no row has.
  for (let at = from; at < to; at += size) if (!words.includes(table.words[at]!)) gone.add(table.words[at]!);
  const isOfMore = [...added.links.keys()].some((number) => !table.links.has(number));
  const spliced = { kind, links: gone.size > 0 || isOfMore ? linksOf(table, added, gone) : table.links, words };
  splices.set(spliced, { of: new WeakRef(table), front: start, back: rowCount(table) - start - count });
  return spliced;
}

function linksOf(table: RowTable, added: RowTable, gone: ReadonlySet<number>): RowTable['links'] {
  const links = new Map(table.links);
  for (const number of gone) links.delete(number);
  for (const [number, name] of added.links) links.set(number, name);
  return links;
}

/** Whether the table has that row of those words, whose links have the same numbers. */
function hasRow<K extends RowKind>({ kind, words }: RowTable<K>, of: Uint32Array, nth: number): boolean {
  const size = ROW_WORDS[kind];
  const telling = TELLING[kind];
  const from = nth * size;
  for (let at = -1; ; ) {
    at = words.indexOf(of[from + telling]!, at + 1);
    if (at < 0) return false;
    if (at % size === telling && isSame(words, at - telling, of, from, size)) return true;
  }
}

/** Whether no other row of the table has the MAC of the one at that position. */
export function isOnlyOfMac({ words }: RowTable<'fdb'>, nth: number): boolean {
  const size = ROW_WORDS.fdb;
  const mac = nth * size + FDB.mac;
  for (let at = -1; ; ) {
    at = words.indexOf(words[mac + 1]!, at + 1);
    if (at < 0) return true;
    if (at !== mac + 1 && at % size === FDB.mac + 1 && words[at - 1] === words[mac]) return false;
  }
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
