/**
 * Follows the engine's containers: what they are called, which process they are, and whether the endpoints that they
 * had still exist. The engine's events say only which container to look at; what counts is what the look shows.
 */
import { isHandedOver, type LocalEndpoint } from '../../core/container.ts';
import type { EngineConnection, EngineContainer } from '../../core/engine/engine.ts';
import type { OwnAddresses } from '../../core/engine/hosts-file.ts';
import { OverlaydError } from '../../core/errors.ts';
import { Latch } from '../../core/latch.ts';
import { WAYS_TO_WRITE } from '../../core/named-container.ts';
import type { EndpointRecord, NetworkRecord } from '../../core/records.ts';
import type { Engine } from '../../ports/engine.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { LocalEndpoints } from '../endpoints/local-endpoints.ts';
import type { EngineEndpoints } from './endpoints.ts';
import type { EngineNetworks } from './networks.ts';

export interface EngineContainersDeps {
  readonly engine: Engine;
  readonly endpoints: EngineEndpoints;
  readonly networks: Pick<EngineNetworks, 'engineIdOf' | 'problems'>;
  readonly local: LocalEndpoints;
  /** Gives the container's `/etc/hosts` its own addresses in the right form; returns the number of lines changed. */
  readonly mendHosts: (hostsPath: string, own: OwnAddresses) => Promise<number>;
  readonly clock: Clock;
  readonly logger: Logger;
}

const AT_ONCE = 8;
const RETRY_MS = 1_000;
/** Longer than an engine takes to start a container: until then it does not list what it has for it. */
const UNLISTED_MS = 120_000;

export class EngineContainers {
  readonly #deps: EngineContainersDeps;
  readonly #toLookAt = new Set<string>();
  /** Containers as they were last seen. */
  readonly #known = new Map<string, EngineContainer>();
  /** Containers whose hosts file may hold an address of ours. */
  readonly #mended = new Set<string>();
  readonly #work = new Latch();
  /** By record id: when a sweep first found that no container of the endpoint is known. */
  #namelessSince: ReadonlyMap<string, number> = new Map();
  /** Ids of endpoints whose container has been looked for. */
  readonly #adopted = new Set<string>();

  constructor(deps: EngineContainersDeps) {
    this.#deps = deps;
  }

  /** A container was made, and is about to be started as like as not: what it asked for is learnt before. */
  async prepare(containerId: string): Promise<void> {
    const container = await this.#deps.engine.inspect(containerId);
    if (container) this.#known.set(containerId, container);
  }

  /**
   * A container is being connected. The engine does not show a container that it is just starting, but the network's
   * members: so its names are there before its process runs.
   */
  async announce(containerId: string, engineNetworkId: string): Promise<void> {
    const { endpoints, engine, local } = this.#deps;
    const network = await engine.members(engineNetworkId);
    const member = network?.members.find((each) => each.containerId === containerId);
    const endpoint = member && local.byEngine(member.endpointId);
    if (!network || !member || !endpoint) return;
    await this.#mendHosts(containerId, { addresses: addressesOf(endpoint), areAll: false });
    const known = this.#known.get(containerId);
    const asked = known?.networks.find((each) => each.network === network.name);
    await endpoints.describe({
      id: containerId,
      name: member.containerName,
      ...{ pid: 0, restarts: false, ran: true, failure: '' },
      hostname: known?.hostname ?? '',
      ports: known?.ports ?? [],
      networks: [
        {
          network: network.name,
          networkId: engineNetworkId,
          endpointId: member.endpointId,
          addresses: [],
          aliases: asked?.aliases ?? [],
        },
      ],
    });
  }

  forget(containerId: string): void {
    this.#known.delete(containerId);
    this.#mended.delete(containerId);
  }

