/**
 * Keys with their values and revisions in a few blocks of memory: of 10,000 endpoints two to three megabytes, where a map
 * of texts takes ten, and nothing for the garbage collector to walk through. What comes out is what was put in.
 *
 * A key is its group (all up to its last slash), which is kept once, and a name. Names and values are written one after the
 * other; what is written over or deleted leaves a hole, and when a quarter of all is holes, what is left moves together. Scales:
 * reading and writing of one key are constant work, a few microseconds with its text; looking for what a group, a subject
 * or a revision has passes over all keys, some nanoseconds each, and makes the texts of those alone that it finds.
 */
import { PackedTexts, widened } from './packed-text.ts';
import type { SharedFields } from './text-shape.ts';

export interface TableRecord {
  readonly key: string;
  /** Above 0. */
  readonly revision: number;
  /** Undefined: a tombstone. */
  readonly value: string | undefined;
}

/** One whose value is not taken out as a text. */
export interface ParsedRecord {
  readonly key: string;
  /** What `JSON.parse` makes of it. Throws what that throws. */
  parse(): unknown;
}

/** Holes that are not worth moving the rest for. */
const FEW_BYTES = 64 * 1_024;
/** That a key takes with its value. */
const USUAL_BYTES = 80;

/** Keys may come and go while somebody goes through it, as in a `Map`. */
export class RecordTable {
  readonly #packed: PackedTexts;
  /** Of each slot its name and its value. */
  #bytes = new Uint8Array(0);
  #end = 0;
  #holes = 0;
  /** A slot is a key's as long as the key is there. */
  #slots = new Slots(0);
  /** By hash: the first slot, one more; 0: none. Twice as many as slots at most. */
  #heads = new Uint32Array(1);
  /** Slots that have been a key's once. */
  #used = 0;
  /** The first of those that are free, one more; 0: none. */
  #free = 0;
  #size = 0;
  #tombstones = 0;
  /** Of each group, how much it has that is no tombstone. */
  #counts: number[] = [];

  constructor(options: SharedFields) {
    this.#packed = new PackedTexts(options);
  }

  get size(): number {
    return this.#size;
  }

  get tombstones(): number {
    return this.#tombstones;
  }

  /** That it takes, shared words and shapes aside. */
  get bytes(): number {
    return this.#bytes.byteLength + this.#heads.byteLength + this.#slots.bytes;
  }

  get(key: string): TableRecord | undefined {
    const slot = this.#find(key);
    return slot < 0 ? undefined : this.#recordAt(slot);
  }

  /** Without taking its value out. */
  revisionOf(key: string): number | undefined {
    const slot = this.#find(key);
    return slot < 0 ? undefined : this.#slots.revisions[slot];
  }

