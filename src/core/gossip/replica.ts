/**
 * This node's copy of the cluster's records, merged from etcd's watch and from peers.
 *
 * Guarantees: the newest revision of a key wins, whoever brings it, in any order, any number of times. Revisions are
 * etcd's, one total order over all keys, so what a replica holds is described by one number (`complete`: nothing up to
 * it is missing) and the few single revisions beyond it that pushes brought (`ahead`). Scuttlebutt (van Renesse et al.,
 * 2008) keeps one such number per owner because its owners count for themselves; here etcd counts for all.
 *
 * Scales: an idle exchange carries one number; a delta costs one pass over the table. Tombstones are kept up to a
 * bound; a peer that is further behind than that still gets every record, but no word that it is whole: what was
 * deleted meanwhile it learns from etcd only.
 */
import type { Delta, Digest, GossipRecord } from './message.ts';

export interface RecordChange {
  readonly key: string;
  /** Undefined: deleted. */
  readonly value: string | undefined;
}

/** Of records that a node knows of itself at its start; etcd's first revision belongs to no key of ours. */
export const SEED_REVISION = 1;

interface Entry {
  readonly revision: number;
  readonly value: string | undefined;
}

export interface ReplicaOptions {
  /** Tombstones kept before the older half is dropped. */
  readonly maxTombstones: number;
}

export class Replica {
  readonly #options: ReplicaOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #ahead = new Set<number>();
  #complete = 0;
  #whole = false;
  #tombstones = 0;
  /** Tombstones up to this revision may be gone. */
  #floor = 0;
  #highest = 0;

  constructor(options: ReplicaOptions = { maxTombstones: 20_000 }) {
    this.#options = options;
  }

  /** Nothing up to this revision is missing. */
  get complete(): number {
    return this.#complete;
  }

  /** True once the table has been whole: absence of a key then means something. */
  get whole(): boolean {
    return this.#whole;
  }

  get(key: string): { readonly value: string; readonly revision: number } | undefined {
    const entry = this.#entries.get(key);
    return entry?.value === undefined ? undefined : { value: entry.value, revision: entry.revision };
  }

