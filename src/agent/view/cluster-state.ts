/** The replica and the view derived from it, with the one place that is told what a change touched. */
import { ClusterIndex, type Touched } from '../../core/cluster-index.ts';
import type { ClusterView } from '../../core/cluster-view.ts';
import { isLaterEpoch, isOtherEpoch } from '../../core/epoch.ts';
import { type HearsayContext, judge, screen } from '../../core/gossip/hearsay.ts';
import type { Delta, Digest, GossipMessage, GossipRecord } from '../../core/gossip/message.ts';
import { type Hearing, type RecordChange, type Refuted, Replica, SEED_REVISION } from '../../core/gossip/replica.ts';
import { levelOf } from '../../core/levels.ts';
import { readEpoch } from '../../core/record-codec.ts';
import { keys } from '../../core/records.ts';
import type { StoreMemory } from '../../core/store-memory.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { ClusterStore } from '../../ports/store.ts';

export interface StateChange extends Touched {
  /** The view became whole with this change, or whole again: what is not in it does not exist. */
  readonly becameWhole: boolean;
}

/** What this host has, whatever etcd and members say. */
export interface OwnHoldings extends Pick<HearsayContext, 'hasEndpoint' | 'isOnNetwork'> {
  /** The records of it, as a restart without etcd goes by them. */
  readonly records: () => Iterable<{ readonly key: string; readonly value: string }>;
}

export interface ClusterStateDeps {
  readonly selfId: string;
  readonly own: OwnHoldings;
  readonly clock: Pick<Clock, 'elapsed'>;
  readonly logger: Logger;
  readonly onChange: (change: StateChange) => void;
  readonly onRefuted: (refuted: Refuted) => void;
  /** `what`: in words, what a member said that cannot be. */
  readonly onNonsense: (from: string, what: readonly string[]) => void;
}

/** Longer than a watch may be silent before it counts as stalled: what is not confirmed by then is not etcd's. */
const CONFIRM_MS = 5_000;
/** Nobody writes so often between two looks: a restore has raised the revision (docs/operations.md). */
const RAISED_BY = 500_000_000;

export class ClusterState {
  readonly #deps: ClusterStateDeps;
  readonly #replica: Replica;
  readonly #index: ClusterIndex;
  /** What this node knew etcd to have reached before it fell back, or before this run. */
  #height = 0;
  /** The run before ended while etcd was behind. */
  #wasBehind = false;
  /** That the run before knew. */
  #level: number | undefined;
  /** Since when etcd delivers, by the monotonic clock. */
  #followedAt = 0;
  #epoch: string | undefined;
  #wentBackUnmarked = false;
  #fallBacks = 0;

  constructor(deps: ClusterStateDeps) {
    this.#deps = deps;
    this.#replica = new Replica({ onRefuted: deps.onRefuted });
    this.#index = new ClusterIndex(this.#replica, (id) => deps.own.isOnNetwork(id), deps.selfId);
  }

  get view(): ClusterView {
    return this.#index;
  }

  /** Whether etcd delivers: absence in the view is then its word of this moment. */
  get followed(): boolean {
    return this.#replica.followed;
  }

  /** Revision of a key's last known write; undefined when it does not exist. */
  revisionOf(key: string): number | undefined {
    return this.#replica.get(key)?.revision;
  }

  /** A key as it is shown here; undefined when it does not exist. */
  entryOf(key: string): { readonly value: string; readonly revision: number } | undefined {
    return this.#replica.get(key);
  }

  /** The same, where etcd has said so: what this node merely keeps of itself is none of it. */
  confirmedEntryOf(key: string): { readonly value: string; readonly revision: number } | undefined {
    const entry = this.#replica.get(key);
    return entry && entry.revision > SEED_REVISION ? entry : undefined;
  }

