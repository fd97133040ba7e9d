/**
 * What has to follow from the cluster's state besides the kernel and the answers: claims of this node compared with its
 * endpoints, networks that are being removed, the node's own record. Tried again until it is done.
 *
 * A wake-up that comes while nothing can be done is not lost: whatever ends that (a whole view, etcd's return) is a wake-up
 * itself, and each of them looks at everything.
 */
import { asOverlaydError } from '../core/errors.ts';
import type { Liveness } from '../core/failure-detector.ts';
import { mayWriteCluster } from '../core/keepers.ts';
import { Latch } from '../core/latch.ts';
import type { AgentVersion } from '../core/levels.ts';
import { hasServiceAddresses } from '../core/network-options.ts';
import type { Clock, Random } from '../ports/runtime.ts';
import type { ClusterStore } from '../ports/store.ts';
import type { AddressClaims } from './claims/address-claims.ts';
import { markStoreThatWentBack, raiseLevel } from './cluster/level.ts';
import type { SelfRecord } from './cluster/self-record.ts';
import {
  type ClaimAuditDeps,
  mayAcceptStore,
  type RightClaims,
  releaseFormer,
  releaseLeftovers,
  restoreClaims,
  StoreAcceptance,
} from './endpoints/claim-audit.ts';
import type { EngineEndpoints } from './engine/endpoints.ts';
import type { Networks } from './networks/networks.ts';
import { AutomaticServices } from './services/automatic.ts';

export interface HousekeepingDeps extends ClaimAuditDeps {
  readonly store: Pick<ClusterStore, 'get' | 'grantLease' | 'list'>;
  readonly claims: Pick<
    AddressClaims,
    'expectLeftovers' | 'isOfThisRun' | 'leftoversSettled' | 'settleLeftovers' | 'space'
  >;
  readonly engineEndpoints: { readonly former: Pick<EngineEndpoints['former'], 'unclaimed'> };
  readonly networks: Pick<Networks, 'find' | 'finishRemovals' | 'list'>;
  readonly selfRecord: Pick<SelfRecord, 'refresh'>;
  /** Not by a node that is no member any more, nor by an agent that does not speak the cluster's level. */
  readonly mayAct: () => boolean;
  readonly liveness: (nodeId: string) => Liveness;
  readonly clock: Clock;
  readonly random: Pick<Random, 'hex' | 'next'>;
}

const RETRY_MS = 1_000;

export class Housekeeping {
  readonly #deps: HousekeepingDeps;
  readonly #selfId: string;
  readonly #agent: AgentVersion;
  readonly #due = new Latch();
  readonly #acceptance = new StoreAcceptance();
  #rightClaims: RightClaims = new WeakMap();
  readonly #services: AutomaticServices;
  #fallBacks = 0;

  constructor(
    deps: HousekeepingDeps,
    options: { readonly selfId: string; readonly agent: AgentVersion; readonly quarantineSeconds: number },
  ) {
    this.#deps = deps;
    this.#selfId = options.selfId;
    this.#agent = options.agent;
    this.#services = new AutomaticServices({ ...deps, selfId: this.#selfId, view: deps.state.view }, options);
  }

  /** In words. */
  get problems(): readonly string[] {
    return this.#services.problems;
  }

  wake(): void {
    this.#due.set();
  }

  /** Its aliases may have no service yet. `networkId`: where this host got an endpoint, or one that changed. */
  noteLocalChange(networkId: string | undefined): void {
    const network = networkId === undefined ? undefined : this.#deps.state.view.network(networkId);
    if (network && hasServiceAddresses(network)) this.wake();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger, mayAct, state } = this.#deps;
    signal.addEventListener('abort', () => this.#due.set(), { once: true });
    let failing: string | undefined;
    while (!signal.aborted) {
      await this.#due.wait();
      // Absence is to be etcd's word of this moment.
      if (signal.aborted || !state.view.isWhole || !state.followed || !mayAct()) continue;
      try {
        await this.#keep(signal);
        failing = undefined;
      } catch (error) {
        if (signal.aborted) return;
        const { message } = asOverlaydError(error);
        // The same again and again is said once.
        logger[message === failing ? 'debug' : 'warn']({ error }, 'housekeeping failed, trying again');
        failing = message;
        await clock.sleep(RETRY_MS, signal);
        this.#due.set();
      }
    }
  }

  /** None of the last steps waits for what stands in another one's way. */
  async #keep(signal: AbortSignal): Promise<void> {
    const { claims, engineEndpoints, networks, selfRecord, state } = this.#deps;
    // While etcd is behind what it was, nothing is let go of.
    const { behind } = state.view;
    if (state.fallBacks !== this.#fallBacks) {
      this.#fallBacks = state.fallBacks;
      claims.expectLeftovers();
    }
    if (!behind) {
      await releaseFormer(this.#deps, engineEndpoints.former.unclaimed());
      if (!claims.leftoversSettled) {
        await releaseLeftovers(this.#deps, { selfId: this.#selfId, isOfThisRun: (id) => claims.isOfThisRun(id) });
        claims.settleLeftovers();
      }
    }
    const steps = [
      ...[this.#restore(), selfRecord.refresh()],
      ...(mayWriteCluster(state.view, this.#selfId)
        ? [raiseLevel(this.#deps, this.#agent), markStoreThatWentBack(this.#deps)]
        : []),
      behind ? undefined : networks.finishRemovals(signal),
      behind ? undefined : this.#keepServices(signal),
    ];
    const results = await Promise.allSettled(steps);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  }

  async #keepServices(signal: AbortSignal): Promise<void> {
    const soonMs = await this.#services.keep();
    if (soonMs === undefined) return;
    void this.#deps.clock.sleep(soonMs, signal).then(
      () => this.wake(),
      () => undefined,
    );
  }

  async #restore(): Promise<void> {
    const { clock, state } = this.#deps;
    if (state.view.behind) this.#rightClaims = new WeakMap();
    await restoreClaims(this.#deps, this.#rightClaims);
    const acceptable = state.view.behind && mayAcceptStore(this.#deps, this.#selfId);
    if (this.#acceptance.isDue(acceptable, clock.elapsed())) state.acceptStore();
  }
}
