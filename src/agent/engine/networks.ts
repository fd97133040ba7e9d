/**
 * Offers every network of the cluster to the engine under its own name, and remembers which of the engine's networks is
 * which of the cluster's. The engine names its networks by its own ids only and tells of each just once, so that is
 * kept on disk.
 *
 * The engine asks our drivers while it makes or removes a network: no lock is held across a call to it.
 */
import { DRIVER, type EngineNetwork, NETWORK_OPTION } from '../../core/engine/engine.ts';
import { type Binding, offerOf, planOffers } from '../../core/engine/network-offers.ts';
import { describeStray, hasIpv6Alone, offerProblems } from '../../core/engine/offer-problems.ts';
import type { PoolId } from '../../core/engine/pool-id.ts';
import { asOverlaydError, isOverlaydError, OverlaydError } from '../../core/errors.ts';
import { Latch } from '../../core/latch.ts';
import type { NetworkRecord } from '../../core/records.ts';
import type { Engine } from '../../ports/engine.ts';
import type { JsonFile } from '../../ports/files.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { Networks } from '../networks/networks.ts';
import type { EngineMemory } from './memory.ts';
import { hasStopped, reconnectStopped } from './reconnect-stopped.ts';

export interface EngineNetworksDeps {
  readonly engine: Engine;
  readonly file: JsonFile<EngineMemory>;
  readonly networks: Pick<Networks, 'list'>;
  readonly view: () => { readonly provesAbsence: boolean; network(id: string): NetworkRecord | undefined };
  /** The engine's ids of networks on which this host has endpoints. */
  readonly used: () => ReadonlySet<string>;
  /** Of the engine; undefined while it was never reached. */
  readonly version: () => string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

const RETRY_MS = 1_000;
/**
 * An engine lists a network only some time after its driver was told of it, and no longer when it has begun to remove
 * it: the driver hears of that last. Longer than the calls of either take; for what no event told of.
 */
const UNLISTED_MS = 60_000;
/** How long a command that made a network waits for the engine to have it. */
const OFFER_WAIT_MS = 5_000;
/** How long `join` waits for all of them: a second is enough for some ten. */
const ALL_WAIT_MS = 20_000;

export class EngineNetworks {
  readonly #deps: EngineNetworksDeps;
  readonly #bindings = new Map<string, Binding>();
  /** Since when the engine does not list them, by its ids. */
  readonly #unlisted = new Map<string, number>();
  readonly #beingCreated = new Set<string>();
  readonly #removing = new Set<string>();
  /** The cluster's id of the network that the engine is asked to make at this moment. */
  #offering: string | undefined;
  /** The cluster's ids of networks that the engine was asked to let go of for another family. */
  readonly #renewed = new Set<string>();
  /** What the engine dropped, by its own id. */
  readonly #former = new Map<string, Binding>();
  readonly #work = new Latch();
  #waiters: { readonly networkId: string; readonly resolve: () => void }[] = [];
  /** The engine was compared with the whole of the cluster's networks, or could not be. */
  readonly #all = Promise.withResolvers<void>();
  #problems: readonly string[] = [];
  /** Why the engine does not have them, by the cluster's id. */
  #refused: ReadonlyMap<string, string> = new Map();
  /** Why the last comparison failed, although the engine's connection stands: it may hang. */
  #failure: string | undefined;
  #strays: readonly EngineNetwork[] = [];
  /** As the engine last listed them, of our driver. */
  #ours: readonly EngineNetwork[] = [];
  #reachable = false;
  #saved = false;
  #unsaved: string | undefined;

  constructor(deps: EngineNetworksDeps) {
    this.#deps = deps;
  }

  /** True when an engine was seen here before. */
  async load(): Promise<boolean> {
    const { file, logger } = this.#deps;
    const memory = await file.load().catch((error: unknown): EngineMemory => {
      if (!isOverlaydError(error, 'state-unreadable')) throw error;
      // The engine's own list says it too: no reason for the data path to wait until somebody mends a file.
      logger.warn({ error }, "what is known of Docker's networks cannot be read and is learnt from Docker anew");
      return { version: 1, networks: {} };
    });
    for (const [id, binding] of Object.entries(memory?.networks ?? {})) this.#bindings.set(id, binding);
    this.#saved = memory !== undefined;
    return this.#saved;
  }

