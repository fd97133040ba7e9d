/**
 * The names' side of a member: what the process that answers names has to know, and where it has to listen. Told
 * as soon as it changes; all of it when a session begins. What the process knows stays until this member knows as much
 * itself (`core/dns/names-protocol.ts`).
 */
import type { ClusterView } from '../../core/cluster-view.ts';
import type { NamesNews, NamesRequest, ZoneClient } from '../../core/dns/names-protocol.ts';
import { ZoneChanges, type ZoneSources } from '../../core/dns/zone-changes.ts';
import { asOverlaydError, OverlaydError } from '../../core/errors.ts';
import { SERVICE_ADDRESS } from '../../core/host-state.ts';
import type { EndpointRecord } from '../../core/records.ts';
import type { NamesProcess, NamesSession } from '../../ports/names.ts';
import type { Clock } from '../../ports/runtime.ts';
import type { LocalEndpoints } from '../endpoints/local-endpoints.ts';
import { HOST_PART } from '../reconcile/announcements.ts';
import { Again } from './again.ts';
import { AnsweredPlaces } from './answered-places.ts';
import { knowingSockets } from './held-sockets.ts';
import { InsideNames, type InsideNamesDeps } from './inside-names.ts';
import { NamesAudit } from './names-audit.ts';
import type { Stale, Told } from './told-names.ts';

export interface NameServiceDeps extends Omit<ZoneSources, 'isGone'> {
  readonly selfId: string;
  readonly view: ClusterView;
  readonly local: Pick<LocalEndpoints, 'all' | 'clientsOn' | 'hasOnNetwork' | 'networkIds' | 'unreadable'>;
  readonly containers: InsideNamesDeps['containers'];
  /** Whether names are answered at the service address too. */
  readonly serviceAddress: () => boolean;
  readonly process: NamesProcess;
  /** Resolves when the kernel was compared with what the view says now of the network, whatever its endpoints here lack. */
  readonly learnWays: (networkId: string) => Promise<void>;
  readonly clock: Clock;
}

export interface NameServiceOptions {
  readonly ttlSeconds: number;
  /** Whether containers of an engine are answered inside of them, see `inside-names.ts`. */
  readonly inside: boolean;
}

/** What all the rest of a start waits at most for names to be answered. */
const OPEN_MS = 200;
/** What waits for the process is told after so long that there is none. */
const PROCESS_MS = 10_000;
/** Where the kernel could not be compared with what is known of a network, that is done again after so long. */
const LEARN_AGAIN_MS = 5_000;
/** Of the time that telling takes, so many times as much passes before it is done again. */
const REST = 5;

export class NameService {
  /** Whether the process answers what it should. */
  readonly audit: NamesAudit;
  readonly #deps: NameServiceDeps;
  readonly #options: NameServiceOptions;
  readonly #inside: InsideNames;
  /** By network id: why names are not answered there. */
  readonly #problems = new Map<string, string>();
  /** Networks of whose endpoints of other hosts the ways are known, and those of which they will be soon. */
  readonly #known = new Set<string>();
  readonly #learning = new Set<string>();
  /** Networks that are told of ahead, until their ways are there. */
  readonly #coming = new Set<string>();
  readonly #stale: Stale = { networks: new Set(), cluster: false, clients: false };
  readonly #answered: AnsweredPlaces;
  readonly #again: Again;
  #told: Told | undefined;
  #sessions = 0;
  #begun = Promise.withResolvers<void>();
  #telling = false;
  #running: Promise<void> = Promise.resolve();
  #signal: AbortSignal | undefined;

