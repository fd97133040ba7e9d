/** What two tables of rows differ in, by their words. */
import { isFloodRow, numberedAs, ROW_WORDS, type RowKind, type RowTable, rowCount } from './row-table.ts';

/** So many words of a row, from the first on, name it: its link, and the address, or whose row it is and the MAC. */
const KEY_WORDS = { neighbour: 5, fdb: 4 } as const;

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
    const kept = right < 0 && !isFloodRow(wanted, nth) ? first : right;
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