  /** What people should know, one line each. */
  get problems(): readonly string[] {
    return [...this.#problems, ...this.#refused.values(), ...(this.#failure ? [this.#failure] : [])];
  }

  /** Why the file is not what it should be; undefined when it is. What is in memory counts all the same. */
  get unsaved(): string | undefined {
    return this.#unsaved;
  }

  get offered(): number {
    return new Set([...this.#bindings.values()].map(({ networkId }) => networkId)).size;
  }

  /** The cluster's network that the engine knows by this id. Throws `network-not-found`. */
  networkOf(engineNetworkId: string): NetworkRecord {
    const binding = this.#bindings.get(engineNetworkId);
    const network = binding && this.#deps.view().network(binding.networkId);
    if (network?.state === 'active') return network;
    this.sync();
    throw new OverlaydError(
      'network-not-found',
      `the Docker network ${engineNetworkId.slice(0, 12)} is no network of the cluster any more, or not yet; \`overlayd network ls\` lists those there are`,
    );
  }

  bindingOf(engineNetworkId: string): Binding | undefined {
    return this.#bindings.get(engineNetworkId);
  }

  /** The engine's id of a network, preferably of the one that the agent made. */
  engineIdOf(networkId: string): string | undefined {
    const all = [...this.#bindings].filter(([, binding]) => binding.networkId === networkId);
    return (all.find(([, { origin }]) => origin === 'offered') ?? all[0])?.[0];
  }

  /** The cluster's network whose subnet the engine knows by that placeholder only. */
  byPlaceholder(pool: string): NetworkRecord | undefined {
    const binding = [...this.#bindings.values()].find((each) => each.pool === pool || each.pool6 === pool);
    const network = binding && this.#deps.view().network(binding.networkId);
    return network?.state === 'active' ? network : undefined;
  }

  /** CIDRs that are taken. */
  get placeholders(): readonly string[] {
    return [...this.#bindings.values()].flatMap(({ pool, pool6 }) => [pool, pool6].flatMap((each) => each ?? []));
  }

  /** A network of another driver, but with that pool of ours, and no network of ours has the same. */
  strayOn({ network, cidr }: PoolId): EngineNetwork | undefined {
    const has = ({ ipamOptions, subnets }: EngineNetwork) =>
      ipamOptions[NETWORK_OPTION] === network && subnets.includes(cidr);
    return this.#ours.some(has) ? undefined : this.#strays.find(has);
  }

  async bind(engineNetworkId: string, binding: Binding): Promise<void> {
    this.#bindings.set(engineNetworkId, binding);
    await this.#trySave();
  }

  async unbind(engineNetworkId: string): Promise<void> {
    if (this.#bindings.delete(engineNetworkId)) await this.#trySave();
  }

  /** The engine has let go of a network, whatever we answered. It is offered again when the cluster still has it. */
  async dropped(engineNetworkId: string): Promise<void> {
    this.#noteFormer(engineNetworkId);
    await this.unbind(engineNetworkId);
    this.sync();
  }

  #noteFormer(engineNetworkId: string): void {
    const binding = this.#bindings.get(engineNetworkId);
    if (binding) this.#former.set(engineNetworkId, binding);
  }

  /** While the task runs, the network of that name is not offered: the engine is making it itself. */
  async whileCreating<T>(name: string, task: () => Promise<T>): Promise<T> {
    this.#beingCreated.add(name);
    try {
      return await task();
    } finally {
      this.#beingCreated.delete(name);
      this.sync();
    }
  }

  /**
   * Whether the engine's removal of it is a person's word on the cluster's network. It is not while the agent has the
   * engine remove it, or make it (an engine that fails later on takes it back), nor while another one stands for the
   * same network: of two that were made at once, the engine may end the removal of one after its own restart.
   */
  isMeant(engineNetworkId: string): boolean {
    const binding = this.#bindings.get(engineNetworkId);
    if (!binding || binding.origin === 'bound' || binding.withdrawn) return false;
    if (this.#removing.has(engineNetworkId) || this.#offering === binding.networkId) return false;
    // What a person made is a person's to remove.
    if (binding.origin === 'created') return true;
    return ![...this.#bindings].some(
      ([id, { networkId, origin }]) => id !== engineNetworkId && networkId === binding.networkId && origin !== 'bound',
    );
  }

  /** Compares soon; to be called whenever either side may have changed. */
  sync(): void {
    this.#work.set();
  }

  /** Whether the engine answers. */
  setReachable(reachable: boolean): void {
    this.#reachable = reachable;
    if (reachable) this.sync();
    else {
      this.#failure = undefined;
      this.#settle(() => true);
      this.#all.resolve();
    }
  }

  /** Resolves when the engine has all networks, or cannot be reached. False: it takes too long. */
  async awaitAll(): Promise<boolean> {
    const limit = new AbortController();
    const late = this.#deps.clock.sleep(ALL_WAIT_MS, limit.signal).then(
      () => false,
      () => false,
    );
    const inTime = await Promise.race([this.#all.promise.then(() => true), late]);
    limit.abort();
    return inTime;
  }

  /** Resolves when the engine has the network, cannot have it, or is too slow; with the engine's words when it refused. */
  async awaitOffer(networkId: string): Promise<string | undefined> {
    if (!this.#reachable) return undefined;
    // What the engine is just making it may still take back.
    const isThere = this.engineIdOf(networkId) !== undefined && this.#offering !== networkId;
    if (!isThere) {
      const limit = new AbortController();
      const offered = new Promise<void>((resolve) => {
        this.#waiters.push({ networkId, resolve });
      });
      this.sync();
      await Promise.race([offered, this.#deps.clock.sleep(OFFER_WAIT_MS, limit.signal).catch(() => undefined)]);
      limit.abort();
    }
    return this.#refused.get(networkId);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#deps;
    signal.addEventListener('abort', () => this.#work.set(), { once: true });
    while (!signal.aborted) {
      await this.#work.wait();
      if (signal.aborted || !this.#reachable) continue;
      try {
        await this.#compare();
        this.#failure = undefined;
      } catch (error) {
        if (signal.aborted) return;
        const failure = `networks are not offered to this host's Docker until it answers (systemctl status docker): ${asOverlaydError(error).message}`;
        if (this.#reachable && this.#failure !== failure) {
          logger.warn({ error }, 'networks could not be offered to Docker, trying again');
          this.#failure = failure;
        }
        await clock.sleep(RETRY_MS, signal).catch(() => undefined);
        this.#work.set();
      }
    }
  }

  async #compare(): Promise<void> {
    const { engine, networks, view, used, version, logger } = this.#deps;
    const engineNetworks = await engine.networks();
    const gone = await this.#goneSince(engineNetworks);
    // Of one moment with the list: what is not in it may be withdrawn.
    const provesAbsence = view().provesAbsence;
    const offers = planOffers({
      networks: networks.list(),
      provesAbsence,
      engineNetworks,
      bindings: this.#bindings,
      used: used(),
      beingCreated: this.#beingCreated,
      gone,
      ipv6Alone: hasIpv6Alone(version()),
    });
    for (const [id, binding] of offers.rebind) this.#bindings.set(id, binding);
    for (const id of gone) {
      this.#noteFormer(id);
      this.#bindings.delete(id);
    }
    // Also the first time: the file says that there is an engine.
    if (!this.#saved || offers.rebind.size + gone.size > 0) await this.#trySave();
    this.#strays = offers.strays;
    this.#ours = engineNetworks.filter(({ driver }) => driver === DRIVER);
    const problems = offerProblems(offers);
    for (const problem of offers.strays.map(describeStray)) {
      if (!this.#problems.includes(problem))
        logger.warn({ problem }, "a network of another driver takes overlayd's addresses");
    }
    const refused = new Map<string, string>();
    for (const { id, name } of offers.remove) await this.#remove(id, name);
    for (const { id, name } of offers.renew) {
      const binding = this.#bindings.get(id);
      // Once: an engine that does not list what it was told would be told for ever.
      if (!binding || this.#renewed.has(binding.networkId) || (await hasStopped(engine, id))) continue;
      await this.bind(id, { ...binding, withdrawn: true });
      if (await this.#remove(id, name)) this.#renewed.add(binding.networkId);
      else await this.bind(id, { ...binding, withdrawn: undefined });
    }
    for (const network of offers.create) {
      try {
        this.#offering = network.id;
        await engine.createNetwork(offerOf(network));
        logger.info({ network: network.name }, 'network offered to Docker');
      } catch (error) {
        if (!isOverlaydError(error) || error.retryable) throw error;
        const problem = `Docker refused network ${network.name}: ${error.message}`;
        if (this.#refused.get(network.id) !== problem)
          logger.warn({ network: network.name, error }, 'Docker refused a network');
        refused.set(network.id, problem);
      } finally {
        this.#offering = undefined;
      }
    }
    this.#problems = problems;
    this.#refused = refused;
    const left = [...offers.taken.map(({ network }) => network), ...offers.unable];
    const without = new Set([...refused.keys(), ...left.map(({ id }) => id)]);
    this.#settle(({ networkId }) => without.has(networkId) || this.engineIdOf(networkId) !== undefined);
    if (provesAbsence) this.#all.resolve();
    for (const [former, binding] of this.#former) await this.#followUp(former, binding);
  }

  /**
   * Which of our networks the engine has removed without our hearing of it: those of which its own memory of events
   * says so, and those that it has not listed for long.
   */
  async #goneSince(engineNetworks: readonly EngineNetwork[]): Promise<ReadonlySet<string>> {
    const { engine, clock } = this.#deps;
    const listed = new Set(engineNetworks.map(({ id }) => id));
    const now = clock.elapsed();
    for (const id of this.#unlisted.keys()) {
      if (listed.has(id) || !this.#bindings.has(id)) this.#unlisted.delete(id);
    }
    for (const id of this.#bindings.keys()) {
      if (!listed.has(id) && !this.#unlisted.has(id)) this.#unlisted.set(id, now);
    }
    if (this.#unlisted.size === 0) return new Set();
    const removed = await engine.removedNetworks();
    const gone = [...this.#unlisted].filter(([id, since]) => removed.has(id) || now - since > UNLISTED_MS);
    return new Set(gone.map(([id]) => id));
  }

  /** A network that the engine dropped and that came back. Until it has there is nothing to do. */
  async #followUp(former: string, { networkId, origin }: Binding): Promise<void> {
    const network = this.#deps.view().network(networkId);
    if (!network) return void this.#former.delete(former);
    const offered = [...this.#bindings].find((each) => each[1].networkId === networkId && each[1].origin === 'offered');
    if (!offered) return;
    await reconnectStopped(this.#deps, { former, network: network.name, bound: origin === 'bound', now: offered[0] });
    this.#former.delete(former);
  }

  /** A network that is gone from the cluster, or is to come back otherwise. False: the engine keeps it. */
  async #remove(id: string, name: string): Promise<boolean> {
    const { engine, logger } = this.#deps;
    this.#removing.add(id);
    try {
      await engine.removeNetwork(id);
      await this.unbind(id);
      logger.info({ network: name }, 'network withdrawn from Docker');
      return true;
    } catch (error) {
      if (!isOverlaydError(error) || error.retryable) throw error;
      // A container that is just being started holds it; the engine tells when that ends.
      logger.warn({ network: name, error }, 'Docker keeps a network that it was to let go of');
      return false;
    } finally {
      this.#removing.delete(id);
    }
  }

  #settle(done: (waiter: { readonly networkId: string }) => boolean): void {
    for (const waiter of this.#waiters.filter(done)) waiter.resolve();
    this.#waiters = this.#waiters.filter((waiter) => !done(waiter));
  }

  /** What is lost is learnt from the engine anew: nobody is refused anything for a full disk. */
  async #trySave(): Promise<void> {
    await this.save().catch(() => undefined);
  }

  /** To be called again while it is `unsaved`. Throws what stands in the way. */
  async save(): Promise<void> {
    this.#saved = true;
    try {
      await this.#deps.file.save({ version: 1, networks: Object.fromEntries(this.#bindings) });
      this.#unsaved = undefined;
    } catch (error) {
      this.#unsaved = error instanceof Error ? error.message : String(error);
      throw error;
    }
  }
}
