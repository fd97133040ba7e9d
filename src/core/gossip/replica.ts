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
import type { Delta, Digest, GossipRecord } from './message.ts';
import { Unconfirmed } from './unconfirmed.ts';

export interface RecordChange {
  readonly key: string;
  /** Undefined: deleted. */
  readonly value: string | undefined;
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

interface Entry {
  readonly revision: number;
  readonly value: string | undefined;
}

interface Heard extends Entry {
  readonly from: string;
  readonly at: number;
  /** False: kept to be checked, and not shown. */
  readonly used: boolean;
}

export class Replica {
  readonly #maxTombstones: number;
  readonly #onRefuted: (refuted: Refuted) => void;
  readonly #known = new Map<string, Entry>();
  /** Each is newer than what is known of its key. */
  readonly #heard = new Map<string, Heard>();
  readonly #ahead = new Set<number>();
  readonly #unconfirmed = new Unconfirmed();
  #confirmed = 0;
  /** Up to here a member has told everything; 0 while etcd is followed. */
  #told = 0;
  #followed = false;
  #whole = false;
  #behind = false;
  #reached = 0;
  #tombstones = 0;
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
    const entry = this.#shown(key);
    return entry?.value === undefined ? undefined : { value: entry.value, revision: entry.revision };
  }

  /** All existing records, in no order. */
  *records(): Iterable<{ readonly key: string; readonly value: string; readonly revision: number }> {
    for (const [key, { value, revision }] of this.#entries(true)) {
      if (value !== undefined) yield { key, value, revision };
    }
  }

