/**
 * A Docker Engine in memory: what its users do to it, the API that the agent uses, and the drivers' calls that follow.
 * What a real one keeps on its disk survives `kill`; everything that was under way then stops where it was.
 */
import type {
  EngineContainer,
  EngineEvent,
  EngineNetwork,
  EngineNetworkMembers,
  EngineNetworkSpec,
} from '../../src/core/engine/engine.ts';
import { OverlaydError } from '../../src/core/errors.ts';
import { KeyedQueue } from '../../src/core/keyed-queue.ts';
import { subnetsOf } from '../../src/core/subnets.ts';
import type { Engine } from '../../src/ports/engine.ts';
import type { Clock, Random } from '../../src/ports/runtime.ts';
import { EngineDisk } from './engine-disk.ts';
import { EventStream } from './event-stream.ts';
import {
  type Attachment,
  type AttachmentRequest,
  ContainerRuns,
  containerOf,
  describeContainer,
  endProcess,
  type FakeContainer,
  hostsPathOf,
  membersOf,
  type RunRequest,
  refused,
  unavailable,
} from './fake-containers.ts';
import type { FakeKernel } from './fake-kernel.ts';
import { type EndpointObject, Libnetwork, type NetworkObject, type NetworkSpec } from './fake-libnetwork.ts';
import type { PluginLine } from './plugin-line.ts';

export interface FakeEngineDeps {
  readonly line: PluginLine;
  readonly kernel: FakeKernel;
  readonly clock: Clock;
  readonly random: Random;
}

interface Life {
  readonly libnetwork: Libnetwork;
  readonly runs: ContainerRuns;
  readonly containerLocks: KeyedQueue;
  readonly networkLocks: KeyedQueue;
  readonly killed: Promise<never>;
  readonly kill: () => void;
  serving: boolean;
  /** Ids of networks that were removed. */
  readonly removed: Set<string>;
}

const RECONNECT_MS = 60;

export class FakeEngine implements Engine {
  /** Answers of the drivers that a real engine would not take. */
  readonly violations: string[] = [];
  /** Containers outlive the engine's process, and nobody is told anything. */
  liveRestore = false;
  /** What it is to keep of a network cannot be written any more, once the driver has made it. */
  diskFull = false;
  version = '20.10.24';
  /** SIGSTOP: its connections stand, and nobody gets an answer. */
  frozen = false;
  readonly #deps: FakeEngineDeps;
  readonly disk = new EngineDisk();
  readonly #streams = new Set<EventStream>();
  #life: Life | undefined;
  #lastPid = 0;

  constructor(deps: FakeEngineDeps) {
    this.#deps = deps;
  }

  get containers(): ReadonlyMap<string, FakeContainer> {
    return this.disk.containers;
  }

  get objects(): ReadonlyMap<string, NetworkObject> {
    return this.disk.objects;
  }

  // ------------------------------------------------------------ its process

