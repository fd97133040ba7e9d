/**
 * This node's copy of the cluster's records: what etcd said, and beside it what members said before etcd did.
 *
 * Guarantees: what etcd said is `known`; the newest revision of a key wins, in any order, any number of times. What a
 * member said is `heard`, and stands before what is known only while it is newer, and only until etcd has told as far:
 * then etcd's word stands alone, and what it contradicts is reported. So gossip hurries etcd and never overrules it.
 *
 * Revisions are etcd's, one total order over all keys, so what a replica holds is described by one number (`completeTo`:
 * nothing up to it is missing) and the few single revisions beyond it that pushes brought (`ahead`). Scuttlebutt (van
 * Renesse et al., 2008) keeps one such number per owner because its owners count for themselves; here etcd counts for
 * all. Where etcd is followed, it alone raises `completeTo`; where it is not, a delta that begins at or below does.
 *
 * Scales: an idle exchange carries one number; a delta costs one pass over the table. Tombstones are kept up to a
 * bound; a peer that is further behind than that still gets every record, but no word that it is whole: what was
 * deleted meanwhile it learns from etcd only.
 */
import { cutDelta } from './cut-delta.ts';
import type { Delta, Digest, GossipRecord } from './message.ts';
import { type HeardRecord, ShownRecords } from './shown-records.ts';
import { Unconfirmed } from './unconfirmed.ts';

export interface RecordChange {
  readonly key: string;
  /** Undefined: deleted. */
  readonly value: string | undefined;
  /** As it was; undefined: it did not exist. */
  readonly before?: string | undefined;
}

/** Of records that a node knows of itself at its start; etcd's first revision belongs to no key of ours. */
export const SEED_REVISION = 1;

/** `use`: it stands until etcd has told as far. `check`: it is only compared with what etcd will say. */
export type Verdict = 'use' | 'check' | 'ignore';

export interface Hearing {
  /** Node id of who said it. */
  readonly from: string;
  /** Milliseconds, of a clock that goes on evenly. */
  readonly at: number;
  /** `held`: the value that the key has here. */
  readonly judge: (record: GossipRecord, held: string | undefined) => Verdict;
}

/** What a member said and etcd does not. `silence`: etcd had time to confirm it and did not. */
export interface Refuted {
  readonly from: string;
  readonly record: GossipRecord;
  readonly by: 'etcd' | 'silence';
}

export interface ReplicaOptions {
  /** Tombstones kept before the older half is dropped. */
  readonly maxTombstones?: number;
  readonly onRefuted?: (refuted: Refuted) => void;
}

export class Replica {
  readonly #maxTombstones: number;
  readonly #onRefuted: (refuted: Refuted) => void;
  /** What is held, as the view goes by it. */
  readonly shown = new ShownRecords();
  readonly #known = this.shown.known;
  readonly #heard = this.shown.heard;
  readonly #ahead = new Set<number>();
  readonly #unconfirmed = new Unconfirmed();
  #confirmed = 0;
  /** Up to here a member has told everything; 0 while etcd is followed. */
  #told = 0;
  #followed = false;
  #whole = false;
  #behind = false;
  #reached = 0;
  /** Tombstones up to this revision may be gone. */
  #forgotten = 0;
  #highest = 0;
  /** A member's table from before this revision makes this one not whole. */
  floor = 0;

  constructor({ maxTombstones = 20_000, onRefuted = () => {} }: ReplicaOptions = {}) {
    this.#maxTombstones = maxTombstones;
    this.#onRefuted = onRefuted;
  }

