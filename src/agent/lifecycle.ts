/**
 * What the agent is right now: waiting, or a member. `init`, `join` and `leave` move it from one to the other; at the
 * start the identity file says which. One of them at a time.
 */
import { asOverlaydError, OverlaydError } from '../core/errors.ts';
import type { Clock, ClusterStore, EtcdServer, JsonFile, Logger, StoreStatus } from '../ports.ts';
import { type Identity, type IdentityState, tlsMaterialOf } from './cluster/identity.ts';
import {
  type ClusterDefaults,
  type ClusterOutcome,
  type InitDeps,
  type InitOptions,
  initCluster,
} from './cluster/init.ts';
import { type JoinDeps, type JoinOptions, joinCluster } from './cluster/join.ts';
import { leaveCluster } from './cluster/leave.ts';

import type { Member } from './member.ts';

/** A member with everything that runs beside it. */
export interface Membership {
  readonly member: Member;
  readonly store: ClusterStore;
  readonly identity: Identity;
  storeStatus(): StoreStatus;
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
  readonly startMember: (identity: Identity) => Promise<Membership>;
  /** Removes everything of ours from the kernel of this host. */
  readonly clearHost: () => Promise<void>;
}

export interface LifecycleOptions extends ClusterDefaults {
  readonly quarantineSeconds: number;
}

const RETRY_MS = 3_000;

export class Lifecycle {
  readonly #deps: LifecycleDeps;
  readonly #options: LifecycleOptions;
  #membership: Membership | undefined;
  #busy: string | undefined;
  #problem: string | undefined;

  constructor(deps: LifecycleDeps, options: LifecycleOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** Undefined while the agent waits for `init` or `join`. */
  get current(): Membership | undefined {
    return this.#membership;
  }

  /** What the agent is in the middle of, or why it could not start as the member that it is. */
  get situation(): { readonly busy: string | undefined; readonly problem: string | undefined } {
    return { busy: this.#busy, problem: this.#problem };
  }

  /** Throws `not-joined`. */
  require(): Membership {
    if (this.#membership) return this.#membership;
    if (this.#busy)
      throw new OverlaydError('conflict', `the agent is busy: ${this.#busy}; try again in a moment`, {
        retryable: true,
      });
    if (this.#problem) throw new OverlaydError('not-joined', this.#problem);
    throw new OverlaydError(
      'not-joined',
      'this host is not a member of a cluster; make one with `overlayd init`, or join one with `overlayd join --token TOKEN HOST:2377`',
    );
  }

  /**
   * Goes on as the member that the identity file names; nothing when there is none. What stands in the way (a port in
   * use, an unreadable file) is tried again until the signal aborts; `attempted` resolves after the first try.
   */
  resume(signal: AbortSignal): { readonly attempted: Promise<void>; readonly ended: Promise<void> } {
    const first = this.#tryResume();
    const retrying = async () => {
      let done = await first;
      while (!done && !signal.aborted) {
        await this.#deps.clock.sleep(RETRY_MS, signal).catch(() => undefined);
        if (!signal.aborted) done = this.#membership !== undefined || (await this.#tryResume());
      }
    };
    return { attempted: first.then(() => undefined), ended: retrying() };
  }

  /** As the same member, with a renewed certificate. Existing traffic does not notice. */
  async restart(identity: Identity): Promise<void> {
    const before = this.#membership;
    this.#membership = undefined;
    // The caller is a task of the membership that ends here: waiting for it would wait for the caller.
    void (async () => {
      await before?.stop();
      await this.#start(identity);
    })().catch((error: unknown) => this.#fail(error));
  }

  /** One line for the service manager. */
  describe(): string {
    if (this.#membership)
      return `node ${this.#membership.identity.name} of cluster ${this.#membership.identity.clusterId}`;
    return this.#problem ?? 'waiting for `overlayd init` or `overlayd join`';
  }

  init(options: InitOptions, progress: (text: string) => void): Promise<ClusterOutcome> {
    return this.#exclusively('creating a cluster', () =>
      this.#become(() => initCluster(this.#deps, options, this.#options, progress)),
    );
  }

  join(options: JoinOptions, progress: (text: string) => void): Promise<ClusterOutcome> {
    return this.#exclusively('joining a cluster', () =>
      this.#become(() => joinCluster(this.#deps, options, this.#options, progress)),
    );
  }

  /** Returns warnings. */
  async leave(force: boolean, progress: (text: string) => void): Promise<string[]> {
    const membership = this.require();
    return this.#exclusively('leaving the cluster', async () => {
      try {
        const warnings = await this.#leave(membership, force, progress);
        this.#membership = undefined;
        this.#problem = undefined;
        progress('removing the networks of this host');
        await this.#deps.clearHost();
        return warnings;
      } catch (error) {
        // Whatever went wrong, as long as the identity is there this node is a member and has to act as one.
        const identity = await this.#deps.file.load();
        if (identity?.phase === 'member') {
          await membership.stop();
          await this.#start(identity);
        }
        throw error;
      }
    });
  }

  async stop(): Promise<void> {
    await this.#membership?.stop();
  }

  async #leave(membership: Membership, force: boolean, progress: (text: string) => void): Promise<string[]> {
    const { member } = membership;
    const warnings = await leaveCluster(
      {
        ...this.#deps,
        identity: membership.identity,
        store: membership.store,
        localEndpoints: () => member.local.all().map((endpoint) => endpoint.record.name),
        quiesce: () => membership.quiesce(),
      },
      { force },
      this.#options,
      progress,
    );
    await member.forget();
    await membership.stop();
    return warnings;
  }

  async #become(steps: () => Promise<ClusterOutcome>): Promise<ClusterOutcome> {
    const result = await steps();
    await this.#start(result.identity);
    return result;
  }

  async #tryResume(): Promise<boolean> {
    try {
      const identity = await this.#deps.file.load();
      if (identity?.phase === 'member') await this.#start(identity);
      return true;
    } catch (error) {
      this.#fail(error);
      return false;
    }
  }

  async #start(identity: Identity): Promise<void> {
    const { etcd, startMember } = this.#deps;
    this.#membership = await startMember(identity);
    this.#problem = undefined;
    if (!identity.store.bundled) return;
    // The member runs with or without its etcd: existing traffic needs neither.
    void etcd.ensure(identity.advertiseAddress, tlsMaterialOf(identity)).catch((error: unknown) => this.#fail(error));
  }

  #fail(error: unknown): void {
    const { code, message } = asOverlaydError(error);
    this.#problem = message;
    this.#deps.logger.error({ code, reason: message }, 'this node cannot do its part, trying again');
  }

  async #exclusively<T>(what: string, task: () => Promise<T>): Promise<T> {
    if (this.#busy)
      throw new OverlaydError('conflict', `the agent is busy: ${this.#busy}; try again in a moment`, {
        retryable: true,
      });
    try {
      this.#busy = what;
      return await task();
    } finally {
      this.#busy = undefined;
    }
  }
}
