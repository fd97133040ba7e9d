/** What a member does about the bundled etcd: its own part of it, and, as a keeper, who else has one. */
import { OverlaydError } from '../../core/errors.ts';
import { keptByOthers } from '../../core/keepers.ts';
import { levelOf, STORE_LEVEL } from '../../core/levels.ts';
import type { NodeRecord } from '../../core/records.ts';
import type { StoreReported, StoreWish } from '../../ports/keepers.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { ClusterStore, EtcdServer, StoreMaintenance, StoreMembership } from '../../ports/store.ts';
import type { KeeperCalls } from '../cluster/keeper-calls.ts';
import type { OwnIdentity } from '../cluster/own-identity.ts';
import { bundledStoreOf } from '../cluster/store-access.ts';
import type { Member } from '../member.ts';
import { StoreKeeping, type StoreKeepingDeps } from './keeping.ts';
import { OwnMember, type OwnMemberDeps } from './own-member.ts';
import { reportStore } from './report.ts';
import { StoreUpkeep } from './upkeep.ts';
import { recordWish } from './wish-record.ts';
import { StoreWishes } from './wishes.ts';

export interface StoreSideDeps
  extends Pick<OwnMemberDeps, 'setEndpoints' | 'onChange' | 'isCertified'>,
    Pick<StoreKeepingDeps, 'trust'> {
  readonly member: Pick<Member, 'commit' | 'view' | 'storeConnected' | 'liveness' | 'removed' | 'self'>;
  readonly own: OwnIdentity;
  readonly store: Pick<ClusterStore, 'get'>;
  readonly membership: StoreMembership & StoreMaintenance;
  readonly etcd: Pick<EtcdServer, 'ensure' | 'hindrance' | 'setAside' | 'version'>;
  readonly keepers: Pick<KeeperCalls, 'ask' | 'askOthers'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Which etcd is installed is asked again after so long: it is a program that runs. */
const VERSION_MS = 25_000;

const REPORT_MS = 5_000;
const ENDED_MS = 15_000;
const ENDED_POLL_MS = 100;

export class StoreSide {
  readonly #deps: StoreSideDeps;
  readonly #keeping: StoreKeeping;
  readonly #own: OwnMember;
  readonly wishes: StoreWishes;
  readonly #upkeep: StoreUpkeep;
  #version: { readonly at: number; readonly text: Promise<string | undefined> } | undefined;

  constructor(deps: StoreSideDeps, options: { readonly replaceAfterMs: number }) {
    this.#deps = deps;
    const { member } = deps;
    const shared = { ...deps, view: member.view, isFollowed: () => member.storeConnected };
    this.#keeping = new StoreKeeping(
      {
        ...shared,
        selfId: member.self.id,
        commit: member.commit,
        isHeard: (nodeId) => member.liveness(nodeId) === 'ready',
      },
      options,
    );
    this.#own = new OwnMember(shared);
    this.wishes = new StoreWishes({
      ...shared,
      ask: (wish) => deps.keepers.ask('wishStore', wish),
      isBundled: () => this.#isBundled,
      outlook: async () => (await this.report()).outlook || undefined,
    });
    this.#upkeep = new StoreUpkeep({ ...shared, selfId: member.self.id, revision: () => member.view.revision });
  }

  /** Members, who keeps the store, or what is changed about that may have become others. */
  look(): void {
    this.#keeping.look();
    this.#own.look();
  }

  /** Ends when the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    // An etcd of the user's own is the user's own affair.
    if (!this.#isBundled) return;
    await Promise.all([this.#keeping.run(signal), this.#own.run(signal), this.#upkeep.run(signal)]);
  }

  /** Whether this host could run a member: with which etcd, or why not. */
  async offer(): Promise<Pick<NodeRecord, 'store' | 'storeProblem'>> {
    const { clock, etcd, own } = this.#deps;
    if (own.current.nat || !this.#isBundled) return {};
    if (!this.#version || clock.elapsed() - this.#version.at >= VERSION_MS) {
      this.#version = { at: clock.elapsed(), text: etcd.version() };
    }
    const version = await this.#version.text;
    if (version !== undefined) return { store: { version } };
    return etcd.hindrance === undefined ? {} : { storeProblem: etcd.hindrance };
  }

  /** Names of the other hosts that keep it. */
  get others(): readonly string[] {
    const { self, view } = this.#deps.member;
    const ids = (view.keepers() ?? []).filter((id) => id !== self.id);
    return ids.map((id) => view.node(id)?.name ?? id).sort();
  }

  /** Before this host leaves. False: no other host could keep the store. Throws `conflict` where it does not come about. */
  async handOver(progress: (text: string) => void): Promise<boolean> {
    const { clock, member, own } = this.#deps;
    const { self, view } = member;
    // The others have removed it, and take no word of it any more.
    if (member.removed && member.storeConnected && keptByOthers(view, self.id)) {
      const all = await this.#deps.membership.members();
      if (!all.some(({ isLearner, name }) => name === self.id && !isLearner)) return true;
      throw held('the others have removed it from the cluster, and need its etcd for their majority still');
    }
    if (view.keepers() === undefined || !this.wishes.canGo(self.id)) return false;
    // A copy without a vote goes with its host: the others remove it then.
    if (!view.keepers()?.includes(self.id)) return true;
    const warnings = await this.wishes.demote(self, { progress });
    if (warnings[0] !== undefined) throw held(warnings[0]);
    // It hears of it as this one does, and ends then.
    for (const end = clock.elapsed() + ENDED_MS; own.current.store.bundled; await clock.sleep(ENDED_POLL_MS)) {
      if (clock.elapsed() >= end) throw held('its etcd does not stop');
    }
    return true;
  }

  /** As a keeper: what a person says is written down. */
  record(wish: StoreWish): Promise<void> {
    const { commit, view } = this.#deps.member;
    return recordWish({ store: this.#deps.store, commit, view, isBundled: () => this.#isBundled }, wish);
  }

  /** As etcd tells it this host, or a keeper where this host is none: newer releases tell those alone. */
  async report(): Promise<StoreReported> {
    const { keepers, member } = this.#deps;
    const asksOthers = this.isFollowing && this.#isBundled && !member.view.keepers()?.includes(member.self.id);
    const told = asksOthers ? await keepers.askOthers('reportStore', {}, REPORT_MS).catch(() => undefined) : undefined;
    return told ?? (await this.ownReport());
  }

  ownReport(): Promise<StoreReported> {
    const { member, own } = this.#deps;
    return reportStore({
      ...this.#deps,
      view: member.view,
      isHeard: (nodeId) => member.liveness(nodeId) === 'ready',
      ownEtcd: () => (this.#isBundled ? undefined : own.current.store.endpoints),
    });
  }

  get #isBundled(): boolean {
    return bundledStoreOf(this.#deps.own.current.store) !== undefined;
  }

  /** Who keeps the store is followed here, and not by `AddressWatch`. */
  get isFollowing(): boolean {
    const { view } = this.#deps.member;
    return levelOf(view) >= STORE_LEVEL && view.keepers() !== undefined;
  }
}

function held(why: string): OverlaydError {
  const message = `this host keeps the store, and cannot hand it over now: ${why}`;
  return new OverlaydError('conflict', message, { retryable: true });
}
