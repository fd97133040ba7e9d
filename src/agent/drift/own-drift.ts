/**
 * What differs on this host from what is wanted here: in the kernel, as the reconciler sees it, and in the files by which containers
 * are told their name servers. Looks and changes nothing, unless a repair is asked for. Any member may ask for one, as often as it likes:
 * whoever asks while one is waited for has the same one, and each begins so late that they take half of the time at most.
 */
import { attachmentOf } from '../../core/attachment.ts';
import type { ContainerRef } from '../../core/container.ts';
import { type Drift, type DriftReport, driftKey, type ReportedDrift } from '../../core/drift/drift.ts';
import { DriftTimes } from '../../core/drift/memory.ts';
import { namespaceOf } from '../../core/plan/naming.ts';
import type { DriftQuery } from '../../ports/members.ts';
import type { Clock } from '../../ports/runtime.ts';
import type { Member } from '../member.ts';

export interface OwnDriftDeps {
  /** Throws `not-joined`. */
  readonly member: () => Pick<Member, 'endpoints' | 'local' | 'names' | 'reconciler' | 'view'>;
  readonly clock: Pick<Clock, 'elapsed' | 'now' | 'sleep'>;
}

/** More is nothing that anybody reads. */
const MOST_TOLD = 1_000;
/** What was put back before that is no news. */
const PUT_BACK_MS = 3_600_000;

/** A repair rests as long as it took, and no longer than that. */
const MOST_REST_MS = 10_000;

interface ResolverDrift {
  readonly drift: Drift;
  readonly container: ContainerRef;
}

export class OwnDrift {
  readonly #deps: OwnDriftDeps;
  /** Of what is no matter of the kernel. */
  readonly #times = new DriftTimes();
  /** The repair that has not begun: it is of all who ask meanwhile. */
  #next: Promise<void> | undefined;
  #last: Promise<unknown> = Promise.resolve();
  /** By the monotonic clock: until then none begins. */
  #restsUntil = Number.NEGATIVE_INFINITY;

  constructor(deps: OwnDriftDeps) {
    this.#deps = deps;
  }

  /** Throws `not-joined`, `cancelled`, and what looking throws. */
  async find({ network, repair }: DriftQuery, signal: AbortSignal): Promise<DriftReport> {
    const { clock, member } = this.#deps;
    const before = await this.#look(network, signal);
    if (repair) await this.#repairInTurn(signal);
    const differs = repair ? await this.#look(network, signal) : before;
    const still = new Set(differs.map(driftKey));
    const { reconciler, view } = member();
    const name = network === '' ? undefined : view.network(network)?.name;
    const putBack = reconciler.drift.memory
      .list(clock.now() - PUT_BACK_MS)
      .filter(({ drift }) => (name ?? drift.network) === drift.network)
      .map((each) => ({ ...each, drift: { ...each.drift, sinceMs: each.lastMs, hindered: '' } }));
    return {
      differs: differs.slice(0, MOST_TOLD),
      repaired: before.filter((drift) => !still.has(driftKey(drift))).slice(0, MOST_TOLD),
      putBack,
      leftOut: Math.max(0, differs.length - MOST_TOLD),
      isPartial: !view.provesAbsence,
    };
  }

  async #look(network: string, signal: AbortSignal): Promise<readonly ReportedDrift[]> {
    const { reconciler, view } = this.#deps.member();
    // Of one that is not known here this host has nothing.
    if (network !== '' && !view.network(network)) return [];
    const ofKernel = await reconciler.drift.look(network === '' ? undefined : network, signal);
    const resolvers = (await this.#resolvers(network)).map(({ drift }) => drift);
    const isLookedAt = () => network === '';
    const others = [...resolvers, ...(await this.#names(network))];
    const dated = this.#times.date(others, this.#deps.clock.now(), isLookedAt);
    return [...ofKernel, ...dated.map((drift) => ({ ...drift, hindered: '' }))];
  }

  /** Begins after this call. Who goes leaves it to the others. */
  async #repairInTurn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#next ??= this.#beginRepair();
    const { promise: gone, reject } = Promise.withResolvers<never>();
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    try {
      await Promise.race([this.#next, gone]);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  async #beginRepair(): Promise<void> {
    const { clock } = this.#deps;
    await this.#last;
    const restMs = this.#restsUntil - clock.elapsed();
    if (restMs > 0) await clock.sleep(restMs);
    this.#next = undefined;
    const beganAt = clock.elapsed();
    const repaired = this.#repair().finally(() => {
      const now = clock.elapsed();
      this.#restsUntil = now + Math.min(now - beganAt, MOST_REST_MS);
    });
    this.#last = repaired.catch(() => undefined);
    await repaired;
  }

  async #repair(): Promise<void> {
    const { endpoints, local, names, reconciler } = this.#deps.member();
    // Of each, what stands in its way is told by the look that follows.
    for (const { container } of await this.#resolvers(''))
      await endpoints.configureResolver(container).catch(() => undefined);
    await reconciler.audit(new AbortController().signal);
    for (const networkId of local.networkIds()) {
      await names.ensure(networkId).catch(() => undefined);
      await names.audit.repair(networkId);
    }
  }

  async #names(networkId: string): Promise<readonly Drift[]> {
    const { local, names, view } = this.#deps.member();
    const found: Drift[] = [];
    for (const id of local.networkIds()) {
      const network = view.network(id);
      if (!network || (networkId !== '' && networkId !== id)) continue;
      const detail = await names.audit.problem(id);
      if (detail === undefined) continue;
      const [place, why] = [namespaceOf(network.vni), `containers here ask for names of ${network.name}`];
      const object = `names of ${network.name}`;
      found.push({ kind: 'names', network: network.name, place, object, state: 'wrong', detail, why });
    }
    return found;
  }

  async #resolvers(networkId: string): Promise<readonly ResolverDrift[]> {
    const { endpoints, local, view } = this.#deps.member();
    const seen = new Set<string>();
    const found: ResolverDrift[] = [];
    for (const endpoint of local.all()) {
      const { container, record } = endpoint;
      if (attachmentOf(endpoint).names !== 'file' || seen.has(container.text)) continue;
      if (networkId !== '' && record.networkId !== networkId) continue;
      seen.add(container.text);
      const differs = await endpoints.resolverDrift(container);
      if (!differs) continue;
      const { path, state, detail } = differs;
      const network = view.network(record.networkId)?.name ?? '';
      const why = `${record.name} asks the name servers of its networks`;
      found.push({ container, drift: { kind: 'resolver', network, place: 'host', object: path, state, detail, why } });
    }
    return found;
  }
}
