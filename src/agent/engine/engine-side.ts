/**
 * Everything of a member that has to do with a container engine on its host: listens to the engine, and joins what
 * follows from it. Ends with the member; containers and their endpoints go on without it.
 */
import type { EngineEvent } from '../../core/engine/engine.ts';
import { SERVICE_ADDRESS } from '../../core/host-state.ts';
import { Latch } from '../../core/latch.ts';
import type { Engine } from '../../ports/engine.ts';
import type { JsonFile } from '../../ports/files.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import { keepSaved } from '../keep-saved.ts';
import type { Member } from '../member.ts';
import { EngineContainers, type EngineContainersDeps } from './containers.ts';
import type { EngineEndpoints } from './endpoints.ts';
import { GivenUpContainers } from './given-up.ts';
import type { EngineMemory } from './memory.ts';
import { EngineNetworks } from './networks.ts';

export interface EngineSideDeps {
  readonly engine: Engine;
  readonly file: JsonFile<EngineMemory>;
  readonly member: Member;
  /** Lets the host forward what its own firewall, by the engine's doing, would drop. Resolves with what is wrong. */
  readonly allowForwarding: () => Promise<string | undefined>;
  /** Whether the host has rules of whose changes nobody is told. */
  readonly hasSilentRules: () => boolean;
  readonly mendHosts: EngineContainersDeps['mendHosts'];
  /** Name servers of the engine's configuration; undefined when it cannot be read. */
  readonly nameServers: () => Promise<readonly string[] | undefined>;
  /** Whether containers are answered by us wherever they ask. */
  readonly namesInside: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface EngineStatus {
  readonly state: 'connected' | 'unreachable';
  /** Undefined while it was never reached. */
  readonly version: string | undefined;
  readonly networks: number;
  readonly endpoints: number;
  /** Whether containers ask us for names; undefined when there is nothing to tell it by. */
  readonly names: boolean | undefined;
  readonly problems: readonly string[];
}

const CARE_MS = 30_000;
const BURST_MS = 100;
/** One that has not answered by then after the agent's start, or not told what it gave up on, starts nothing of what ran before. */
const STARTS_WITHIN_MS = 300_000;
const DOUBT_MS = 5_000;

export class EngineSide {
  readonly networks: EngineNetworks;
  readonly endpoints: EngineEndpoints;
  readonly containers: EngineContainers;
  readonly givenUp: GivenUpContainers;
  readonly #deps: EngineSideDeps;
  #version: string | undefined;
  #connected = false;
  /** There is, or was, an engine here. */
  #known = false;
  readonly #firewall = new Latch();
  #forwardingProblem: string | undefined;
  /** Whether the endpoint's container asks us for names, by the engine's endpoint id; of those made in this run. */
  readonly #asking = new Map<string, boolean>();

  constructor(deps: EngineSideDeps) {
    this.#deps = deps;
    const { engine, file, member, clock, logger } = deps;
    this.endpoints = member.engineEndpoints;
    this.networks = new EngineNetworks({
      ...{ engine, file, clock, logger },
      networks: member.networks,
      view: () => member.view,
      version: () => this.#version,
      used: () => new Set(member.local.all().flatMap(({ engine: attachment }) => attachment?.networkId ?? [])),
    });
    this.containers = new EngineContainers({
      ...{ engine, clock, logger },
      endpoints: this.endpoints,
      networks: this.networks,
      local: member.local,
      mendHosts: deps.mendHosts,
    });
    this.givenUp = new GivenUpContainers({
      ...{ engine, clock, logger },
      former: this.endpoints.former,
      networks: this.networks,
      local: member.local,
      storeConnected: () => member.storeConnected,
    });
  }