  lookAt(containerId: string): void {
    this.#toLookAt.add(containerId);
    this.#work.set();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#deps;
    signal.addEventListener('abort', () => this.#work.set(), { once: true });
    const look = async (id: string) => {
      try {
        await this.#follow(id);
      } catch (error) {
        if (signal.aborted) return;
        logger.warn({ container: id.slice(0, 12), error }, 'a container could not be looked at, trying again');
        await clock.sleep(RETRY_MS, signal).catch(() => undefined);
        this.lookAt(id);
      }
    };
    const busy = new Set<Promise<void>>();
    while (!signal.aborted) {
      await this.#work.wait();
      for (const id of this.#toLookAt) {
        if (signal.aborted) break;
        this.#toLookAt.delete(id);
        const looking = look(id).finally(() => busy.delete(looking));
        busy.add(looking);
        if (busy.size >= AT_ONCE) await Promise.race(busy);
      }
    }
    await Promise.all(busy);
  }

  /**
   * After the engine was away: looks at everything that runs, and takes apart the endpoints of containers that let go of
   * them without our hearing of it. Tried until it is done.
   */
  async catchUp(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#deps;
    while (!signal.aborted) {
      try {
        return await this.#compare();
      } catch (error) {
        if (signal.aborted) return;
        logger.warn({ error }, "Docker's containers could not be compared, trying again");
        await clock.sleep(RETRY_MS, signal).catch(() => undefined);
      }
    }
  }

  async #compare(): Promise<void> {
    const { engine, local } = this.#deps;
    for (const id of await engine.running()) this.lookAt(id);
    for (const endpoint of local.all()) {
      const { containerId, endpointId } = endpoint.engine ?? {};
      if (containerId === undefined) continue;
      const container = await engine.inspect(containerId);
      if (!container?.networks.some((each) => each.endpointId === endpointId)) await this.#remove(endpoint);
    }
  }

