/**
 * Keeps the store's members as they are wanted (docs/adr/0022-the-store-has-members.md). Every keeper runs this; the first of those
 * that live, by node id, acts. What it begins is in etcd (`store/change`) before anything happens, so any other keeper goes on
 * where it stopped: each step looks at what etcd says and does what is missing.
 */
import { type ClusterView, unknownMembers } from '../../core/cluster-view.ts';
import { keepersOf } from '../../core/keepers.ts';
import { Latch } from '../../core/latch.ts';
import { levelOf, STORE_LEVEL } from '../../core/levels.ts';
import { decodeKeepers, decodeStoreChange } from '../../core/record-codec.ts';
import { keys, type NodeRecord, type StoreChange } from '../../core/records.ts';
import { peerUrlOf } from '../../core/store-members.ts';
import { planStore, type StoreStep } from '../../core/store-plan.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { ClusterStore, StoreMaintenance, StoreMembership } from '../../ports/store.ts';
import { keepLooking } from '../cluster/keep-looking.ts';
import { type Commit, unchanged } from '../view/commit.ts';
import { carryOut } from './change-steps.ts';
import { keepersNow } from './keepers-record.ts';
import { askMembers, hostsOf, keptMembers, type SeenMember } from './seen-members.ts';

export interface StoreKeepingDeps {
  readonly selfId: string;
  readonly store: Pick<ClusterStore, 'get'>;
  readonly commit: Commit;
  readonly view: ClusterView;
  /** etcd delivers: what the view says is its word of this moment. */
  readonly isFollowed: () => boolean;
  /** The agent of that node is heard. */
  readonly isHeard: (nodeId: string) => boolean;
  readonly membership: StoreMembership & Pick<StoreMaintenance, 'memberStatus'>;
  /** Gives a node the rights of those that keep the store, before it is said that it is one. */
  readonly trust: (node: NodeRecord) => Promise<void>;
  readonly clock: Pick<Clock, 'elapsed' | 'now' | 'sleep'>;
  readonly logger: Logger;
}

export interface StoreKeepingOptions {
  readonly replaceAfterMs: number;
}

const LOOK_MS = 10_000;
/** While a change is under way. */
const STEP_MS = 500;
const RETRY_MS = 2_000;
/** A host whose etcd did not start is not tried again for so long. */
const UNFIT_MS = 600_000;

/** Since when something has been as it is, by the monotonic clock. */
export type Since = Map<string, number>;

export class StoreKeeping {
  readonly #deps: StoreKeepingDeps;
  readonly #options: StoreKeepingOptions;
  readonly #due = new Latch();
  readonly #silentSince: Since = new Map();
  readonly #unheardSince: Since = new Map();
  readonly #unfitUntil: Since = new Map();
  #changeSeen: { readonly change: string; readonly at: number } | undefined;