  /** Cleans up after the process before it, then serves. */
  async start(): Promise<void> {
    if (this.#life) return;
    const life = this.#begin();
    const { libnetwork } = life;
    const kept = new Set<EndpointObject>();
    const ended: FakeContainer[] = [];
    for (const container of this.containers.values()) {
      if (!this.liveRestore) endProcess(container, this.#deps.kernel, this.disk);
      for (const attachment of container.attachments.values()) {
        if (!container.alive) attachment.endpoint = undefined;
        else if (attachment.endpoint) kept.add(attachment.endpoint);
      }
      if (container.alive) continue;
      container.pid = 0;
      ended.push(container);
    }
    for (const endpoint of this.disk.endpoints.values()) if (!kept.has(endpoint)) await life.runs.detach(endpoint);
    for (const { sandbox } of ended) if (sandbox !== '') this.#deps.kernel.killContainer(sandbox);
    for (const network of this.objects.values()) {
      if (!network.removing) continue;
      await libnetwork.deleteNetwork(network);
      this.disk.objects.delete(network.id);
    }
    // Once, and before anybody is served.
    const wanted = ended.filter(({ restarts, ran }) => restarts && ran);
    await Promise.all(wanted.map((container) => life.runs.start(container).catch(() => undefined)));
    life.serving = true;
    // Ended while the engine was busy with those before it.
    for (const container of this.containers.values()) {
      void life.containerLocks.run(container.id, () => life.runs.cleanUp(container));
    }
    for (const stream of this.#streams) void this.#greet(stream, life);
  }

  /** SIGKILL. Containers go on, until the next start ends them. */
  kill(): void {
    this.#life?.kill();
    this.#life = undefined;
    for (const stream of this.#streams) stream.lose();
  }

  /** The host loses power. */
  powerOff(): void {
    this.kill();
    for (const container of this.containers.values()) container.alive = false;
    for (const endpoint of this.disk.endpoints.values()) endpoint.link = undefined;
  }

  #begin(): Life {
    const killed = Promise.withResolvers<never>();
    killed.promise.catch(() => undefined);
    const isOver = () => this.#life !== life;
    const never = new Promise<never>(() => undefined);
    const step = <T>(work: Promise<T>): Promise<T> =>
      work.then(
        (value) => (isOver() ? never : value),
        (error: unknown) => (isOver() ? never : Promise.reject(error)),
      );
    const libnetwork = new Libnetwork({
      ...{ ...this.#deps, step, violations: this.violations },
      version: () => this.version,
    });
    const networkLocks = new KeyedQueue();
    const runs = new ContainerRuns({
      ...{ ...this.#deps, disk: this.disk, libnetwork, networkLocks },
      network: (name) => this.disk.network(name),
      nextPid: () => ++this.#lastPid,
      tell: (event) => this.tell(event),
    });
    const life: Life = {
      ...{
        libnetwork,
        runs,
        networkLocks,
        containerLocks: new KeyedQueue(),
        serving: false,
        removed: new Set<string>(),
      },
      ...{ killed: killed.promise, kill: () => killed.reject(unavailable()) },
    };
    this.#life = life;
    return life;
  }

  /** One request to its API. */
  async #api<T>(serve: (life: Life) => Promise<T>): Promise<T> {
    const { clock, random } = this.#deps;
    await clock.sleep(this.frozen ? 10_000 : random.next() * 2);
    const life = this.#life;
    if (!life?.serving || this.frozen) throw unavailable();
    return await Promise.race([serve(life), life.killed]);
  }

  // ------------------------------------------------------------ the port

  networks(): Promise<readonly EngineNetwork[]> {
    return this.#api(async () =>
      this.disk.listed().map(({ id, name, driver, labels, options, ipamDriver, ipamOptions, subnets }) => {
        return { id, name, driver, labels, options, ipamDriver, ipamOptions, subnets };
      }),
    );
  }

  createNetwork({ subnets, driver, ...spec }: EngineNetworkSpec): Promise<string> {
    const [subnet, ipv6Subnet] = ([4, 6] as const).map((family) => subnetsOf(subnets, family)[0]);
    const ipv4 = subnet ? { subnet } : { ipv4: false };
    const ipv6 = ipv6Subnet ? { ipv6: true, ipv6Subnet } : {};
    return this.createNetworkAs({ ...spec, driver, ipamDriver: driver, ...ipv4, ...ipv6 });
  }

  removeNetwork(id: string): Promise<boolean> {
    return this.#api(async (life) => {
      const network = this.objects.get(id);
      if (!network) return false;
      await this.#removeNetwork(life, network);
      return true;
    });
  }

  removedNetworks(): Promise<ReadonlySet<string>> {
    return this.#api(async ({ removed }) => new Set(removed));
  }

  running(): Promise<readonly string[]> {
    return this.#api(async () => [...this.containers.values()].filter(({ pid }) => pid > 0).map(({ id }) => id));
  }

  members(networkId: string): Promise<EngineNetworkMembers | undefined> {
    return this.#api(async () => membersOf(this.objects.get(networkId), this.containers.values()));
  }

  stopped(): Promise<readonly string[]> {
    return this.#api(async () => [...this.containers.values()].filter(({ pid }) => pid === 0).map(({ id }) => id));
  }

  inspect(ref: string): Promise<EngineContainer | undefined> {
    return this.#api(async (life) => {
      const found = this.disk.find(ref);
      return found && (await life.containerLocks.run(found.id, async () => describeContainer(found)));
    });
  }

  hostsPath(containerId: string): Promise<string> {
    return this.#api(async () => hostsPathOf(containerId));
  }

  /** A MAC is heeded when the container is made only. */
  connect(networkId: string, ref: string, { aliases, ip, ip6 }: AttachmentRequest): Promise<void> {
    return this.#api((life) => {
      const container = this.disk.require(ref);
      return life.containerLocks.run(container.id, async () => {
        const network = this.objects.get(networkId);
        if (!network) throw refused(`network ${networkId} not found`);
        const held = container.attachments.get(network.name);
        if (held && (container.pid > 0 || held.networkId === undefined || held.networkId === network.id)) {
          throw refused(`endpoint with name ${container.name} already exists in network ${network.name}`);
        }
        const attachment: Attachment = { aliases: aliases ?? [], ip, ip6, networkId, endpoint: undefined };
        if (container.pid > 0) await life.runs.connect(container, network, attachment);
        container.attachments.set(network.name, attachment);
      });
    });
  }

  disconnect(networkId: string, ref: string, force = false): Promise<void> {
    return this.#api((life) => {
      const container = this.disk.require(ref);
      return life.containerLocks.run(container.id, async () => {
        const network = this.objects.get(networkId);
        // Of a network that is gone, by the name that the container has for it.
        if (!network && force && container.pid === 0 && container.attachments.delete(networkId)) return;
        const attachment = network && container.attachments.get(network.name);
        if (!attachment) throw refused(`container ${ref} is not connected to network ${networkId}`);
        const { endpoint } = attachment;
        attachment.endpoint = undefined;
        if (endpoint) await life.runs.detach(endpoint);
        container.attachments.delete(network.name);
        if (endpoint) this.tell({ kind: 'container', action: 'disconnect', id: container.id, networkId });
      });
    });
  }

  async *events(signal: AbortSignal): AsyncGenerator<EngineEvent> {
    const stream = new EventStream(signal);
    this.#streams.add(stream);
    if (this.#life?.serving) void this.#greet(stream, this.#life);
    else stream.lose();
    try {
      yield* stream.items();
    } finally {
      this.#streams.delete(stream);
    }
  }

  // ------------------------------------------------------------ what its users type
  /** `docker network create`. Up to Docker 24 two at the same moment can both succeed. */
  createNetworkAs(spec: NetworkSpec): Promise<string> {
    return this.#api(async (life) => {
      if (this.disk.listed().some(({ name }) => name === spec.name)) {
        throw new OverlaydError('conflict', `network with name ${spec.name} already exists`);
      }
      const network = await life.libnetwork.createNetwork(spec);
      if (this.diskFull) await life.libnetwork.deleteNetwork(network);
      if (this.diskFull) throw refused('no space left on device');
      this.disk.objects.set(network.id, network);
      this.tell({ kind: 'network', action: 'create', id: network.id });
      return network.id;
    });
  }

  /** `docker network rm`. */
  removeNetworkAs(name: string): Promise<void> {
    return this.#api((life) => this.#removeNetwork(life, this.disk.network(name)));
  }

  /** `docker run`: the container stays when it cannot be started. */
  async run(name: string, request: RunRequest): Promise<FakeContainer> {
    const container = await this.#api(async () => {
      if (this.disk.find(name)) throw refused(`the container name ${name} is already in use`);
      const id = this.#deps.random.hex(32);
      const made = containerOf(id, name, request);
      this.disk.containers.set(id, made);
      this.tell({ kind: 'container', action: 'create', id });
      return made;
    });
    await this.startContainer(name);
    return container;
  }

  startContainer(ref: string): Promise<void> {
    return this.#api((life) => {
      const container = this.disk.require(ref);
      return life.containerLocks.run(container.id, async () => {
        if (container.pid === 0 && this.containers.has(container.id)) await life.runs.start(container);
      });
    });
  }

  stopContainer(ref: string): Promise<void> {
    return this.#api((life) => {
      const container = this.disk.require(ref);
      return life.containerLocks.run(container.id, async () => {
        endProcess(container, this.#deps.kernel, this.disk);
        await life.runs.cleanUp(container);
      });
    });
  }

  /** `docker rm -f`. */
  removeContainer(ref: string): Promise<void> {
    return this.#api((life) => {
      const container = this.disk.require(ref);
      return life.containerLocks.run(container.id, async () => {
        endProcess(container, this.#deps.kernel, this.disk);
        await life.runs.cleanUp(container);
        this.disk.containers.delete(container.id);
        this.tell({ kind: 'container', action: 'destroy', id: container.id });
      });
    });
  }

  renameContainer(ref: string, name: string): Promise<void> {
    return this.#api((life) => {
      const container = this.disk.require(ref);
      return life.containerLocks.run(container.id, async () => {
        if (this.disk.find(name)) throw refused(`the container name ${name} is already in use`);
        container.name = name;
        this.tell({ kind: 'container', action: 'rename', id: container.id });
      });
    });
  }

  /** `docker network connect` and `disconnect`. */
  async connectAs(network: string, ref: string, request: AttachmentRequest = {}): Promise<void> {
    await this.connect(this.disk.network(network).id, ref, request);
  }

  async disconnectAs(network: string, ref: string): Promise<void> {
    await this.disconnect(this.disk.network(network).id, ref);
  }

  /** The container's process ends by itself; the engine, if it runs, sees to the rest. */
  crashContainer(ref: string): void {
    const container = this.disk.require(ref);
    endProcess(container, this.#deps.kernel, this.disk);
    const life = this.#life;
    if (life?.serving) void life.containerLocks.run(container.id, () => life.runs.cleanUp(container));
  }

  #removeNetwork({ libnetwork, networkLocks, removed }: Life, network: NetworkObject): Promise<void> {
    return networkLocks.run(network.id, async () => {
      if (!this.objects.has(network.id)) throw refused(`network ${network.name} not found`);
      if (network.endpoints.size > 0) throw refused(`network ${network.name} has active endpoints`);
      network.removing = true;
      await libnetwork.deleteNetwork(network);
      this.disk.objects.delete(network.id);
      removed.add(network.id);
      this.tell({ kind: 'network', action: 'destroy', id: network.id });
    });
  }

  /** Whoever listens hears it. */
  tell(event: EngineEvent): void {
    for (const stream of this.#streams) stream.push(event);
  }

  /** What happened before the stream was open is not in it. */
  async #greet(stream: EventStream, life: Life): Promise<void> {
    await this.#deps.clock.sleep(this.#deps.random.next() * RECONNECT_MS);
    if (this.#life === life) stream.begin(this.version);
  }
}