  /**
   * Endpoints of which no container is known, because the engine died while it made them, or the event was lost. What
   * the engine lists is proof; what it does not list may still be on its way, so they have to be old. To be called now
   * and then.
   */
  async sweep(): Promise<void> {
    const { clock, endpoints, engine, local } = this.#deps;
    await this.#lookForAdopted();
    const now = clock.elapsed();
    const nameless = local.all().filter(({ engine: attachment }) => attachment && attachment.containerId === undefined);
    this.#namelessSince = new Map(
      nameless.map(({ record }) => [record.id, this.#namelessSince.get(record.id) ?? now] as const),
    );
    const orphans = nameless.filter(({ engine: attachment, record }) => {
      const isOld = now - this.#namelessSince.get(record.id)! >= UNLISTED_MS;
      return isOld && endpoints.isOlder(attachment!.endpointId, UNLISTED_MS);
    });
    if (orphans.length === 0) return;
    const holders = new Map<string, string>();
    for (const id of await engine.running()) {
      const container = await engine.inspect(id);
      for (const { endpointId } of container?.networks ?? []) holders.set(endpointId, id);
    }
    for (const orphan of orphans) {
      const holder = holders.get(orphan.engine!.endpointId);
      if (holder === undefined) await this.#remove(orphan);
      else this.lookAt(holder);
    }
  }

  /** Endpoints of which it is not known whose they are may be those of a container that runs; that is looked at once. */
  async #lookForAdopted(): Promise<void> {
    const { engine, local } = this.#deps;
    const adopted = local.all().filter(({ engine: attachment, container }) => !attachment && isHandedOver(container));
    if (adopted.every(({ record }) => this.#adopted.has(record.id))) return;
    for (const id of await engine.running()) this.lookAt(id);
    for (const { record } of adopted) this.#adopted.add(record.id);
  }

  async #remove({ engine, record }: LocalEndpoint): Promise<void> {
    if (!engine || !this.#deps.local.has(record.id)) return;
    this.#deps.logger.info({ endpoint: record.name }, 'Docker has no such endpoint any more');
    await this.#deps.endpoints.remove(engine.endpointId);
  }

  /** The endpoint of a container of the engine on the network, as people name either. */
  find(network: NetworkRecord, ref: string): LocalEndpoint | undefined {
    const name = ref.startsWith('docker:') ? ref.slice('docker:'.length) : ref;
    const candidates = this.#deps.local.onNetwork(network.id).filter(({ engine }) => engine);
    const exact = candidates.find(
      ({ record, container, engine }) =>
        record.name === name || container.text === `docker:${name}` || [record.id, engine?.containerId].includes(name),
    );
    if (exact || !/^[0-9a-f]+$/.test(name)) return exact;
    const begun = candidates.filter(({ record, engine }) =>
      [record.id, engine?.containerId ?? ''].some((id) => id.startsWith(name)),
    );
    return begun.length === 1 ? begun[0] : undefined;
  }

  /**
   * Has the engine connect a container. Undefined for one that does not run: it joins when it starts. Throws
   * `namespace-not-found`, and what the engine says.
   */
  async connect(network: NetworkRecord, ref: string, options: EngineConnection): Promise<EndpointRecord | undefined> {
    const { engine, local, networks } = this.#deps;
    const name = ref.startsWith('docker:') ? ref.slice('docker:'.length) : ref;
    const container = await engine.inspect(name);
    if (!container) {
      throw new OverlaydError(
        'namespace-not-found',
        `container ${name}: the Docker Engine of this host has none of that name or id (docker ps -a lists them); other containers are written ${WAYS_TO_WRITE}`,
      );
    }
    const engineNetworkId = networks.engineIdOf(network.id);
    if (engineNetworkId === undefined) {
      const why = networks.problems.find((each) => each.includes(network.name)) ?? 'it has just been made';
      throw new OverlaydError('engine-refused', `Docker does not have network ${network.name} yet: ${why}`, {
        retryable: true,
      });
    }
    await engine.connect(engineNetworkId, container.id, options);
    if (container.pid === 0) return undefined;
    await this.#follow(container.id);
    return local
      .all()
      .find(({ engine: made, record }) => made?.containerId === container.id && record.networkId === network.id)
      ?.record;
  }

  async disconnect({ engine: attachment, container, record }: LocalEndpoint, force: boolean): Promise<void> {
    const containerId = attachment?.containerId;
    if (!attachment || containerId === undefined || isHandedOver(container)) {
      throw new OverlaydError(
        'conflict',
        `endpoint ${record.name} belongs to a container that Docker is still starting; try again in a moment`,
        { retryable: true },
      );
    }
    await this.#deps.engine.disconnect(attachment.networkId, containerId, force);
  }

  async #follow(containerId: string): Promise<void> {
    const { engine, endpoints, local } = this.#deps;
    const container = await engine.inspect(containerId);
    if (!container) return;
    this.#known.set(containerId, container);
    const held = container.networks.flatMap(({ endpointId }) => local.byEngine(endpointId) ?? []);
    if (container.pid > 0) await this.#mendHosts(container.id, { addresses: addressesOf(...held), areAll: true });
    await endpoints.describe(container);
  }

  /** The engine writes the file anew at each start, adds to it when it connects, and takes away when it disconnects. */
  async #mendHosts(id: string, own: OwnAddresses): Promise<void> {
    const { engine, logger, mendHosts } = this.#deps;
    if (own.addresses.size === 0 && !this.#mended.has(id)) return;
    if (own.addresses.size > 0) this.#mended.add(id);
    else this.#mended.delete(id);
    try {
      const mended = await mendHosts(await engine.hostsPath(id), own);
      if (mended > 0) logger.debug({ container: id.slice(0, 12), mended }, "a container's hosts file was put right");
    } catch (error) {
      logger.warn({ container: id.slice(0, 12), error }, "a container's hosts file could not be looked at");
    }
  }
}

function addressesOf(...endpoints: readonly LocalEndpoint[]): Set<string> {
  return new Set(endpoints.flatMap(({ record }) => record.addresses.map(({ ip }) => ip)));
}
