/**
 * Keeps the kernel as the view and the local endpoints want it: desired -> plan(observed) -> apply, again and again.
 *
 * One pass runs at a time and takes everything that was marked before it; what is marked meanwhile waits for the next,
 * so sixty-four attaches at once cost a few passes. A pass looks at the marked networks only, at the host only when
 * what is wanted of it changed or it was marked, inside a container only until that was found right once, and not again
 * at a network of which is known what it holds.
 *
 * The kernel tells of its changes (`kernel-events.ts`). What it should not have told of, an audit finds (`drift-audit.ts`).
 */
import type { ClusterView } from '../../core/cluster-view.ts';
import { isHandedOver, type LocalEndpoint } from '../../core/container.ts';
import { type DesiredInput, desired, hostKeyOf } from '../../core/desired.ts';
import { asOverlaydError } from '../../core/errors.ts';
import type { ApplyResult, Desired, NamespaceState, Observed, Obstacle, Scope } from '../../core/host-state.ts';
import { Latch } from '../../core/latch.ts';
import { plan } from '../../core/plan.ts';
import type { NodeRecord } from '../../core/records.ts';
import { SILENT, type Telemetry } from '../../core/telemetry.ts';
import type { Kernel } from '../../ports/kernel.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import { Announcements, type AnnouncementsDeps, HOST_PART } from './announcements.ts';
import { type ConvergeOptions, insidesOf, obstacleFor, stopping, type Waiter, waitFor } from './convergence.ts';
import { DriftAudit } from './drift-audit.ts';
import { DriftLooks } from './drift-looks.ts';
import { GoneEndpoints } from './gone-endpoints.ts';
import { Hindrances } from './hindrances.ts';
import { KernelEvents } from './kernel-events.ts';
import { KnownNetworks } from './known-networks.ts';
import { MarkSet, type Marks, marksOf } from './marks.ts';
import { RepairBook } from './repair-book.ts';
import { RepairLog } from './repair-log.ts';
import { Retries } from './retries.ts';
import { isNothing, SeenNetworks } from './seen-networks.ts';
import { SettledContainers } from './settled-containers.ts';

export interface ReconcilerDeps {
  readonly kernel: Kernel;
  readonly view: () => ClusterView;
  readonly self: () => NodeRecord;
  readonly local: () => readonly LocalEndpoint[];
  /** Ids of endpoints that were disconnected while the view was not whole. */
  readonly released?: () => Iterable<string>;
  /** Of the cluster, when its etcd is a bundled one. */
  readonly store?: () => DesiredInput['store'];
  /** Ids of members that do not answer. */
  readonly hidden?: () => ReadonlySet<string>;
  /** Whether networks and host have the service address. */
  readonly serviceAddress?: () => boolean;
  readonly publications?: () => DesiredInput['publications'];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly telemetry?: Telemetry | undefined;
  /** Port and container of these are gone; their owner releases them. Told again while they stay. */
  readonly onGone: (endpoints: readonly LocalEndpoint[]) => Promise<void>;
  /** As of {@link Announcements}: whoever holds a namespace must let go. */
  readonly onLost?: (networkId: string) => Promise<void>;
  readonly onRemoved?: (namespace: string) => Promise<void>;
  readonly letGo?: AnnouncementsDeps['letGo'];
  readonly onComing?: (networkId: string, made: Promise<unknown>) => void;
  /** The network's namespace, or the host's own part ({@link HOST_PART}), was made or changed. */
  readonly onApplied?: (networkId: string) => Promise<void>;
  /** Addresses, routes or links of the host itself changed. */
  readonly onHostChange?: () => void;
}

export interface ReconcilerOptions {
  /** How often is looked without an event. */
  readonly auditIntervalMs?: number;
}

export interface ReconcileStatus {
  readonly passes: number;
  readonly writes: number;
  /** Writes that put back what something else had changed. */
  readonly repairs: number;
  /** What stands in the way now, each cause once; the first of them is `lastError`. */
  readonly problems: readonly string[];
  readonly lastError: string | undefined;
  /** How long the last pass took. */
  readonly lastPassMs: number;
}

const NOTHING_SEEN: Observed = { namespaces: undefined, host: undefined, networks: new Map(), containers: new Map() };
const NOTHING_DONE: ApplyResult = { writes: 0, failures: [] };
/** Passes for which a look at drift waits, where something else is wanted all the time. */
const MOST_WAITED = 5;
const HOST_ALONE: Marks = { all: false, host: true, networks: new Map(), asked: true };