  /** Nothing up to this revision is missing. */
  get completeTo(): number {
    return Math.max(this.#confirmed, this.#told);
  }

  /** Up to here etcd itself has. */
  get confirmed(): number {
    return this.#confirmed;
  }

  /** The highest revision of which etcd itself has told this node. */
  get reached(): number {
    return this.#reached;
  }

  /** True while etcd delivers. */
  get followed(): boolean {
    return this.#followed;
  }

  /** True once the table has been whole: absence of a key then means something. */
  get whole(): boolean {
    return this.#whole;
  }

  /** etcd holds less than it did: absence of a key means nothing. */
  get behind(): boolean {
    return this.#behind;
  }

  get(key: string): { readonly value: string; readonly revision: number } | undefined {
    const entry = this.shown.get(key);
    return entry?.value === undefined ? undefined : { value: entry.value, revision: entry.revision };
  }

  /** Single records as etcd answered; claims nothing about others. */
  learn(records: Iterable<GossipRecord>): RecordChange[] {
    const changes: RecordChange[] = [];
    for (const { key, value, revision } of records) {
      this.#reached = Math.max(this.#reached, revision);
      const held = this.#known.revisionOf(key);
      // Not held although nothing up to there is missing: it was deleted so long ago that the tombstone is gone.
      if (held !== undefined ? held >= revision : revision <= this.#confirmed) continue;
      this.#tell({ key, value, revision }, changes);
    }
    this.#trimTombstones();
    return changes;
  }

  /**
   * Everything that exists at `revision`, as etcd lists it: what is held, older and not listed, was deleted at some time
   * up to it. A list mends whatever went wrong before it: only what etcd itself has told since stands against it.
   */
  mergeSnapshot(revision: number, records: readonly GossipRecord[]): RecordChange[] {
    const changes: RecordChange[] = [];
    const listed = new Set<string>();
    let gone = 0;
    this.#known.expect(records.length);
    for (const record of records) {
      const { key } = record;
      listed.add(key);
      const held = this.#known.revisionOf(key) ?? 0;
      if (held <= revision) this.#tell(record, changes);
      else if (this.#known.get(key)!.value === undefined) gone++;
    }
    const hasOthers = this.#known.size - this.#known.tombstones > listed.size - gone;
    for (const key of hasOthers ? this.#known.keys() : []) {
      if (listed.has(key) || this.#known.revisionOf(key)! > revision) continue;
      this.#tell({ key, revision }, changes);
    }
    // What was made and deleted on the way here has left no tombstone.
    if (revision > this.#confirmed) this.#forgotten = Math.max(this.#forgotten, revision);
    this.#whole = true;
    this.#confirm(revision, false, changes);
    this.#known.trim();
    return changes;
  }

  /**
   * The list of an etcd that holds less than it did: it stands alone, and what had been told before it counts for
   * nothing. `own` stays besides: what this node has, whatever the list says. Until `accept`, absence means nothing.
   */
  fallBack(revision: number, records: Iterable<GossipRecord>, own: Iterable<GossipRecord>): RecordChange[] {
    const before = new Map([...this.shown.all()].map(({ key, value }) => [key, value]));
    for (const all of [this.#known, this.#heard, this.#ahead, this.#unconfirmed]) all.clear();
    this.#highest = 0;
    for (const record of records) this.#know(record.key, record.value, record.revision);
    for (const { key, value } of own)
      if (this.#known.revisionOf(key) === undefined) this.#know(key, value, SEED_REVISION);
    this.#confirmed = revision;
    this.#reached = revision;
    this.#forgotten = revision;
    this.#whole = true;
    this.#behind = true;
    this.#confirm(revision, false, []);
    const keys = new Set([...before.keys(), ...this.#known.keys()]);
    return [...keys].flatMap((key) => {
      const value = this.shown.get(key)?.value;
      const former = before.get(key);
      return value === former ? [] : [{ key, value, before: former }];
    });
  }

  /**
   * Members follow another life of the store, which this node does not reach: all that is shown stays, and whatever they say
   * of that life counts more. Until `accept`, absence means nothing.
   */
  beginAnew(): void {
    const held = [...this.shown.all()];
    for (const all of [this.#known, this.#heard, this.#ahead, this.#unconfirmed]) all.clear();
    this.#confirmed = this.#told = this.#reached = this.#forgotten = this.#highest = 0;
    for (const { key, value } of held) this.#know(key, value, SEED_REVISION);
    this.#behind = true;
  }

  /** What etcd holds now is taken as it is. */
  accept(): RecordChange[] {
    this.#behind = false;
    const changes: RecordChange[] = [];
    for (const key of this.#known.keys()) {
      if (this.#known.revisionOf(key)! <= SEED_REVISION) this.#show(key, () => this.#known.delete(key), changes);
    }
    return changes;
  }

  /** All changes of the stretch of history that ends at `revision` and begins at or before `confirmed`. */
  mergeEvents(revision: number, records: Iterable<GossipRecord>): RecordChange[] {
    const changes = this.learn(records);
    this.#confirm(revision, true, changes);
    return changes;
  }

  /** etcd does not deliver any more. */
  stalled(): void {
    this.#followed = false;
    this.#unconfirmed.clear();
  }

  /** What this node knows of itself before anybody has told it anything. */
  seed(records: Iterable<{ readonly key: string; readonly value: string }>): RecordChange[] {
    const changes: RecordChange[] = [];
    for (const { key, value } of records) {
      // Not what etcd, or the lack of it in a list, has told since.
      if (this.#confirmed === 0 && this.#known.revisionOf(key) === undefined)
        this.#tell({ key, value, revision: SEED_REVISION }, changes);
    }
    return changes;
  }

  /** `isWhole`: whether all that was written at a revision is among the records, as far as it is not overwritten. */
  hear(
    records: readonly GossipRecord[],
    { from, at, judge }: Hearing,
    isWhole: (revision: number) => boolean,
  ): RecordChange[] {
    const changes: RecordChange[] = [];
    const revisions = new Set<number>();
    const partial = new Set<number>();
    for (const record of records) {
      const { key, value, revision } = record;
      revisions.add(revision);
      const known = this.#known.get(key);
      const old = this.#heard.get(key);
      if (known?.revision === revision && known.value !== value && revision > SEED_REVISION)
        this.#onRefuted({ from, record, by: 'etcd' });
      if (known ? known.revision >= revision : !old && revision <= this.completeTo) continue;
      const isRepeated = this.#unconfirmed.has(key, revision);
      if (isRepeated) this.#onRefuted({ from, record, by: 'silence' });
      const verdict = isRepeated ? 'ignore' : judge(record, this.shown.get(key)?.value);
      const used = verdict === 'use';
      if (!used) partial.add(revision);
      if (verdict === 'ignore' || (old && (old.used === used ? old.revision >= revision : old.used))) continue;
      this.#show(key, () => this.#heard.set(key, { key, revision, value, from, at, used }), changes);
      if (used && !this.#followed) this.#highest = Math.max(this.#highest, revision);
    }
    for (const revision of revisions) {
      if (revision > this.completeTo && isWhole(revision) && !partial.has(revision)) this.#ahead.add(revision);
    }
    return changes;
  }

  /**
   * What a member answered to this replica's digest. `sender` is the member's own digest: a delta that reaches it makes
   * this replica whole, if that is no older than the floor.
   */
  hearDelta(delta: Delta, sender: Digest, hearing: Hearing): RecordChange[] {
    const held = new Set(sender.ahead);
    const isWhole = (revision: number) => revision <= sender.completeTo || held.has(revision);
    const changes = this.hear(delta.records, hearing, isWhole);
    if (this.#followed || delta.to === 0 || delta.from > this.completeTo) return changes;
    if (delta.to > this.completeTo) {
      this.#told = delta.to;
      this.#dropAhead();
    }
    if (delta.to >= sender.completeTo && delta.to >= this.floor) this.#whole = true;
    return changes;
  }

  /** What was heard before `at`, and which etcd, which is followed since, has not confirmed. It is not believed again. */
  forgetUnconfirmed(at: number): RecordChange[] {
    const changes: RecordChange[] = [];
    if (!this.#followed) return changes;
    for (const [key, heard] of this.#heard) {
      if (heard.at >= at) continue;
      this.#show(key, () => this.#heard.delete(key), changes);
      this.#ahead.delete(heard.revision);
      this.#unconfirmed.add(key, heard.revision);
      this.#refute(key, heard, 'silence');
    }
    return changes;
  }

  digest(): Digest {
    return { completeTo: this.completeTo, ahead: [...this.#ahead].sort((a, b) => a - b) };
  }

  /**
   * What a peer with this digest lacks, in revision order, cut after about `budgetBytes`; undefined when nothing.
   * A cut delta says so by `to`: ask again from there. Where etcd is followed, only what it said is passed on.
   */
  delta(peer: Digest, budgetBytes: number): Delta | undefined {
    const { completeTo } = this;
    if (peer.completeTo >= this.#highest && peer.completeTo >= completeTo) return undefined;
    const missing = (this.#followed ? this.#known : this.shown).since(peer.completeTo);
    const { records, isCut } = cutDelta(missing, new Set(peer.ahead), budgetBytes);

    const remembers = peer.completeTo === 0 || peer.completeTo >= this.#forgotten;
    const claims = this.#whole && !this.#behind && remembers && completeTo > peer.completeTo;
    const to = isCut ? Math.min(records.at(-1)!.revision, completeTo) : completeTo;
    if (!claims || to <= peer.completeTo) {
      return records.length === 0 ? undefined : { from: 0, to: 0, records };
    }
    return { from: peer.completeTo, to, records };
  }

  /**
   * All that a peer that holds nothing is told, in any order, and up to which revision nothing of it is missing: below what this
   * host wrote last there may be what etcd has not told yet.
   */
  list(): { readonly revision: number; readonly records: Iterable<GossipRecord> } {
    if (this.#followed) return { revision: this.completeTo, records: this.#known.all() };
    return { revision: Math.max(this.completeTo, this.#highest), records: this.shown.each() };
  }

  /** Does something to a key, and notes whether what is shown of it changed. */
  #show(key: string, act: () => unknown, changes: RecordChange[]): void {
    const before = this.shown.get(key)?.value;
    act();
    const value = this.shown.get(key)?.value;
    if (value !== before) changes.push({ key, value, before });
  }

  /** What etcd said of a key; notes as `#show` does. */
  #tell({ key, value, revision }: GossipRecord, changes: RecordChange[]): void {
    if (this.#heard.has(key)) {
      this.#show(key, () => this.#know(key, value, revision), changes);
      return;
    }
    // As nearly always.
    const before = this.#know(key, value, revision);
    if (value !== before) changes.push({ key, value, before });
  }

  /** Returns the value that was known. */
  #know(key: string, value: string | undefined, revision: number): string | undefined {
    const before = this.#known.set({ key, revision, value });
    if (revision > this.#highest) this.#highest = revision;
    const heard = this.#heard.get(key);
    if (!heard || heard.revision > revision) return before;
    this.#heard.delete(key);
    if (heard.revision === revision && heard.value !== value) this.#refute(key, heard, 'etcd');
    return before;
  }

  /** `gapless`: every change on the way there has been told, so that what was not told did not happen. */
  #confirm(revision: number, gapless: boolean, changes: RecordChange[]): void {
    this.#reached = Math.max(this.#reached, revision);
    this.#confirmed = Math.max(this.#confirmed, revision);
    this.#told = 0;
    this.#followed = true;
    for (const [key, heard] of this.#heard) {
      if (heard.revision > this.#confirmed) continue;
      this.#show(key, () => this.#heard.delete(key), changes);
      const known = this.#known.get(key);
      if (known?.value === undefined ? gapless && heard.value !== undefined : known.revision < heard.revision)
        this.#refute(key, heard, 'etcd');
    }
    this.#dropAhead();
    this.#trimTombstones();
  }

  #refute(key: string, { revision, value, from }: HeardRecord, by: Refuted['by']): void {
    this.#onRefuted({ from, record: { key, revision, value }, by });
  }

  #dropAhead(): void {
    for (const single of this.#ahead) if (single <= this.completeTo) this.#ahead.delete(single);
  }

  #trimTombstones(): void {
    if (this.#known.tombstones <= this.#maxTombstones) return;
    this.#forgotten = Math.max(this.#forgotten, this.#known.dropTombstones(this.#confirmed));
  }
}
