/**
 * What the agent is right now: waiting, or a member. `init`, `join` and `leave` move it from one to the other; at the
 * start the identity file says which. One of them at a time.
 */
import { asOverlaydError, OverlaydError } from '../core/errors.ts';
import type { Found } from '../core/finding.ts';
import type { JsonFile } from '../ports/files.ts';
import type { Clock, Logger } from '../ports/runtime.ts';
import type { ClusterStore, EtcdServer, StoreAccess, StoreStatus } from '../ports/store.ts';
import type { Adopt } from './cluster/another-ca.ts';
import type { Certification } from './cluster/certification.ts';
import { etcdSettingsOf, type Identity, type IdentityState, notJoined, tlsMaterialOf } from './cluster/identity.ts';
import {
  type ClusterDefaults,
  type ClusterOutcome,
  type InitDeps,
  type InitOptions,
  initCluster,
} from './cluster/init.ts';
import { type JoinDeps, type JoinOptions, joinCluster } from './cluster/join.ts';
import type { KeeperCalls } from './cluster/keeper-calls.ts';
import { requireKeyElsewhere } from './cluster/key-elsewhere.ts';
import { type LeaveDeps, type LeaveOptions, leaveCluster } from './cluster/leave.ts';
import type { OwnIdentity } from './cluster/own-identity.ts';
import { isShutOut, joinAgain } from './cluster/rejoin.ts';
import { accessOf } from './cluster/store-access.ts';
import type { EngineSide } from './engine/engine-side.ts';
import type { Member } from './member.ts';
import type { PathWatches } from './path/network-watch.ts';
import { BundledEtcd } from './store/bundled-etcd.ts';
import { isBeingAdded } from './store/own-member.ts';
import type { StoreSide } from './store/store-side.ts';

/** A member with everything that runs beside it. */
export interface Membership extends PathWatches {
  readonly member: Member;
  readonly store: ClusterStore;
  readonly identity: Identity;
  readonly own: OwnIdentity;
  readonly keepers: KeeperCalls;
  readonly certification: Pick<Certification, 'look'>;
  /** Undefined when networks are not offered to a container engine. */
  readonly engineSide: EngineSide | undefined;
  readonly storeSide: StoreSide;
  storeStatus(): StoreStatus;
  /** What is wrong with this host's addresses, certificate and clock, with other firewalls, and with its ways to others. */
  hostFindings(): readonly Found[];
  /** Whether a keeper has said that this node is no member, while etcd does not answer. */
  readonly removal: { readonly isTold: boolean };
  /** Alarms that the store has raised, in words with what to do. */
  storeAlarms(): Promise<readonly string[]>;
  /** Ends all tasks: nothing is written any more, the store can still be used. The kernel keeps what it has. Idempotent. */
  quiesce(): Promise<void>;
  /** `quiesce`, and the connection to the store ends. Idempotent. */
  stop(): Promise<void>;
}

export interface LifecycleDeps extends InitDeps, JoinDeps {
  readonly file: JsonFile<IdentityState>;
  readonly etcd: EtcdServer;
  readonly logger: Logger;
  readonly clock: Clock;
  /** `former`: what ran until a moment ago as the same member. */
  readonly startMember: (identity: Identity, former?: Membership) => Promise<Membership>;
  readonly clearHost: LeaveDeps['clearHost'];
}

export interface LifecycleOptions extends ClusterDefaults {
  readonly quarantineSeconds: number;
}

const LEAVING = 'leaving the cluster';
const RETRY_MS = 3_000;
const START_AWAITED_MS = 10_000;

export class Lifecycle {
  readonly #deps: LifecycleDeps;
  readonly #options: LifecycleOptions;
  #membership: Membership | undefined;
  /** The member has stopped to leave: from then on it is started again should leaving fail. */
  #quiesced = false;
  #busy: string | undefined;
  /** The first attempt to go on as the member that this host is. */
  readonly #first = Promise.withResolvers<void>();
  /** Ends when the last start has ended, well or not. */
  #starting: Promise<void> = this.#first.promise;
  #problem: string | undefined;
  /** Since the first look at the identity file: whether it names a member. */
  #isMember: boolean | undefined;
  readonly #looked = Promise.withResolvers<void>();
  readonly #bundled: BundledEtcd;