  /** The highest revision that this node knows etcd to have had, in this run or before. */
  get height(): number {
    return Math.max(this.#height, this.#replica.reached);
  }

  /** Which life of the store this node followed last; undefined where it had none yet. */
  get epoch(): string | undefined {
    return this.#epoch;
  }

  /** etcd went back and nobody said so: members that are away now could not tell, once it has passed where it was. */
  get wentBackUnmarked(): boolean {
    return this.#wentBackUnmarked && this.view.behind;
  }

  /** How often etcd was found to be another than before, in this run. */
  get fallBacks(): number {
    return this.#fallBacks;
  }

  /** To be kept for the next run. */
  get memory(): StoreMemory {
    const level = this.view.cluster() ? levelOf(this.view) : (this.view.level ?? this.#level);
    return {
      ...{ height: this.height, behind: this.#wasBehind || this.view.behind },
      ...(level !== undefined && { level }),
      ...(this.#epoch !== undefined && { epoch: this.#epoch }),
    };
  }

  records(): Iterable<{ readonly key: string; readonly value: string; readonly revision: number }> {
    return this.#replica.shown.all();
  }

  /**
   * Begins with what this host knows of itself, and with what the run before knew of etcd. Without that it is not known
   * how far a member has to be to be believed that it holds everything: only etcd is.
   */
  begin(memory: StoreMemory | undefined): void {
    const { height, behind } = memory ?? { height: 0, behind: false };
    this.#height = height;
    this.#wasBehind = behind;
    this.#level = memory?.level;
    this.#epoch = memory?.epoch;
    // While it was behind, a member's table lacked what is still to be claimed again.
    this.#replica.floor = memory && !behind ? height : Number.POSITIVE_INFINITY;
    this.seed(this.#deps.own.records());
    for (const { id } of this.view.networks()) if (this.#deps.own.isOnNetwork(id)) this.#index.open(id);
  }

  /** What this node has of itself, where nobody has said anything of it yet. */
  seed(records: Iterable<{ readonly key: string; readonly value: string }>): void {
    this.#change(() => this.#replica.seed(records));
  }

  // ------------------------------------------------------------ etcd

  /** Single records as etcd answered, or as a transaction of ours wrote them. */
  learn(records: Iterable<GossipRecord>): void {
    this.#change(() => this.#replica.learn(records));
  }

  /**
   * The list of all records. One of another epoch than the one that was followed, or behind what this node has seen, or much
   * too far ahead of it, comes from an etcd that was restored, replaced or lost data: then nothing counts as absent until
   * `acceptStore`.
   */
  mergeSnapshot(revision: number, records: readonly GossipRecord[]): void {
    this.#noteReturn();
    const { own, logger } = this.#deps;
    const seen = Math.max(this.#replica.confirmed, this.#height);
    const cluster = records.find(({ key }) => key === keys.cluster)?.value;
    const epoch = cluster === undefined ? this.#epoch : readEpoch(cluster);
    const isOther = this.#epoch !== undefined && epoch !== this.#epoch;
    const wentBack = !isOther && (revision < seen || (seen > 0 && revision - seen > RAISED_BY));
    const isBehind = this.#wasBehind || isOther || wentBack || cluster === undefined;
    if (isBehind) {
      this.#fallBacks++;
      const event = { event: 'store-not-what-it-was', revision, seen, epoch, followed: this.#epoch } as const;
      if (!this.view.behind || isOther) logger.error(event, 'etcd is not what it was: nothing is taken down');
      // Revisions of another life are no measure.
      this.#height = isOther ? 0 : seen;
      this.#wasBehind = false;
    }
    if (isOther || wentBack) this.#wentBackUnmarked = wentBack;
    this.#epoch = epoch ?? this.#epoch;
    this.#change(() =>
      isBehind || this.view.behind
        ? this.#replica.fallBack(
            revision,
            records,
            [...own.records()].map((record) => ({ ...record, revision })),
          )
        : this.#replica.mergeSnapshot(revision, records),
    );
  }

  /** Whether they tell of another life of the store than the one that is followed: then all of it is to be read anew. */
  isOfOtherEpoch(records: Iterable<{ readonly key: string; readonly value: string | undefined }>): boolean {
    for (const { key, value } of records) {
      if (key === keys.cluster && value !== undefined && isOtherEpoch(readEpoch(value), this.#epoch)) return true;
    }
    return false;
  }

  mergeEvents(revision: number, records: readonly GossipRecord[]): void {
    this.#noteReturn();
    for (const { key, value } of records) if (key === keys.cluster && value) this.#epoch ??= readEpoch(value);
    this.#change(() => this.#replica.mergeEvents(revision, records));
  }

  stalled(): void {
    this.#replica.stalled();
  }

  /** What etcd holds now is the truth, though it is not what it was. */
  acceptStore(): void {
    this.#deps.logger.warn({ revision: this.#replica.confirmed }, 'etcd is taken as it is now');
    this.#height = 0;
    this.#wentBackUnmarked = false;
    this.#epoch = this.view.cluster()?.epoch;
    this.#replica.floor = 0;
    this.#change(() => this.#replica.accept(), true);
  }

  /** Reads what lies below a prefix from etcd now: for a request that must not miss what another node just did. */
  async read(store: ClusterStore, prefix: string): Promise<void> {
    const { entries } = await store.list(prefix);
    this.learn(entries);
  }

  // ------------------------------------------------------------ members

  digest(): Digest {
    return this.#replica.digest();
  }

  /** `epoch`: the peer's. Who follows an earlier one is told everything, and who follows a later one nothing. */
  delta(digest: Digest, epoch: string | undefined, budgetBytes: number): Delta | undefined {
    if (!isOtherEpoch(epoch, this.#epoch)) return this.#replica.delta(digest, budgetBytes);
    return isLaterEpoch(this.#epoch, epoch)
      ? this.#replica.delta({ completeTo: 0, ahead: [] }, budgetBytes)
      : undefined;
  }

  /** For who keeps a copy: what is there now, and what comes while it is read, which the next `delta` tells again. */
  list(): ReturnType<Replica['list']> {
    return this.#replica.list();
  }

  /** What a member said, without what cannot be. */
  screen(message: GossipMessage): GossipMessage {
    const { message: sound, nonsense } = screen(message, this.height, this.#epoch);
    if (nonsense.length > 0) this.#deps.onNonsense(message.from, nonsense);
    return sound;
  }

  /** Takes from a screened message what may be believed of it. Without a digest it holds whole transactions. */
  hear({ from, delta, digest, epoch }: GossipMessage): void {
    if (!delta || !this.#hasEpochOf(epoch, from)) return;
    const { clock, own, selfId } = this.#deps;
    const context = { ...own, selfId, followed: this.followed };
    const hearing: Hearing = {
      from,
      at: clock.elapsed(),
      judge: (record, held) => judge(record, held, from, context),
    };
    this.#change(() =>
      digest ? this.#replica.hearDelta(delta, digest, hearing) : this.#replica.hear(delta.records, hearing, () => true),
    );
  }

  /**
   * Every interval: drops what members said a while ago and etcd has not confirmed (an etcd that is back needs a moment to
   * tell what happened meanwhile: its first word is that it is there), and lets go of what was looked for in networks that
   * have nothing of this host.
   */
  tidy(): void {
    const before = this.#deps.clock.elapsed() - CONFIRM_MS;
    if (this.#followedAt <= before) this.#change(() => this.#replica.forgetUnconfirmed(before));
    this.#index.rest();
  }

  /**
   * Revisions of another life of the store are no news of this one. Where etcd does not say which is followed, it is the later
   * one, of which members tell all.
   */
  #hasEpochOf(epoch: string | undefined, from: string): boolean {
    if (!isOtherEpoch(epoch, this.#epoch)) return true;
    if (this.followed || !isLaterEpoch(epoch, this.#epoch)) return false;
    this.#deps.logger.warn(
      { event: 'store-not-what-it-was', from, epoch, followed: this.#epoch },
      'members follow a later store: nothing is taken down',
    );
    this.#epoch = epoch;
    this.#height = 0;
    this.#wentBackUnmarked = false;
    this.#replica.beginAnew();
    return true;
  }

  #noteReturn(): void {
    if (!this.#replica.followed) this.#followedAt = this.#deps.clock.elapsed();
  }

  #change(merge: () => RecordChange[], wholeAgain = false): void {
    const wasWhole = this.#replica.whole;
    const changes = merge();
    const becameWhole = (!wasWhole && this.#replica.whole) || wholeAgain;
    if (changes.length === 0 && !becameWhole) return;
    const touched = this.#index.apply(changes);
    if (touched.refused.length > 0) {
      const keys = touched.refused.slice(0, 10);
      const event = { event: 'record-unreadable', keys, records: touched.refused.length } as const;
      this.#deps.logger.error(event, 'records cannot be read and are left alone');
    }
    this.#deps.onChange({ ...touched, becameWhole });
  }
}