export class Reconciler {
  readonly #deps: ReconcilerDeps;
  readonly #marks = new MarkSet();
  readonly #events: KernelEvents;
  readonly #settled = new SettledContainers();
  readonly #seen = new SeenNetworks();
  readonly #audit: DriftAudit;
  readonly #repairs: RepairBook;
  readonly #work = new Latch();
  readonly #known: KnownNetworks;
  readonly #announcements: Announcements;
  readonly #gone: GoneEndpoints;
  readonly #stop = new AbortController();
  #waiters: Waiter[] = [];
  #hostKey = '';
  /** What differs, for those who ask, and what was put back. */
  readonly drift: DriftLooks;
  readonly #hindrances: Hindrances;
  readonly #retries: Retries;
  #stopped = false;
  #status = { passes: 0, writes: 0, repairs: 0, lastPassMs: 0 };

  constructor(deps: ReconcilerDeps, options: ReconcilerOptions = {}) {
    this.#deps = deps;
    this.#audit = new DriftAudit(deps, { intervalMs: options.auditIntervalMs ?? 60_000 });
    const { clock, kernel, logger, onApplied, onComing, onHostChange, onLost, onRemoved, view } = deps;
    this.#known = new KnownNetworks(view);
    const nameOf = (namespace: string) => this.#known.nameOf(namespace);
    this.#hindrances = new Hindrances({ logger, nameOf });
    const mark = (marks: Marks) => {
      this.#marks.merge(marks);
      this.#work.set();
    };
    this.#retries = new Retries(clock, mark);
    this.#events = new KernelEvents({
      ...{ kernel, clock, seen: this.#seen, onMarks: mark, onHostChange },
      idOf: (namespace) => this.#known.idOf(namespace),
      namespaceOf: (networkId) => this.#known.namespaceOf(networkId),
      doubt: (path) => this.#settled.doubtAt(path, deps.local()),
    });
    this.#announcements = new Announcements({
      logger,
      onApplied,
      onComing,
      onLost,
      onRemoved,
      letGo: deps.letGo,
      again: (what, afterMs) => this.#announceAgain(what, afterMs),
    });
    this.drift = new DriftLooks({
      ...{ kernel, clock, view, self: deps.self, local: deps.local },
      released: () => deps.released?.() ?? [],
      desired: (only, remotes) => this.#desired(only, remotes),
      hindrance: (namespace) => this.#hindrances.causeOf(namespace),
      onAsked: () => this.#work.set(),
    });
    const log = new RepairLog({ clock, logger, nameOf, signal: this.#stop.signal });
    this.#repairs = new RepairBook({ known: this.#known, log, drift: this.drift });
    this.#gone = new GoneEndpoints(deps);
  }

  /** Which ways to endpoints of other hosts this host's kernel has. */
  get ways(): Pick<Announcements, 'reaches' | 'reachesAll'> {
    return this.#announcements;
  }

  /** Whether this host's kernel was brought to what is wanted of the network. */
  isMade(networkId: string): boolean {
    return this.#announcements.isAnnounced(networkId);
  }

  status(): ReconcileStatus {
    const problems = this.#hindrances.list();
    return { ...this.#status, problems, lastError: problems[0] };
  }

  /** A network id, the host's own part, or everything. */
  markDirty(what: string): void {
    this.#marks.add(what, true);
    this.#work.set();
  }

  /**
   * Resolves when a pass that began after this call left the network as it should be, which for a network without local
   * endpoints means: gone. Rejects with the cause; the reconciler goes on trying all the same.
   */
  async converge(networkId: string, options: ConvergeOptions = {}): Promise<void> {
    options.signal?.throwIfAborted();
    if (this.#stopped) throw stopping();
    await waitFor(networkId, options, (waiter) => {
      this.#waiters.push({ ...waiter, traceparent: this.#deps.telemetry?.here() });
      this.markDirty(networkId);
    });
  }

  /**
   * Something else is wanted of the network, which is about to be converged: what a pass changes there before that puts
   * nothing back. Returns what ends it.
   */
  expect(networkId: string): () => void {
    return this.#repairs.expect(networkId);
  }

  /** Looks at everything, whatever is known of it, and puts back what differs. Resolves when that is over, and throws what broke it. */
  async audit(signal: AbortSignal): Promise<void> {
    if (this.#stopped) throw stopping();
    await waitFor(HOST_PART, { signal }, (waiter) => {
      this.#waiters.push(waiter);
      this.#seen.forgetAll();
      this.#settled.doubtAt(undefined, this.#deps.local());
      this.#marks.add('all', false);
      this.#work.set();
    });
  }

  /** Ends when the signal aborts, leaving the kernel as it is. Throws what no repetition would mend (`tool-missing`). */
  async run(signal: AbortSignal): Promise<void> {
    const both = AbortSignal.any([signal, this.#stop.signal]);
    both.addEventListener('abort', () => this.#work.set(), { once: true });
    const tasks = [this.#loop(both), this.#events.listen(both), this.#auditInTurns(both)];
    try {
      await Promise.all(tasks);
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.#stop.abort();
      await Promise.allSettled(tasks);
      this.#stopped = true;
      for (const waiter of this.#waiters.splice(0)) waiter.reject(stopping());
      this.drift.end(stopping());
    }
  }

  async #loop(signal: AbortSignal): Promise<void> {
    await this.#events.heard(signal);
    let waited = 0;
    for (;;) {
      await this.#work.wait();
      if (signal.aborted) return;
      const marks = this.#marks.take();
      if (marks) await this.#traced(marks, signal);
      // What is wanted and not written yet is no drift.
      const isDue = this.drift.isAsked && (!this.#marks.isAsked || ++waited > MOST_WAITED);
      if (isDue) waited = 0;
      if (isDue && (await this.drift.step())) this.#work.set();
    }
  }

  /** Returns whether nothing stood in the way. */
  async #traced(marks: Marks, signal: AbortSignal): Promise<void> {
    const { telemetry = SILENT } = this.#deps;
    const pass = () => telemetry.run('reconcile', {}, () => this.#pass(marks, signal), Boolean);
    await telemetry.within(this.#waiters[0]?.traceparent, pass);
  }

  async #pass(marks: Marks, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#deps;
    const waiters = this.#waiters.splice(0);
    const startedAt = clock.elapsed();
    const lookedAt = () => [...marks.networks.keys()].map((networkId) => this.#known.namespaceOf(networkId));
    const before = lookedAt();
    let obstacles: readonly Obstacle[] = [];
    let broken: Error | undefined;
    try {
      // Members let each other in by the host's filter: a new one does not wait for a look at every network.
      if (marks.all && this.#hostDiffers()) await this.#reconcile(HOST_ALONE, new Map(), signal);
      obstacles = await this.#reconcile(marks, insidesOf(waiters), signal);
    } catch (error) {
      broken = asOverlaydError(error);
    }
    for (const waiter of waiters) {
      const error = broken ?? obstacleFor(waiter, this.#known.namespaceOf(waiter.networkId), obstacles);
      if (error) waiter.reject(error);
      else waiter.resolve();
    }
    const lastPassMs = clock.elapsed() - startedAt;
    this.#status = { ...this.#status, passes: this.#status.passes + 1, lastPassMs };
    const isWell = broken === undefined && obstacles.length === 0;
    if (signal.aborted) return isWell;
    if (broken) {
      // Nothing is known of what the pass was to look at: the host stands for it all.
      const all = [{ network: undefined, endpointId: undefined, error: broken }];
      this.#retries.add(
        { ...marks, host: true },
        this.#hindrances.note(all, () => false),
        signal,
      );
    } else {
      const seen = new Set([...before, ...lookedAt()]);
      const known = this.#known.ids;
      // What is left of a network that nobody knows any more is seen from the host.
      const isSeen = (whose = '') => marks.all || seen.has(whose) || (marks.host && !known.has(whose));
      const passes = this.#hindrances.note(obstacles, isSeen);
      if (obstacles.length > 0) this.#retries.add(marksOf(obstacles, known, marks), passes, signal);
    }
    return isWell;
  }

  /** `insides`: of containers that have just been looked into. */
  async #reconcile(
    marks: Marks,
    insides: ReadonlyMap<string, NamespaceState>,
    signal: AbortSignal,
  ): Promise<readonly Obstacle[]> {
    const { clock, kernel } = this.#deps;
    const provesAbsence = this.#deps.view().provesAbsence;
    const wanted = this.#desired(marks.all ? undefined : new Set(marks.networks.keys()));
    const hostKey = hostKeyOf(wanted, provesAbsence);
    const scope = this.#scope(wanted, marks, insides, hostKey !== this.#hostKey);
    const { known, rest, moment } = this.#seen.recall(scope);
    const insideMoment = this.#settled.moment;
    const askedAt = clock.elapsed();
    const seen = isNothing(rest) ? NOTHING_SEEN : await kernel.observe(rest, signal);
    const looks = rest.networks.length + rest.containers.length;
    if (looks > 0) this.#events.lookMs = (clock.elapsed() - askedAt) / looks;
    if (marks.all) this.#events.looksAtAll = scope.networks.length;
    const networks = new Map([...known, ...seen.networks]);
    const observed = { ...seen, networks, containers: new Map([...insides, ...seen.containers]) };
    const planned = plan(wanted, observed, { provesAbsence, released: this.#deps.released?.() ?? [] });
    this.#known.note(wanted);
    await this.#announcements.lost(wanted, planned);
    // Not cut short by the signal: half a plan is a state that nobody wants.
    const written = this.#events.writing();
    const applying = planned.stages.length > 0 ? kernel.apply(planned) : Promise.resolve(NOTHING_DONE);
    this.#announcements.coming(wanted, planned, applying);
    const result = await applying.finally(written);
    const hostChanged = hostKey !== this.#hostKey;
    const repairs = this.#repairs.note(planned, result, { marks, hostChanged, wanted, observed });
    const status = this.#status;
    this.#status = { ...status, writes: status.writes + result.writes, repairs: status.repairs + repairs };
    const failed = result.failures.map(({ planned, error }): Obstacle => ({ ...planned, error }));
    const obstacles = [...(planned.obstacles ?? []), ...failed];
    // What stands in the way may be in the host: it is looked at until there is nothing.
    if (obstacles.length > 0) this.#hostKey = '';
    else if (scope.host) this.#hostKey = hostKey;
    this.#settled.settle(wanted, observed, { obstacles, moment: insideMoment, provesAbsence });
    for (const networkId of this.#known.settle(wanted, planned, obstacles)) this.#announcements.forget(networkId);
    for (const namespace of this.#seen.settle(observed, planned, moment, result.failures)) this.#lookAgain(namespace);
    this.#announcements.applied(wanted, planned, obstacles, scope.host);
    this.#gone.release(planned.gone);
    // What was remembered may have been wrong; what was written to is looked at now.
    if (failed.some(({ network }) => known.has(network ?? ''))) return await this.#reconcile(marks, new Map(), signal);
    return obstacles;
  }

  #desired(only: ReadonlySet<string> | undefined, remotes = true): Desired {
    const { view, self, local, store, serviceAddress = () => false, publications } = this.#deps;
    const input = {
      view: view(),
      self: self(),
      local: local(),
      store: store?.(),
      ...{ serviceAddress: serviceAddress(), hidden: this.#deps.hidden?.(), publications: publications?.(), remotes },
    };
    return desired(input, only);
  }

  #scope(wanted: Desired, marks: Marks, insides: ReadonlyMap<string, unknown>, hostChanged: boolean): Scope {
    const namespaces = new Set(wanted.networks.map(({ namespace }) => namespace));
    // What is not wanted any more is looked at once more, to be taken apart.
    const former = marks.all ? [...this.#known.ids.values()] : [...marks.networks.keys()];
    for (const networkId of former) {
      const namespace = this.#known.namespaceOf(networkId);
      if (namespace !== undefined) namespaces.add(namespace);
    }
    return {
      host: marks.all || marks.host || hostChanged,
      networks: [...namespaces],
      containers: this.#settled.unsettled(wanted).filter(({ identity }) => !insides.has(identity)),
      ports: wanted.networks
        .flatMap((network) => this.#seen.unseenPorts(network))
        .filter(({ container }) => !isHandedOver(container) && !insides.has(container.identity)),
    };
  }

  #lookAgain(namespace: string): void {
    const networkId = this.#known.idOf(namespace);
    if (networkId === undefined) return;
    this.#marks.add(networkId, false);
    this.#work.set();
  }

  #hostDiffers(): boolean {
    return hostKeyOf(this.#desired(new Set(), false), this.#deps.view().provesAbsence) !== this.#hostKey;
  }

  #announceAgain(networkId: string, afterMs: number): void {
    this.#later(afterMs, this.#stop.signal, () => {
      this.#marks.add(networkId === HOST_PART ? 'host' : networkId, false);
      this.#work.set();
    });
  }

  async #auditInTurns(signal: AbortSignal): Promise<void> {
    for await (const { networks, endpoints } of this.#audit.drifts(() => this.#desired(undefined, false), signal)) {
      for (const endpoint of endpoints) this.#settled.doubt(endpoint);
      for (const networkId of networks) {
        this.#seen.forget(this.#known.namespaceOf(networkId) ?? '');
        this.#marks.add(networkId, false);
      }
      this.#work.set();
    }
  }

  #later(ms: number, signal: AbortSignal, task: () => void): void {
    this.#deps.clock.sleep(ms, signal).then(task, () => undefined);
  }
}