  constructor(deps: NameServiceDeps, options: NameServiceOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#answered = new AnsweredPlaces(deps.clock);
    this.#again = new Again(deps.clock);
    this.audit = new NamesAudit({ ...deps, problemOf: (id) => this.#problems.get(id), told: () => this.#toldNow() });
    const networkName = (networkId: string) => deps.view.network(networkId)?.name;
    this.#inside = new InsideNames({ ...deps, networkName }, options.inside);
  }

  /**
   * Has names answered wherever the state file says: what an earlier run of the agent left in the kernel suffices. Where
   * it does not, the reconciler's first pass mends that. Resolves when it is done, or takes too long to be waited for.
   */
  async open(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    this.#running = this.#deps.process.run((session) => this.#begin(session), signal);
    const opened = Promise.allSettled(this.#places().map((id) => this.ensure(id)));
    const over = new AbortController();
    const late = this.#deps.clock.sleep(OPEN_MS, AbortSignal.any([signal, over.signal])).catch(() => undefined);
    await Promise.race([opened, late]);
    over.abort();
  }

  /** From the start of the member on. The process goes on when this ends. */
  async run(): Promise<void> {
    await this.#running;
  }

  /** Endpoints of the network, ways to them, or hidden members changed. */
  invalidate(networkId: string | 'all'): void {
    for (const id of networkId === 'all' ? this.#deps.local.networkIds() : [networkId]) this.#stale.networks.add(id);
    void this.#tellSoon();
  }

  /** Networks of the cluster came, changed or went. */
  invalidateCluster(): void {
    this.#stale.cluster = true;
    void this.#tellSoon();
  }

  /** What containers of this host are on, or their ways out, changed. */
  invalidateClients(): void {
    this.#stale.clients = true;
    void this.#tellSoon();
  }

  /** All records of the cluster are known: the ways to their endpoints are when the kernel was compared with them. */
  becameWhole(): void {
    this.invalidateCluster();
    this.invalidate('all');
    for (const networkId of this.#deps.local.networkIds()) void this.#learn(networkId);
  }

  async #learn(networkId: string): Promise<void> {
    this.#learning.add(networkId);
    try {
      await this.#deps.learnWays(networkId);
      this.#known.add(networkId);
      this.invalidate(networkId);
    } catch {
      void this.#learnLater(networkId);
    } finally {
      this.#learning.delete(networkId);
    }
  }

  /** A pass that finds all as it should be after one that failed tells nobody. */
  async #learnLater(networkId: string): Promise<void> {
    const { clock } = this.#deps;
    const ended = await clock.sleep(LEARN_AGAIN_MS, this.#signal).catch(() => true);
    if (!ended && !this.#known.has(networkId) && this.#isWanted(networkId)) await this.#learn(networkId);
  }

  /**
   * The network's namespace and ways are being made; `made` resolves when that has ended. Of thousands of names as much
   * time goes by until the process knows them: it gets to know them meanwhile, and answers when `applied` says so.
   */
  coming(networkId: string, made: Promise<unknown>): void {
    const told = this.#told;
    if (told === undefined || !this.#isWanted(networkId)) return;
    for (const news of told.zones.takeAhead(networkId)) this.#say(told, networkId, news);
    this.#coming.add(networkId);
    const end = () => this.#coming.delete(networkId);
    made.then(end, end);
  }

  /** What the kernel has now may be called by name. */
  async applied(networkId: string): Promise<void> {
    // A pass that began before the records were all known does not count.
    if (this.#deps.view.isWhole && !this.#learning.has(networkId)) this.#known.add(networkId);
    this.#stale.networks.add(networkId);
    await this.ensure(networkId);
  }

  /** Resolves when names are answered in a network, or of the host, as far as they should: decided here alone. */
  async ensure(networkId: string): Promise<void> {
    try {
      await this.#ensure(networkId);
      this.#problems.delete(networkId);
    } catch (error) {
      this.#problems.set(networkId, asOverlaydError(error).message);
      const isDue = () => this.#problems.has(networkId);
      void this.#again.later(networkId, this.#signal, isDue, () => this.ensure(networkId));
      throw error;
    }
  }

  /**
   * More is about to be made in the network: where names are answered there already, the process is told and asked now, so
   * that {@link ensure} after it hardly waits.
   */
  prepare(networkId: string): void {
    if (this.#answered.has(networkId)) void this.ensure(networkId).catch(() => undefined);
  }

  /** Where names should be answered and are not, in words. */
  problems(): readonly string[] {
    const { process, view } = this.#deps;
    const each = [...this.#problems].map(([networkId, message]) => {
      const name = view.network(networkId)?.name;
      return `names are not answered on ${name === undefined ? 'this host' : `network ${name}`}: ${message}`;
    });
    return [...(process.problem === undefined ? [] : [process.problem]), ...each, ...this.#inside.problems()];
  }

  async #ensure(networkId: string): Promise<void> {
    const { serviceAddress, view } = this.#deps;
    const service = serviceAddress() ? [SERVICE_ADDRESS] : [];
    if (networkId === HOST_PART) {
      if (service.length === 0) return;
      const namespacePath = '/proc/self/ns/net';
      return await this.#listen({ kind: 'listen', networkId, namespacePath, addresses: service });
    }
    const network = view.network(networkId);
    if (!network || !this.#isWanted(networkId)) return await this.#close(networkId);
    if (!this.#told?.zones.knows(networkId)) this.#stale.networks.add(networkId);
    this.#tell();
    const namespacePath = `/run/netns/ovl-${network.vni}`;
    const addresses = [...network.subnets.map(({ gateway }) => gateway), ...service];
    await this.#listen({ kind: 'listen', networkId, namespacePath, addresses }, () => this.#isWanted(networkId));
  }

  async #listen(request: Extract<NamesRequest, { kind: 'listen' }>, isDue?: () => boolean): Promise<void> {
    const { networkId, namespacePath, addresses } = request;
    const what = `${namespacePath} ${addresses.join(' ')}`;
    await this.#answered.ask(networkId, what, () => this.#ask(request, isDue));
  }

  /** Names of the network are not answered any more, unless this host gets on it again while the process is waited for. */
  async #close(networkId: string): Promise<void> {
    this.#problems.delete(networkId);
    this.#known.delete(networkId);
    this.#answered.forget(networkId);
    await this.#askIfThere({ kind: 'close', networkId }, () => {
      if (this.#isWanted(networkId)) return false;
      this.#told?.zones.forget(networkId);
      this.#told?.clients.delete(networkId);
      this.#told?.whole.delete(networkId);
      return true;
    });
  }

  /**
   * The network's namespace has disappeared, or the one at the path is about to be removed: an open socket would keep it
   * alive. What is known of names stays.
   */
  async release(networkId: string | undefined, namespacePath?: string): Promise<void> {
    if (networkId === undefined) this.#answered.forgetAll();
    else this.#answered.forget(networkId);
    await this.#askIfThere({ kind: 'release', networkId, namespacePath });
  }

  #isWanted(networkId: string): boolean {
    const { local, view } = this.#deps;
    return view.network(networkId) !== undefined && local.hasOnNetwork(networkId);
  }

  #places(): string[] {
    return [HOST_PART, ...this.#deps.local.networkIds()];
  }

  // ---------------------------------------------------------------- the process

  #begin(begun: NamesSession): void {
    const { local, selfId, view } = this.#deps;
    const session = knowingSockets(begun);
    const isGone = ({ nodeId }: EndpointRecord) => view.provesAbsence || nodeId === selfId;
    const zones = new ZoneChanges({ ...this.#deps, isGone });
    this.#told = { session, zones, clients: new Map(), whole: new Set(), kept: false };
    session.ended.addEventListener('abort', () => this.#lose(session), { once: true });
    session.tell({ kind: 'settings', ttlSeconds: this.#options.ttlSeconds });
    for (const networkId of local.networkIds()) this.#stale.networks.add(networkId);
    this.#stale.cluster = true;
    this.#tell();
    this.#inside.begin(session);
    this.#begun.resolve();
    // The process may be another one. Those that wait for the first ask themselves.
    this.#sessions += 1;
    if (this.#sessions > 1) for (const place of this.#places()) void this.ensure(place).catch(() => undefined);
  }

  #lose(session: NamesSession): void {
    if (this.#told?.session !== session) return;
    this.#told = undefined;
    this.#answered.forgetAll();
    this.#inside.lose(session);
    this.#begun = Promise.withResolvers<void>();
  }

  /** Asks whichever process there is; what one that ends has not done, the next one does. As of {@link #askIfThere}. */
  async #ask(request: NamesRequest, isDue: () => boolean = () => true): Promise<void> {
    for (;;) {
      const session = this.#told?.session ?? (await this.#awaitSession());
      if (!isDue()) return;
      try {
        return await session.ask(request);
      } catch (error) {
        if (!session.ended.aborted) throw error;
        this.#lose(session);
      }
    }
  }

  /** Sockets of a process that has ended are closed. `isDue` is asked in the turn in which the process is. */
  async #askIfThere(request: NamesRequest, isDue: () => boolean = () => true): Promise<void> {
    if (this.#told === undefined && this.#deps.process.problem !== undefined) return;
    const session = this.#told?.session ?? (await this.#awaitSession().catch(() => undefined));
    if (!isDue()) return;
    try {
      await session?.ask(request);
    } catch (error) {
      if (!session?.ended.aborted) throw error;
    }
  }

  async #awaitSession(): Promise<NamesSession> {
    const over = new AbortController();
    const late = this.#deps.clock.sleep(PROCESS_MS, over.signal).catch(() => undefined);
    await Promise.race([this.#begun.promise, late]);
    over.abort();
    const session = this.#told?.session;
    if (session) return session;
    const why = this.#deps.process.problem ?? 'the process that answers names is not there yet; it is tried again';
    throw new OverlaydError('data-path-failed', why, { retryable: true });
  }

  /** What changes in one turn is told together; the longer it takes, the rarer. */
  async #tellSoon(): Promise<void> {
    if (this.#telling) return;
    this.#telling = true;
    const { clock } = this.#deps;
    await Promise.resolve();
    const startedAt = clock.elapsed();
    this.#tell();
    const tookMs = clock.elapsed() - startedAt;
    if (tookMs > 0) await clock.sleep(REST * tookMs).catch(() => undefined);
    this.#telling = false;
    const { networks, cluster, clients } = this.#stale;
    if (this.#told && (networks.size > 0 || cluster || clients)) void this.#tellSoon();
  }

  /** By a session that has been told all that is known by now. */
  #toldNow(): Told | undefined {
    this.#tell();
    return this.#told;
  }

  #tell(): void {
    const told = this.#told;
    if (told === undefined) return;
    const stale = { ...this.#stale, networks: [...this.#stale.networks] };
    this.#stale.networks.clear();
    this.#stale.cluster = false;
    this.#stale.clients = false;
    if (stale.cluster) this.#tellCluster(told);
    for (const networkId of stale.networks) this.#tellNetwork(told, networkId);
    if (stale.clients) for (const networkId of told.clients.keys()) this.#tellClients(told, networkId);
    if (stale.clients) this.#inside.look();
  }

  #tellCluster(told: Told): void {
    const { local, view } = this.#deps;
    const whole = view.provesAbsence;
    const subnets = [...view.networks()].flatMap((network) =>
      network.subnets.map(({ cidr, gateway }) => ({ cidr, gateway })),
    );
    told.session.tell({ kind: 'cluster', subnets, whole });
    // What this host has is known from then on at the latest.
    if (!whole || told.kept || local.unreadable !== undefined) return;
    told.kept = true;
    void this.#askIfThere({ kind: 'keep', networkIds: this.#places() }).catch(() => undefined);
  }

  #tellNetwork(told: Told, networkId: string): void {
    if (!this.#isWanted(networkId) || this.#coming.has(networkId)) return;
    const { view } = this.#deps;
    const certain = view.isWhole && this.#known.has(networkId);
    for (const news of told.zones.take(networkId, certain)) this.#say(told, networkId, news);
    if (!told.clients.has(networkId)) this.#tellClients(told, networkId);
    if (!certain || !view.provesAbsence || told.whole.has(networkId)) return;
    told.whole.add(networkId);
    this.#say(told, networkId, { kind: 'whole', networkId });
  }

  #tellClients(told: Told, networkId: string): void {
    const before = told.clients.get(networkId);
    const now = new Map<string, string>();
    const set: ZoneClient[] = [];
    for (const client of this.#deps.local.clientsOn(networkId)) {
      const text = JSON.stringify(client);
      now.set(client.address, text);
      if (before?.get(client.address) !== text) set.push(client);
    }
    const removed = [...(before?.keys() ?? [])].filter((address) => !now.has(address));
    told.clients.set(networkId, now);
    if (before === undefined || set.length > 0 || removed.length > 0)
      this.#say(told, networkId, { kind: 'clients', networkId, set, removed });
  }

  #say({ session }: Told, networkId: string, news: NamesNews): void {
    session.tell(news);
    this.#answered.told(networkId);
  }
}