  /** Reads what must be known before the first call of a driver. */
  async load(): Promise<void> {
    if (!(await this.networks.load())) return;
    this.#known = true;
    this.endpoints.former.expectEngine();
    this.#deps.member.useServiceAddress();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#deps;
    const tasks = [
      this.#listen(signal),
      this.#care(signal),
      this.#expectNoLonger(signal),
      this.#keepForwarding(signal),
      this.#doubtFirewall(signal),
      this.networks.run(signal),
      this.containers.run(signal),
      this.givenUp.run(signal),
      keepSaved({ saved: this.networks, clock, logger }, signal),
    ];
    try {
      await Promise.all(tasks);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** Of the engine, e.g. `20.10.24`; undefined while it was never reached. */
  get version(): string | undefined {
    return this.#version;
  }

  /** A container is started with these name servers: its own, or those of the engine's configuration. */
  noteNameServers(endpointId: string, servers: readonly string[]): void {
    this.#asking.set(endpointId, servers.includes(SERVICE_ADDRESS));
  }

  /** Undefined on a host without an engine. */
  async status(): Promise<EngineStatus | undefined> {
    if (!this.#known) return undefined;
    const { member } = this.#deps;
    const endpoints = member.local.all().filter(({ engine }) => engine).length;
    const names = this.#deps.namesInside || (await this.#containersAskUs());
    const unnamed =
      names === false && endpoints > 0
        ? [
            `Docker's containers do not ask overlayd for names: run \`overlayd-docker-setup\` (in a checkout deploy/docker-setup.sh) and restart Docker, or start them with --dns ${SERVICE_ADDRESS}`,
          ]
        : [];
    return {
      state: this.#connected ? 'connected' : 'unreachable',
      version: this.#version,
      networks: this.networks.offered,
      endpoints,
      names,
      problems: [
        ...this.networks.problems,
        ...(this.#forwardingProblem ? [this.#forwardingProblem] : []),
        ...unnamed,
        ...this.givenUp.problems,
      ],
    };
  }

  /**
   * The engine's configuration tells, if it can be read and says so: a container may have servers of its own. Else the
   * containers that there are; one that does not ask is enough.
   */
  async #containersAskUs(): Promise<boolean | undefined> {
    const { member, nameServers } = this.#deps;
    const configured = (await nameServers())?.includes(SERVICE_ADDRESS);
    const present = new Set(member.local.all().map(({ engine }) => engine?.endpointId));
    for (const endpointId of this.#asking.keys()) if (!present.has(endpointId)) this.#asking.delete(endpointId);
    if (configured === true || this.#asking.size === 0) return configured;
    return ![...this.#asking.values()].includes(false);
  }

  async #listen(signal: AbortSignal): Promise<void> {
    const { engine, logger, member } = this.#deps;
    let catchingUp = new AbortController();
    for await (const event of engine.events(signal)) {
      if (event.kind === 'connected') {
        this.#version = event.version;
        this.#connected = true;
        this.#known = true;
        logger.info({ version: event.version }, 'connected to Docker');
        member.useServiceAddress();
        this.networks.setReachable(true);
        this.givenUp.lookSoon();
        this.firewallChanged();
        catchingUp.abort();
        catchingUp = new AbortController();
        const either = AbortSignal.any([signal, catchingUp.signal]);
        void this.containers.catchUp(either);
      } else if (event.kind === 'unreachable') {
        if (this.#connected) {
          logger.warn({ reason: event.reason }, 'Docker does not answer; its containers go on');
        }
        this.#connected = false;
        catchingUp.abort();
        this.networks.setReachable(false);
      } else if (event.kind === 'network') {
        const noted = event.action === 'destroy' ? this.networks.dropped(event.id) : undefined;
        await noted?.catch((error: unknown) => {
          logger.warn({ error }, "what is known of Docker's networks could not be saved");
        });
        this.networks.sync();
      } else this.#onContainer(event);
    }
  }

  #onContainer(event: Extract<EngineEvent, { kind: 'container' }>): void {
    const { containers } = this;
    // Only makes names known sooner: the look at the running container does not depend on it.
    const early = (task: Promise<void>) => {
      task.catch((error: unknown) => this.#deps.logger.debug({ error }, 'a container is named when it runs'));
    };
    if (event.action === 'create') early(containers.prepare(event.id));
    if (event.action === 'connect') early(containers.announce(event.id, event.networkId));
    if (event.action === 'destroy') containers.forget(event.id);
    // A network of somebody else's may be the container's only way out.
    if (['connect', 'disconnect', 'start', 'rename', 'health'].includes(event.action)) containers.lookAt(event.id);
    // Where the engine writes no rules for it, nothing else tells that there is a container that needs some.
    if (event.action === 'start') this.firewallChanged();
  }

  async #expectNoLonger(signal: AbortSignal): Promise<void> {
    await this.#deps.clock.sleep(STARTS_WITHIN_MS, signal);
    this.endpoints.former.awaitAllNoLonger();
  }

  /** What no event tells of. */
  async #care(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#deps;
    while (!signal.aborted) {
      await clock.sleep(CARE_MS, signal, 'loosely');
      await this.endpoints.expire().catch((error: unknown) => logger.warn({ error }, 'addresses not released'));
      if (!this.#connected) continue;
      this.networks.sync();
      await this.containers.sweep().catch((error: unknown) => {
        if (!signal.aborted) logger.warn({ error }, "Docker's containers could not be compared");
      });
    }
  }

  /** The rules of the host's firewall are looked at soon. */
  firewallChanged(): void {
    this.#firewall.set();
  }

  async #keepForwarding(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#firewall.set(), { once: true });
    while (!signal.aborted) {
      await this.#firewall.wait();
      // A burst is one change: an engine writes dozens of rules for a container.
      await this.#deps.clock.sleep(BURST_MS, signal);
      if (this.#connected) await this.#allowForwarding();
    }
  }

  /** Not every firewall tells of its changes. */
  async #doubtFirewall(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#deps.clock.sleep(DOUBT_MS, signal, 'loosely');
      if (this.#connected && this.#deps.hasSilentRules()) this.#firewall.set();
    }
  }

  async #allowForwarding(): Promise<void> {
    const reason = await this.#deps.allowForwarding();
    this.#forwardingProblem = reason && `Docker's firewall may keep containers from the outside world: ${reason}`;
  }
}