  /** Single records as etcd answered; claims nothing about others. */
  learn(records: Iterable<GossipRecord>): RecordChange[] {
    const changes: RecordChange[] = [];
    for (const { key, value, revision } of records) {
      this.#reached = Math.max(this.#reached, revision);
      const held = this.#known.get(key);
      // Not held although nothing up to there is missing: it was deleted so long ago that the tombstone is gone.
      if (held ? held.revision >= revision : revision <= this.#confirmed) continue;
      this.#show(key, () => this.#know(key, value, revision), changes);
    }
    this.#trimTombstones();
    return changes;
  }

  /**
   * Everything that exists at `revision`, as etcd lists it: what is held, older and not listed, was deleted at some time
   * up to it. A list mends whatever went wrong before it: only what etcd itself has told since stands against it.
   */
  mergeSnapshot(revision: number, records: Iterable<GossipRecord>): RecordChange[] {
    const changes: RecordChange[] = [];
    const listed = new Set<string>();
    for (const record of records) {
      listed.add(record.key);
      if ((this.#known.get(record.key)?.revision ?? 0) > revision) continue;
      this.#show(record.key, () => this.#know(record.key, record.value, record.revision), changes);
    }
    for (const [key, entry] of this.#known) {
      if (listed.has(key) || entry.value === undefined || entry.revision > revision) continue;
      this.#show(key, () => this.#know(key, undefined, revision), changes);
    }
    // What was made and deleted on the way here has left no tombstone.
    if (revision > this.#confirmed) this.#forgotten = Math.max(this.#forgotten, revision);
    this.#whole = true;
    this.#confirm(revision, false, changes);
    return changes;
  }

  /**
   * The list of an etcd that holds less than it did: it stands alone, and what had been told before it counts for
   * nothing. `own` stays besides: what this node has, whatever the list says. Until `accept`, absence means nothing.
   */
  fallBack(revision: number, records: Iterable<GossipRecord>, own: Iterable<GossipRecord>): RecordChange[] {
    const before = new Map(this.#entries(true));
    for (const all of [this.#known, this.#heard, this.#ahead, this.#unconfirmed]) all.clear();
    this.#tombstones = 0;
    this.#highest = 0;
    for (const record of records) this.#know(record.key, record.value, record.revision);
    for (const { key, value } of own) if (!this.#known.has(key)) this.#know(key, value, SEED_REVISION);
    this.#confirmed = revision;
    this.#reached = revision;
    this.#forgotten = revision;
    this.#whole = true;
    this.#behind = true;
    this.#confirm(revision, false, []);
    const keys = new Set([...before.keys(), ...this.#known.keys()]);
    return [...keys].flatMap((key) => {
      const value = this.#shown(key)?.value;
      return value === before.get(key)?.value ? [] : [{ key, value }];
    });
  }

  /** What etcd holds now is taken as it is. */
  accept(): RecordChange[] {
    this.#behind = false;
    const changes: RecordChange[] = [];
    for (const [key, { revision, value }] of this.#known) {
      if (revision <= SEED_REVISION && value !== undefined) this.#show(key, () => this.#known.delete(key), changes);
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
      if (this.#confirmed === 0 && !this.#known.has(key))
        this.#show(key, () => this.#know(key, value, SEED_REVISION), changes);
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
      const verdict = isRepeated ? 'ignore' : judge(record, this.#shown(key)?.value);
      const used = verdict === 'use';
      if (!used) partial.add(revision);
      if (verdict === 'ignore' || (old && (old.used === used ? old.revision >= revision : old.used))) continue;
      this.#show(key, () => this.#heard.set(key, { revision, value, from, at, used }), changes);
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
    const has = new Set(peer.ahead);
    const missing: (GossipRecord & { readonly revision: number })[] = [];
    for (const [key, { revision, value }] of this.#entries(!this.#followed)) {
      if (revision > peer.completeTo && !has.has(revision)) missing.push({ key, revision, value });
    }
    missing.sort((a, b) => a.revision - b.revision);

    const remembers = peer.completeTo === 0 || peer.completeTo >= this.#forgotten;
    const claims = this.#whole && !this.#behind && remembers && completeTo > peer.completeTo;
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
    const to = cut < missing.length ? Math.min(lastRevision, completeTo) : completeTo;
    if (!claims || to <= peer.completeTo) {
      return records.length === 0 ? undefined : { from: 0, to: 0, records };
    }
    return { from: peer.completeTo, to, records };
  }

  #shown(key: string): Entry | undefined {
    const heard = this.#heard.get(key);
    return heard?.used ? heard : this.#known.get(key);
  }

  *#entries(withHeard: boolean): Iterable<[string, Entry]> {
    for (const [key, entry] of this.#known) yield [key, withHeard ? this.#shown(key)! : entry];
    if (!withHeard) return;
    for (const [key, heard] of this.#heard) if (heard.used && !this.#known.has(key)) yield [key, heard];
  }

  /** Does something to a key, and notes whether what is shown of it changed. */
  #show(key: string, act: () => unknown, changes: RecordChange[]): void {
    const before = this.#shown(key)?.value;
    act();
    const value = this.#shown(key)?.value;
    if (value !== before) changes.push({ key, value });
  }

  #know(key: string, value: string | undefined, revision: number): void {
    const held = this.#known.get(key);
    this.#known.set(key, { revision, value });
    if (revision > this.#highest) this.#highest = revision;
    if (held && held.value === undefined) this.#tombstones--;
    if (value === undefined) this.#tombstones++;
    const heard = this.#heard.get(key);
    if (!heard || heard.revision > revision) return;
    this.#heard.delete(key);
    if (heard.revision === revision && heard.value !== value) this.#refute(key, heard, 'etcd');
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

  #refute(key: string, { revision, value, from }: Heard, by: Refuted['by']): void {
    this.#onRefuted({ from, record: { key, revision, value }, by });
  }

  #dropAhead(): void {
    for (const single of this.#ahead) if (single <= this.completeTo) this.#ahead.delete(single);
  }

  #trimTombstones(): void {
    if (this.#tombstones <= this.#maxTombstones) return;
    const dead = [...this.#known].filter(([, entry]) => entry.value === undefined && entry.revision <= this.#confirmed);
    dead.sort(([, a], [, b]) => a.revision - b.revision);
    for (const [key, { revision }] of dead.slice(0, Math.ceil(dead.length / 2))) {
      this.#known.delete(key);
      this.#tombstones--;
      this.#forgotten = Math.max(this.#forgotten, revision);
    }
  }
}
