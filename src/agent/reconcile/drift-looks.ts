/**
 * Looks for what differs, when somebody asks. Nothing is changed, and nothing is remembered of what is there: the plan that the
 * reconciler would carry out is read as what differs (`core/drift`). It looks between two passes, so that what the agent is
 * writing is no drift, at one network at a time, so that an attachment waits for one look at most.
 */
import { isPlumbedByEngine } from '../../core/attachment.ts';
import type { ClusterView } from '../../core/cluster-view.ts';
import { isHandedOver, type LocalEndpoint } from '../../core/container.ts';
import { type Drift, driftKey, type ReportedDrift } from '../../core/drift/drift.ts';
import { DriftTimes, RepairMemory } from '../../core/drift/memory.ts';
import { driftOf, insideDrift } from '../../core/drift/of-plan.ts';
import { Directory } from '../../core/drift/why.ts';
import type { Desired, DesiredNetwork, Observed, Plan, PlannedOp } from '../../core/host-state.ts';
import { plan } from '../../core/plan.ts';
import type { NodeRecord } from '../../core/records.ts';
import type { Kernel } from '../../ports/kernel.ts';
import type { Clock } from '../../ports/runtime.ts';

export interface DriftLooksDeps {
  readonly kernel: Pick<Kernel, 'observe'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly view: () => ClusterView;
  readonly self: () => Pick<NodeRecord, 'id'>;
  readonly local: () => readonly LocalEndpoint[];
  readonly released: () => Iterable<string>;
  /** As it is now; of these networks, or of all. */
  readonly desired: (only: ReadonlySet<string> | undefined, remotes: boolean) => Desired;
  /** What stands in the way, in words; `namespace` undefined: of the host's own part. */
  readonly hindrance: (namespace: string | undefined) => string | undefined;
  /** Somebody asks: {@link DriftLooks.step} is to be called. */
  readonly onAsked: () => void;
}

/** Containers that are looked into before others have their turn. */
const INSIDES = 16;

/** Of a pass, without rows that failed among those that were done. */
export interface Outcome {
  /** Asked for where something is known to differ. */
  readonly done: () => readonly PlannedOp[];
  readonly failed: readonly PlannedOp[];
}

interface Look {
  readonly networkId: string | undefined;
  readonly parts: AsyncGenerator<void, readonly ReportedDrift[]>;
  readonly resolve: (found: readonly ReportedDrift[]) => void;
  readonly reject: (error: unknown) => void;
  readonly signal: AbortSignal;
}

export class DriftLooks {
  readonly memory = new RepairMemory();
  readonly #deps: DriftLooksDeps;
  readonly #times = new DriftTimes();
  readonly #waiting: Look[] = [];
  #ended: Error | undefined;

  constructor(deps: DriftLooksDeps) {
    this.#deps = deps;
  }