  /** All existing records, in no order. */
  *records(): Iterable<{ readonly key: string; readonly value: string; readonly revision: number }> {
    for (const [key, { value, revision }] of this.#entries) if (value !== undefined) yield { key, value, revision };
  }

  /** Single records from anywhere; claims nothing about others. */
  merge(records: Iterable<GossipRecord>): RecordChange[] {
    const changes: RecordChange[] = [];
    for (const record of records) {
      const change = this.#put(record.key, record.value, record.revision);
      if (change) changes.push(change);
      if (record.revision > this.#complete) this.#ahead.add(record.revision);
    }
    this.#trimTombstones();
    return changes;
  }

  /**
   * Everything that exists at `revision`, as etcd lists it: what is held, older and not listed, was deleted at some time
   * up to it. A list mends whatever went wrong before it: only what is newer than the list itself stands against it.
   */
  mergeSnapshot(revision: number, records: Iterable<GossipRecord>): RecordChange[] {
    const changes: RecordChange[] = [];
    const listed = new Set<string>();
    for (const record of records) {
      listed.add(record.key);
      if ((this.#entries.get(record.key)?.revision ?? 0) > revision) continue;
      const change = this.#set(record.key, record.value, record.revision);
      if (change) changes.push(change);
    }
    for (const [key, entry] of this.#entries) {
      if (listed.has(key) || entry.value === undefined || entry.revision > revision) continue;
      const change = this.#put(key, undefined, revision);
      if (change) changes.push(change);
    }
    // What was made and deleted on the way here has left no tombstone.
    if (revision > this.#complete) this.#floor = Math.max(this.#floor, revision);
    this.#raise(revision);
    this.#whole = true;
    this.#trimTombstones();
    return changes;
  }

  /** All changes of the stretch of history that ends at `revision` and begins at or before `complete`. */
  mergeEvents(revision: number, records: Iterable<GossipRecord>): RecordChange[] {
    const changes = this.merge(records);
    this.#raise(revision);
    return changes;
  }

  digest(): Digest {
    return { complete: this.#complete, ahead: [...this.#ahead].sort((a, b) => a - b) };
  }

  /**
   * What a peer with this digest lacks, in revision order, cut after about `budgetBytes`; undefined when nothing.
   * A cut delta says so by `to`: ask again from there.
   */
  delta(peer: Digest, budgetBytes: number): Delta | undefined {
    if (peer.complete >= this.#highest && peer.complete >= this.#complete) return undefined;
    const has = new Set(peer.ahead);
    const missing: (GossipRecord & { readonly revision: number })[] = [];
    for (const [key, { revision, value }] of this.#entries) {
      if (revision > peer.complete && !has.has(revision)) missing.push({ key, revision, value });
    }
    missing.sort((a, b) => a.revision - b.revision);

    const remembers = peer.complete === 0 || peer.complete >= this.#floor;
    const claims = this.#whole && remembers && this.#complete > peer.complete;
    let bytes = 0;
    let cut = missing.length;
    for (let i = 0; i < missing.length; i++) {
      const { key, value, revision } = missing[i]!;
      // Never between two records of one revision: `to` could not tell which of them is held.
      if (bytes >= budgetBytes && revision !== missing[i - 1]!.revision) {
        cut = i;
        break;
      }
      bytes += key.length + (value?.length ?? 0) + 16;
    }
    const records = missing.slice(0, cut);
    const lastRevision = records.at(-1)?.revision ?? 0;
    const to = cut < missing.length ? Math.min(lastRevision, this.#complete) : this.#complete;
    if (!claims || to <= peer.complete) {
      return records.length === 0 ? undefined : { from: 0, to: 0, records };
    }
    return { from: peer.complete, to, records };
  }

  /** `senderComplete` is the sender's own digest: a delta that reaches it makes this replica whole. */
  mergeDelta(delta: Delta, senderComplete: number): RecordChange[] {
    const changes = this.merge(delta.records);
    if (delta.to > 0 && delta.from <= this.#complete) {
      this.#raise(delta.to);
      if (delta.to >= senderComplete && !this.#whole) {
        this.#whole = true;
        changes.push(...this.#dropSeeds());
      }
    }
    return changes;
  }

  #put(key: string, value: string | undefined, revision: number): RecordChange | undefined {
    const held = this.#entries.get(key);
    // Not held although nothing up to `complete` is missing: it was deleted so long ago that the tombstone is gone.
    if (held ? held.revision >= revision : revision <= this.#complete) return undefined;
    return this.#set(key, value, revision);
  }

  #set(key: string, value: string | undefined, revision: number): RecordChange | undefined {
    const held = this.#entries.get(key);
    this.#entries.set(key, { revision, value });
    if (revision > this.#highest) this.#highest = revision;
    if (held && held.value === undefined) this.#tombstones--;
    if (value === undefined) this.#tombstones++;
    if (held?.value === value) return undefined;
    return { key, value };
  }

  /** What this node went by before it heard of anything: had it still existed, the whole table would have held it. */
  #dropSeeds(): RecordChange[] {
    const seeds = [...this.#entries].filter(
      ([, { revision, value }]) => revision <= SEED_REVISION && value !== undefined,
    );
    return seeds.flatMap(([key]) => this.#set(key, undefined, this.#complete) ?? []);
  }

  #raise(revision: number): void {
    if (revision <= this.#complete) return;
    this.#complete = revision;
    for (const single of this.#ahead) if (single <= revision) this.#ahead.delete(single);
  }

  #trimTombstones(): void {
    if (this.#tombstones <= this.#options.maxTombstones) return;
    const dead = [...this.#entries].filter(
      ([, entry]) => entry.value === undefined && entry.revision <= this.#complete,
    );
    dead.sort(([, a], [, b]) => a.revision - b.revision);
    for (const [key, { revision }] of dead.slice(0, Math.ceil(dead.length / 2))) {
      this.#entries.delete(key);
      this.#tombstones--;
      this.#floor = Math.max(this.#floor, revision);
    }
  }
}