  constructor(deps: StoreKeepingDeps, options: StoreKeepingOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** Members, the cluster's record or the change under way may have become others. */
  look(): void {
    this.#due.set();
  }

  /** Ends when the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const look = async () => {
      if (!this.#acts()) return LOOK_MS;
      if (await this.step()) return 0;
      return this.#deps.view.storeChange() ? STEP_MS : LOOK_MS;
    };
    const problem = "the store's members are not looked after";
    await keepLooking({ ...this.#deps, due: this.#due }, { look, problem, retryMs: RETRY_MS }, signal);
  }

  /** Looks, and does one thing. True: there may be more to do at once. Throws what the store throws. */
  async step(): Promise<boolean> {
    const { clock, commit, membership, store } = this.#deps;
    const [all, changeEntry, keepersEntry] = await Promise.all([
      membership.members(),
      store.get(keys.storeChange),
      store.get(keys.storeKeepers),
    ]);
    const seen = await askMembers(this.#deps, all, this.#silentSince);
    this.#noteUnheard();
    const change = changeEntry && decodeStoreChange(changeEntry.value);
    const held = keepersEntry && decodeKeepers(keepersEntry.value);
    // Of a newer version, which goes on with it.
    if ((changeEntry && !change) || (keepersEntry && !held)) return false;
    // A member whose host is not known is not one whose host is gone.
    const unknown = unknownMembers(this.#deps.view);
    if (all.some(({ name }) => unknown.includes(name))) return false;
    if (await this.#followLearner(seen, change)) return true;
    const read = { all, held, change, entry: keepersEntry };
    const keepers = keepersNow(this.#deps.view, read);
    if (changeEntry && change) {
      const ageMs = clock.elapsed() - this.#since(change);
      const outcome = await carryOut(
        { ...this.#deps, seen, keepers, keepersBefore: keepersNow(this.#deps.view, { ...read, change: undefined }) },
        { change, revision: changeEntry.revision, ageMs },
      );
      if (outcome === 'given-up') this.#unfitUntil.set(change.nodeId, clock.elapsed() + UNFIT_MS);
      return outcome !== 'waiting';
    }
    const noChange = unchanged(keys.storeChange, undefined);
    if (keepers.change) return (await commit([keepers.unchanged, noChange], [keepers.change])) !== undefined;
    const step = this.#plan(seen);
    if (step.kind === 'none') return false;
    const next = this.#changeOf(step);
    const begun = await commit([noChange], [{ kind: 'put', key: keys.storeChange, record: next }]);
    if (begun) this.#log(next);
    return true;
  }

  /**
   * A voter tells the others by itself where it is now; one that learns cannot. One that has not started has no name: it is
   * that of the host that is being added, wherever that was when it began.
   */
  async #followLearner(seen: readonly SeenMember[], change: StoreChange | undefined): Promise<boolean> {
    const learner = seen.find(({ member }) => member.isLearner);
    const added = change?.kind === 'add' && learner?.member.name === '' ? change.nodeId : '';
    const node = learner?.node ?? this.#deps.view.node(added);
    if (!learner || !node || learner.member.peerUrls.join() === peerUrlOf(node)) return false;
    await this.#deps.membership.move(learner.member.id, peerUrlOf(node));
    return true;
  }

  #plan(seen: readonly SeenMember[]): StoreStep {
    const { clock, view } = this.#deps;
    const now = clock.elapsed();
    const isUnfit = ({ id }: NodeRecord) => (this.#unfitUntil.get(id) ?? 0) > now;
    return planStore({
      wanted: view.cluster()?.storeMembers ?? 1,
      members: keptMembers(seen, now),
      hosts: hostsOf(view, (node) => now - (this.#unheardSince.get(node.id) ?? now), isUnfit),
      replaceAfterMs: this.#options.replaceAfterMs,
    });
  }

  #changeOf(step: Exclude<StoreStep, { kind: 'none' }>): StoreChange {
    const { clock, selfId } = this.#deps;
    const about = { why: step.why, by: selfId, startedAt: clock.now() };
    if (step.kind === 'remove') return { kind: 'remove', nodeId: step.member.nodeId ?? step.member.id, ...about };
    return { kind: 'add', nodeId: step.nodeId, ...about, ...(step.votes && { votes: step.votes }) };
  }

  /** Only with etcd's own word of who its members are, and by one of those that may write it. */
  #acts(): boolean {
    const { isFollowed, isHeard, selfId, view } = this.#deps;
    if (!isFollowed() || !view.provesAbsence || levelOf(view) < STORE_LEVEL) return false;
    const change = view.storeChange();
    const keepers = keepersOf(view.nodes(), { keepers: view.keepers(), cluster: view.cluster() });
    const living = keepers.filter(({ id }) => id === selfId || (isHeard(id) && view.live(id) !== undefined));
    // Who is to go does not remove itself, where another one can.
    const others = living.filter(({ id }) => change?.kind !== 'remove' || id !== change.nodeId);
    return (others[0] ?? living[0])?.id === selfId;
  }

  #since(change: StoreChange): number {
    const text = JSON.stringify([change.kind, change.nodeId, change.startedAt]);
    if (this.#changeSeen?.change !== text) this.#changeSeen = { change: text, at: this.#deps.clock.elapsed() };
    return this.#changeSeen.at;
  }

  #noteUnheard(): void {
    const { clock, isHeard, view } = this.#deps;
    for (const { id } of view.nodes()) {
      if (isHeard(id)) this.#unheardSince.delete(id);
      else if (!this.#unheardSince.has(id)) this.#unheardSince.set(id, clock.elapsed());
    }
  }

  #log({ kind, nodeId, votes, why }: StoreChange): void {
    const node = this.#deps.view.node(nodeId)?.name ?? nodeId;
    const event = kind === 'remove' ? 'store-member-leaving' : votes ? 'store-member-promoted' : 'store-member-joining';
    this.#deps.logger.info({ event, node, why }, "the store's members are being changed");
  }
}