  /** Returns the value that it had. */
  set({ key, revision, value }: TableRecord): string | undefined {
    const packed = this.#packed;
    const nameAt = key.lastIndexOf('/') + 1;
    const name = key.slice(nameAt);
    const number = packed.share(key.slice(0, nameAt));
    let slot = this.#findIn(number, name);
    const before = slot < 0 ? undefined : this.#valueAt(slot, name);
    if (slot < 0) slot = this.#take(number);
    else if (before === value && this.#slots.revisions[slot] === revision) return before;
    else this.#leave(slot);
    const subject = packed.writeValue(value, number, name);
    const { length } = packed;
    if (this.#end + length > this.#bytes.length) this.#bytes = widened(this.#bytes, this.#end + length);
    this.#bytes.set(packed.bytes.subarray(0, length), this.#end);
    const { revisions, places, lengths, subjects } = this.#slots;
    revisions[slot] = revision;
    places[slot] = this.#end;
    lengths[slot] = length;
    subjects[slot] = value === undefined ? GONE : subject;
    this.#end += length;
    if (value === undefined) this.#tombstones++;
    else this.#counts[number] = (this.#counts[number] ?? 0) + 1;
    if (this.#holes > FEW_BYTES && 4 * this.#holes > this.#end) this.#moveTogether();
    return before;
  }

  delete(key: string): void {
    const slot = this.#find(key);
    if (slot < 0) return;
    const { nexts, groups } = this.#slots;
    const hash = this.#hashOf(groups[slot]!);
    let before = -1;
    for (let each = this.#heads[hash]! - 1; each !== slot; each = nexts[each]! - 1) before = each;
    if (before < 0) this.#heads[hash] = nexts[slot]!;
    else nexts[before] = nexts[slot]!;
    this.#leave(slot);
    groups[slot] = FREE;
    nexts[slot] = this.#free;
    this.#free = slot + 1;
    this.#size--;
  }

  clear(): void {
    this.#slots = new Slots(0);
    this.#heads = new Uint32Array(1);
    this.#bytes = new Uint8Array(0);
    this.#counts = [];
    this.#end = this.#holes = this.#used = this.#free = this.#size = this.#tombstones = 0;
  }

  /** For that many keys in all: so that it does not grow, and leave what was too small, many times on the way. */
  expect(keys: number): void {
    if (keys > this.#slots.size) this.#makeRoom(keys);
    const bytes = keys * USUAL_BYTES;
    if (bytes > this.#bytes.length) this.#bytes = widened(this.#bytes, bytes);
  }

  /** Gives back what many new keys were not the last to need. */
  trim(): void {
    if (this.#bytes.length > 1.25 * this.#end) this.#bytes = this.#bytes.slice(0, Math.ceil(1.1 * this.#end));
    if (this.#slots.size > 1.25 * this.#used) this.#slots = this.#slots.ofSize(Math.ceil(1.1 * this.#used));
  }

  // ---------------------------------------------------------------- many at once

  /** All whose revision is above that one, in the order of revisions. */
  *since(revision: number): Generator<TableRecord> {
    const { revisions } = this.#slots;
    const found = this.#where((slot) => revisions[slot]! > revision);
    for (const slot of found.sort((a, b) => revisions[a]! - revisions[b]!)) yield this.#recordAt(slot);
  }

  /** All that is no tombstone, in any order. What comes while somebody goes through it may be left out. */
  *all(): Generator<TableRecord> {
    for (let slot = 0; slot < this.#used; slot++) {
      const { groups, subjects } = this.#slots;
      if (groups[slot] !== FREE && subjects[slot] !== GONE) yield this.#recordAt(slot);
    }
  }

  /** What there is of a group, e.g. `/overlayd/v2/addresses/<network id>/`. */
  *below(group: string): Generator<ParsedRecord> {
    const { groups, subjects } = this.#slots;
    const number = this.#packed.numberOf(group);
    if (number === undefined || !this.#counts[number]) return;
    const found = this.#where((slot) => groups[slot] === number && subjects[slot] !== GONE);
    for (const slot of found) yield this.#parsedAt(slot);
  }

  /** How much that is. */
  count(group: string): number {
    return this.#counts[this.#packed.numberOf(group) ?? -1] ?? 0;
  }

  /** How much there is in all groups of that beginning. */
  countAll(beginning: string): number {
    return this.#counts.reduce((sum, count, group) => {
      return sum + (count > 0 && this.#packed.wordOf(group).startsWith(beginning) ? count : 0);
    }, 0);
  }

  /** What there is in groups of that beginning about the subject, and that of which it cannot be told what it is about. */
  *about(subject: string, beginning: string): Generator<ParsedRecord> {
    const { groups, subjects } = this.#slots;
    const number = this.#packed.numberOf(subject);
    const isMeant: boolean[] = [];
    const found = this.#where((slot) => {
      if (subjects[slot] !== number && subjects[slot] !== UNKNOWN) return false;
      const group = groups[slot]!;
      isMeant[group] ??= this.#packed.wordOf(group).startsWith(beginning);
      return isMeant[group]!;
    });
    for (const slot of found) yield this.#parsedAt(slot);
  }

  /** Of all that is no tombstone. */
  *keys(): Generator<string> {
    const { subjects } = this.#slots;
    for (const slot of this.#where((each) => subjects[each] !== GONE)) yield this.#keyAt(slot);
  }

  /** Drops the older half of the tombstones up to that revision; returns the highest that one of these had, 0 for none. */
  dropTombstones(upTo: number): number {
    const { revisions, subjects } = this.#slots;
    const dead = this.#where((slot) => subjects[slot] === GONE && revisions[slot]! <= upTo);
    dead.sort((a, b) => revisions[a]! - revisions[b]!);
    const older = dead.slice(0, Math.ceil(dead.length / 2));
    const highest = revisions[older.at(-1) ?? -1] ?? 0;
    for (const slot of older) this.delete(this.#keyAt(slot));
    return highest;
  }

  #where(isSuch: (slot: number) => boolean): number[] {
    const { groups } = this.#slots;
    const found: number[] = [];
    for (let slot = 0; slot < this.#used; slot++) if (groups[slot] !== FREE && isSuch(slot)) found.push(slot);
    return found;
  }

  // ---------------------------------------------------------------- one slot

  /** -1: none. Its name stands in `#packed` then, and nothing else. */
  #find(key: string): number {
    const nameAt = key.lastIndexOf('/') + 1;
    const group = this.#packed.numberOf(key.slice(0, nameAt));
    return group === undefined ? -1 : this.#findIn(group, key.slice(nameAt));
  }

  #findIn(group: number, name: string): number {
    const packed = this.#packed;
    packed.length = 0;
    packed.writeText(name);
    const { groups, nexts, places } = this.#slots;
    let slot = this.#heads[this.#hashOf(group)]! - 1;
    while (slot >= 0 && !(groups[slot] === group && this.#isNameAt(places[slot]!))) slot = nexts[slot]! - 1;
    return slot;
  }

  #isNameAt(place: number): boolean {
    const { bytes, length } = this.#packed;
    for (let i = 0; i < length; i++) if (this.#bytes[place + i] !== bytes[i]) return false;
    return true;
  }

  /** Of the group and the name that stands in `#packed`. FNV-1a. */
  #hashOf(group: number): number {
    const { bytes, length } = this.#packed;
    return hashOf(group, bytes, 0, length) & (this.#heads.length - 1);
  }

  /** A slot for the name that stands in `#packed`. */
  #take(group: number): number {
    if (this.#free === 0 && this.#used === this.#slots.size) this.#makeRoom(Math.ceil(1.5 * (this.#used + 1)));
    const { groups, nexts } = this.#slots;
    let slot = this.#used;
    if (this.#free === 0) this.#used++;
    else {
      slot = this.#free - 1;
      this.#free = nexts[slot]!;
    }
    const hash = this.#hashOf(group);
    groups[slot] = group;
    nexts[slot] = this.#heads[hash]!;
    this.#heads[hash] = slot + 1;
    this.#size++;
    return slot;
  }

  /** What stands there counts no more. */
  #leave(slot: number): void {
    this.#holes += this.#slots.lengths[slot]!;
    if (this.#slots.subjects[slot] === GONE) this.#tombstones--;
    else this.#counts[this.#slots.groups[slot]!]!--;
  }

  #recordAt(slot: number): TableRecord {
    const packed = this.#packed;
    const { groups, places, revisions } = this.#slots;
    packed.at = places[slot]!;
    const name = packed.readText(this.#bytes);
    const value = packed.readValue(this.#bytes, name);
    return { key: packed.wordOf(groups[slot]!) + name, revision: revisions[slot]!, value };
  }

  #valueAt(slot: number, name: string): string | undefined {
    const packed = this.#packed;
    packed.at = this.#slots.places[slot]!;
    packed.skipText(this.#bytes);
    return packed.readValue(this.#bytes, name);
  }

  #keyAt(slot: number): string {
    const packed = this.#packed;
    packed.at = this.#slots.places[slot]!;
    return packed.wordOf(this.#slots.groups[slot]!) + packed.readText(this.#bytes);
  }

  #parsedAt(slot: number): ParsedRecord {
    const packed = this.#packed;
    const bytes = this.#bytes;
    packed.at = this.#slots.places[slot]!;
    const name = packed.readText(bytes);
    const valueAt = packed.at;
    const parse = () => {
      packed.at = valueAt;
      return packed.parseValue(bytes, name);
    };
    return { key: packed.wordOf(this.#slots.groups[slot]!) + name, parse };
  }

  #makeRoom(slots: number): void {
    this.#slots = this.#slots.ofSize(slots);
    const { size, groups, nexts, places } = this.#slots;
    if (this.#heads.length >= size) return;
    this.#heads = new Uint32Array(2 ** Math.ceil(Math.log2(size)));
    for (let slot = 0; slot < this.#used; slot++) {
      if (groups[slot] === FREE) continue;
      const place = places[slot]!;
      this.#packed.at = place;
      this.#packed.skipText(this.#bytes);
      const hash = hashOf(groups[slot]!, this.#bytes, place, this.#packed.at) & (this.#heads.length - 1);
      nexts[slot] = this.#heads[hash]!;
      this.#heads[hash] = slot + 1;
    }
  }

  #moveTogether(): void {
    const before = this.#bytes;
    const { groups, lengths, places } = this.#slots;
    this.#bytes = widened(new Uint8Array(0), this.#end - this.#holes);
    this.#end = this.#holes = 0;
    for (let slot = 0; slot < this.#used; slot++) {
      if (groups[slot] === FREE) continue;
      const [place, length] = [places[slot]!, lengths[slot]!];
      this.#bytes.set(before.subarray(place, place + length), this.#end);
      places[slot] = this.#end;
      this.#end += length;
    }
  }
}

/** Group of a free slot; words begin at 1. */
const FREE = 0;
/** Subjects that are no word. */
const [UNKNOWN, GONE] = [0, 0xffff_ffff];

/** What is known of each slot, by column. */
class Slots {
  readonly size: number;
  readonly revisions: Float64Array;
  /** Where its bytes begin, and how many there are. */
  readonly places: Uint32Array;
  readonly lengths: Uint32Array;
  /** Words, by their number. */
  readonly groups: Uint32Array;
  readonly subjects: Uint32Array;
  /** The next slot of the same hash, or the next free one, one more; 0: none. */
  readonly nexts: Uint32Array;

  constructor(size: number) {
    this.size = size;
    this.revisions = new Float64Array(size);
    this.places = new Uint32Array(size);
    this.lengths = new Uint32Array(size);
    this.groups = new Uint32Array(size);
    this.subjects = new Uint32Array(size);
    this.nexts = new Uint32Array(size);
  }

  get bytes(): number {
    return this.revisions.byteLength + 5 * this.nexts.byteLength;
  }

  /** The same, as far as there is room. */
  ofSize(size: number): Slots {
    const made = new Slots(size);
    for (const column of ['revisions', 'places', 'lengths', 'groups', 'subjects', 'nexts'] as const) {
      made[column].set(this[column].subarray(0, size));
    }
    return made;
  }
}

function hashOf(group: number, bytes: Uint8Array, from: number, to: number): number {
  let hash = 0x811c9dc5 ^ group;
  for (let at = from; at < to; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
  return hash ^ (hash >>> 15);
}