  /** Of one network, or of this host's whole kernel. Throws what looking throws. */
  async look(networkId: string | undefined, signal: AbortSignal): Promise<readonly ReportedDrift[]> {
    signal.throwIfAborted();
    if (this.#ended) throw this.#ended;
    const { promise, resolve, reject } = Promise.withResolvers<readonly ReportedDrift[]>();
    const parts = this.#parts(networkId, signal);
    this.#waiting.push({ networkId, parts, resolve, reject, signal });
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    this.#deps.onAsked();
    try {
      return await promise;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /** One part of what is asked. True when there is more to be looked at. To be called when no pass runs, and none is due. */
  async step(): Promise<boolean> {
    const [look] = this.#waiting;
    if (!look) return false;
    try {
      look.signal.throwIfAborted();
      const { done, value } = await look.parts.next();
      if (!done) return true;
      look.resolve(value);
    } catch (error) {
      look.reject(error);
    }
    this.#waiting.shift();
    return this.#waiting.length > 0;
  }

  get isAsked(): boolean {
    return this.#waiting.length > 0;
  }

  /** Nobody looks any more. */
  end(error: Error): void {
    this.#ended = error;
    for (const look of this.#waiting.splice(0)) look.reject(error);
  }

  /** What a pass found and put back without being asked. */
  noteRepairs(repairs: readonly PlannedOp[], desired: Desired, observed: Observed): void {
    if (repairs.length > 0) this.memory.note(this.#read(repairs, desired, observed), this.#deps.clock.now());
  }

  /** What a pass found and put right, whoever had asked for it, and what it could not. */
  noteOutcome({ done, failed }: Outcome, desired: Desired, observed: Observed): void {
    const failing = failed.length > 0 ? this.#read(failed, desired, observed) : [];
    if (!this.#times.isEmpty) {
      const still = new Set(failing.map(driftKey));
      const ended = this.#read(done(), desired, observed).map(driftKey);
      this.#times.end(ended.filter((key) => !still.has(key)));
    }
    if (failing.length > 0) this.#times.date(failing, this.#deps.clock.now(), () => false);
  }

  #read(ops: readonly PlannedOp[], desired: Desired, observed: Observed): Drift[] {
    return driftOf({ stages: [{ essential: false, ops }] }, { desired, observed, directory: this.#directory() });
  }

  #directory(): Directory {
    const { view, self, local } = this.#deps;
    return new Directory(view(), self().id, local());
  }

  async *#parts(only: string | undefined, signal: AbortSignal): AsyncGenerator<void, readonly ReportedDrift[]> {
    const { clock, desired, hindrance, kernel } = this.#deps;
    const found = new Map<string, Drift>();
    const namespaces = new Map<string, string>();
    const name = only === undefined ? undefined : this.#directory().nameOf(only);
    const add = (drifts: readonly Drift[]) => {
      for (const drift of drifts) if ((name ?? drift.network) === drift.network) found.set(driftKey(drift), drift);
    };
    const all = desired(undefined, false);
    if (only === undefined) {
      const wanted = desired(new Set(), false);
      add(this.#compare(wanted, await kernel.observe({ host: true, networks: [], containers: [], ports: [] }, signal)));
      yield;
    }
    const networkIds = all.networks.map(({ networkId }) => networkId).filter((id) => (only ?? id) === id);
    for (const networkId of networkIds) {
      const network = yield* this.#network(networkId, add, signal);
      if (!network) continue;
      namespaces.set(this.#directory().nameOf(networkId), network.namespace);
      yield* this.#insides(network, add, signal);
    }
    const isLookedAt = () => only === undefined;
    const dated = this.#times.date([...found.values()], clock.now(), isLookedAt);
    return dated.map((drift) => ({ ...drift, hindered: hindrance(namespaces.get(drift.network)) ?? '' }));
  }

  /** Undefined: it is not wanted any more. */
  async *#network(
    networkId: string,
    add: (drifts: readonly Drift[]) => void,
    signal: AbortSignal,
  ): AsyncGenerator<void, DesiredNetwork | undefined> {
    const wanted = this.#deps.desired(new Set([networkId]), true);
    const [network] = wanted.networks;
    if (!network) return undefined;
    const { namespace } = network;
    const ports = network.ports
      .filter(({ endpoint }) => !isHandedOver(endpoint.container))
      .map(({ link, endpoint }) => ({ namespace, link, container: endpoint.container }));
    const scope = { host: true, networks: [namespace], containers: [], ports };
    add(this.#compare(wanted, await this.#deps.kernel.observe(scope, signal)));
    yield;
    return network;
  }

  /** What an engine set up is its own. */
  async *#insides(
    network: DesiredNetwork,
    add: (drifts: readonly Drift[]) => void,
    signal: AbortSignal,
  ): AsyncGenerator<void> {
    const { desired, kernel, view } = this.#deps;
    const own = network.ports.filter(({ endpoint }) => !isPlumbedByEngine(endpoint));
    for (let at = 0; at < own.length; at += INSIDES) {
      const ids = new Set(own.slice(at, at + INSIDES).map(({ endpoint }) => endpoint.record.id));
      const [now] = desired(new Set([network.networkId]), false).networks;
      if (!now) return;
      const ports = now.ports.filter(({ endpoint }) => ids.has(endpoint.record.id));
      const containers = ports.map(({ endpoint }) => endpoint.container);
      const observed = await kernel.observe({ host: false, networks: [], containers, ports: [] }, signal);
      const sources = { desired: { networks: [now] }, observed, directory: this.#directory() };
      add(insideDrift(now, ports, view().provesAbsence, sources));
      yield;
    }
  }

  #compare(wanted: Desired, observed: Observed): Drift[] {
    const { released, view } = this.#deps;
    const planned: Plan = plan(wanted, observed, { provesAbsence: view().provesAbsence, released: released() });
    return driftOf(planned, { desired: wanted, observed, directory: this.#directory() });
  }
}