  constructor(deps: LifecycleDeps, options: LifecycleOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#bundled = new BundledEtcd({
      ...deps,
      identity: () => this.#membership?.identity,
      isBeingAdded: () =>
        this.#membership !== undefined && isBeingAdded(this.#membership.member.view, this.#membership.identity.nodeId),
      tell: (error) => (error === undefined ? this.#goesWell() : this.#fail(error)),
    });
  }

  /** Undefined while the agent waits for `init` or `join`. */
  get current(): Membership | undefined {
    return this.#membership;
  }

  /** What the agent is in the middle of, or why it could not start as the member that it is. */
  get situation(): { readonly busy: string | undefined; readonly problem: string | undefined } {
    return { busy: this.#busy, problem: this.#problem };
  }

  /** It is a member as far as anybody knows, and does not run as one. */
  get isStarting(): boolean {
    return this.#membership === undefined && this.#isMember !== false;
  }

  get leaving(): boolean {
    return this.#busy === LEAVING;
  }

  /** Resolves when the agent is not starting, or after a while: who asks in that moment waits instead of being sent away. */
  started(): Promise<void> {
    return this.#within(this.#starting);
  }

  /** Resolves when it is known whether this host is to be a member, or after the same while. */
  looked(): Promise<void> {
    return this.#within(this.#looked.promise);
  }

  async #within(done: Promise<void>): Promise<void> {
    const given = new AbortController();
    const late = this.#deps.clock.sleep(START_AWAITED_MS, given.signal).catch(() => undefined);
    await Promise.race([done, late]);
    given.abort();
  }

  /** As the file says, whether the member runs or not. Throws `not-joined`. */
  async identity(): Promise<Identity> {
    const saved = await this.#deps.file.load();
    if (saved?.phase === 'member') return saved;
    throw notJoined();
  }

  /** Throws `not-joined`. */
  require(): Membership {
    if (this.#membership) return this.#membership;
    this.#requireIdle();
    if (this.#problem) throw new OverlaydError('not-joined', this.#problem);
    throw notJoined();
  }

  /**
   * Goes on as the member that the identity file names, now and whenever that member does not run: what stands in the
   * way (a port in use, an unreadable file) is tried again until the signal aborts. `attempted` resolves after the
   * first try.
   */
  resume(signal: AbortSignal): { readonly attempted: Promise<void>; readonly ended: Promise<void> } {
    const attempted = this.#resumeIfIdle();
    this.#first.resolve(attempted);
    const retrying = async () => {
      await attempted;
      while (!signal.aborted) {
        await this.#deps.clock.sleep(RETRY_MS, signal, 'loosely').catch(() => undefined);
        if (!signal.aborted) await this.#resumeIfIdle();
      }
    };
    return { attempted, ended: retrying() };
  }

  /**
   * As the same member, with what the identity file says now: another certificate, other addresses. `why` completes "the
   * agent is busy: …". Existing traffic does not notice. Throws `conflict` when another step is under way.
   */
  async restart(why: string): Promise<void> {
    this.#requireIdle();
    // The caller is a task of the membership that ends here: waiting for it would wait for the caller.
    this.#starting = this.#exclusively(why, () => this.#startAnew()).catch((error: unknown) => this.#fail(error));
  }

  /** One line for the service manager. */
  describe(): string {
    if (this.#membership) {
      const { identity, member, removal } = this.#membership;
      const silence = removal.isTold ? 'it was removed from the cluster' : 'etcd does not answer';
      const trouble = this.#problem ?? (member.storeConnected ? undefined : silence);
      return `node ${identity.name} of cluster ${identity.clusterId}${trouble === undefined ? '' : `: ${trouble}`}`;
    }
    return this.#problem ?? 'waiting for `overlayd init` or `overlayd join`';
  }

  init(options: InitOptions, progress: (text: string) => void): Promise<ClusterOutcome> {
    return this.#exclusively('creating a cluster', () =>
      this.#become(() => initCluster(this.#deps, options, this.#options, progress)),
    );
  }

  join(options: JoinOptions, progress: (text: string) => void): Promise<ClusterOutcome> {
    if (this.#membership && isShutOut(this.#deps, this.#membership)) {
      return this.changeStore('joining again', (of) =>
        joinAgain({ ...this.#deps, ...of }, options, this.#options, progress),
      );
    }
    return this.#exclusively('joining a cluster', () =>
      this.#become(() => joinCluster(this.#deps, options, this.#options, progress)),
    );
  }

  /** Returns warnings. With `force` also for a member that cannot start. */
  async leave(options: LeaveOptions, progress: (text: string) => void): Promise<string[]> {
    this.#requireIdle();
    if (!options.force) this.require();
    return this.#exclusively(LEAVING, async () => {
      const membership = this.#membership;
      this.#quiesced = false;
      try {
        const leave = membership ? this.#leave(membership, options, progress) : this.#leaveIdle(options, progress);
        const warnings = await leave;
        this.#membership = undefined;
        this.#problem = undefined;
        this.#isMember = false;
        return warnings;
      } catch (error) {
        // A refusal has changed nothing. Whatever else went wrong: as long as the identity is there this node is a member
        // and has to act as one.
        if (this.#quiesced) await this.#startAnew();
        throw error;
      }
    });
  }

  /** Steps after which this member may have another way to the store: it starts anew then. Returns what they return. */
  async changeStore<T extends { readonly store: Identity['store'] | undefined; readonly adopt?: Adopt | undefined }>(
    what: string,
    steps: (membership: Membership) => Promise<T>,
  ): Promise<T> {
    const membership = this.require();
    return await this.#exclusively(what, async () => {
      const done = await steps(membership);
      if (done.store) await this.#turnTo(membership, done.store, done.adopt);
      return done;
    });
  }

  /** The same, for a task of the membership that ends by it. `keeps`: with the etcd that runs on this host. Throws `conflict`. */
  async followStore(access: StoreAccess, keeps: boolean): Promise<void> {
    const membership = this.require();
    this.#requireIdle();
    const turn = () => this.#turnTo(membership, { ...access, bundled: keeps });
    void this.#exclusively("following the cluster's store", turn).catch((error: unknown) => this.#fail(error));
  }

  /** An etcd of this host that is the cluster's no more is set aside. */
  async #turnTo({ own }: Membership, store: Identity['store'], adopt?: Adopt): Promise<void> {
    const { bundled } = own.current.store;
    await own.change((before) => ({ ...(adopt?.(before) ?? before), store }));
    this.#bundled.giveUp();
    if (bundled && !store.bundled) await this.#deps.etcd.setAside();
    await this.#startAnew();
  }

  async stop(): Promise<void> {
    this.#bundled.giveUp();
    await this.#membership?.stop();
  }

  async #leave(membership: Membership, options: LeaveOptions, progress: (text: string) => void): Promise<string[]> {
    const { member } = membership;
    const warnings = await leaveCluster(
      {
        ...this.#deps,
        identity: membership.identity,
        store: membership.store,
        keyElsewhere: () => requireKeyElsewhere({ ...membership, pki: this.#deps.pki, view: member.view }),
        handOverStore: (report) => membership.storeSide.handOver(report),
        otherKeepers: () => membership.storeSide.others,
        localEndpoints: () => member.local.ofContainers().map((endpoint) => endpoint.record.name),
        quiesce: async () => {
          this.#quiesced = true;
          this.#bundled.giveUp();
          await membership.quiesce();
        },
      },
      options,
      this.#options,
      progress,
    );
    await membership.stop();
    return warnings;
  }

  /** `leave --force` of a member that does not run. */
  async #leaveIdle(options: LeaveOptions, progress: (text: string) => void): Promise<string[]> {
    const identity = await this.#deps.file.load();
    if (identity?.phase !== 'member') throw notJoined();
    const { store, close } = this.#deps.openStore(accessOf(identity), tlsMaterialOf(identity));
    try {
      const quiesce = async () => this.#bundled.giveUp();
      const idle = { localEndpoints: () => [], quiesce };
      return await leaveCluster({ ...this.#deps, ...idle, identity, store }, options, this.#options, progress);
    } finally {
      close();
    }
  }

  async #become(steps: () => Promise<ClusterOutcome>): Promise<ClusterOutcome> {
    const result = await steps();
    await this.#startSaved();
    if (this.#membership) return result;
    const warning = `this host is a member now, but cannot do its part yet: ${this.#problem}; it is tried again`;
    return { ...result, warnings: [...result.warnings, warning] };
  }

  async #resumeIfIdle(): Promise<void> {
    if (this.#membership || this.#busy) return;
    try {
      // Looked at first: an agent that waits for `init` or `join` must not be busy when they come.
      this.#isMember = (await this.#deps.file.load())?.phase === 'member';
      this.#looked.resolve();
      if (this.#membership || this.#busy) return;
      if (this.#isMember) await this.#exclusively('starting', () => this.#startSaved());
      else this.#problem = undefined;
    } catch (error) {
      this.#fail(error);
    }
  }

  async #startAnew(): Promise<void> {
    const before = this.#membership;
    this.#membership = undefined;
    this.#bundled.giveUp();
    await before?.stop();
    await this.#startSaved(before);
  }

  /** As the member that the identity file names, if it does. What fails is told here and tried again by `resume`. */
  async #startSaved(former?: Membership): Promise<void> {
    try {
      const identity = await this.#deps.file.load();
      if (identity?.phase === 'member') {
        // Whoever asks one that is about to be replaced asks in vain. What keeps it from ending is told when it is started.
        if (identity.store.bundled) await this.#deps.etcd.endOutdated(etcdSettingsOf(identity)).catch(() => undefined);
        this.#membership = await this.#deps.startMember(identity, former).catch((error: unknown) => {
          if (identity.store.bundled) this.#bundled.keep(identity);
          throw error;
        });
        this.#isMember = true;
        // The member runs with or without its etcd: existing traffic needs neither.
        if (identity.store.bundled) void this.#bundled.ensure(this.#membership.identity);
      }
      this.#problem = undefined;
    } catch (error) {
      this.#fail(error);
    }
  }

  #goesWell(): void {
    this.#problem = undefined;
  }

  #fail(error: unknown): void {
    this.#looked.resolve();
    const { code, message } = asOverlaydError(error);
    // The same again and again is said once.
    const level = message === this.#problem ? 'debug' : 'error';
    this.#problem = message;
    this.#deps.logger[level]({ code, reason: message }, 'this node cannot do its part, trying again');
  }

  async #exclusively<T>(what: string, task: () => Promise<T>): Promise<T> {
    this.#requireIdle();
    try {
      this.#busy = what;
      return await task();
    } finally {
      this.#busy = undefined;
    }
  }

  #requireIdle(): void {
    if (!this.#busy) return;
    throw new OverlaydError('conflict', `the agent is busy: ${this.#busy}; try again in a moment`, { retryable: true });
  }
}
