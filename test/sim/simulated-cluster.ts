/**
 * A whole cluster in one process: the agents' own code over ports that are all simulated. Time passes only when told
 * to; every choice comes from the seed, so a failing run replays exactly.
 */

import { KeptState } from '../../src/agent/endpoints/kept-state.ts';
import { EngineSide } from '../../src/agent/engine/engine-side.ts';
import type { EngineMemory } from '../../src/agent/engine/memory.ts';
import type { Membership } from '../../src/agent/lifecycle.ts';
import { Member } from '../../src/agent/member.ts';
import { isOverlaydError, OverlaydError } from '../../src/core/errors.ts';
import { formatHostPort } from '../../src/core/host-port.ts';
import type { Family } from '../../src/core/ip.ts';
import { type AgentVersion, SPOKEN_LEVELS } from '../../src/core/levels.ts';
import type { NodeRecord } from '../../src/core/records.ts';
import type { OwnKeys } from '../../src/core/wireguard/own-keys.ts';
import type { WireguardBackend } from '../../src/core/wireguard/state.ts';
import { createDrivers } from '../../src/integrations/docker/drivers.ts';
import type { NodeState } from '../../src/ports/files.ts';
import type { Clock, Logger, Random } from '../../src/ports/runtime.ts';
import { admitNode, foundCluster } from './admission.ts';
import type { SimulatedClusterOptions } from './cluster-options.ts';
import { FakeEngine } from './fake-engine.ts';
import { FakeFacts } from './fake-facts.ts';
import { FakeFile } from './fake-file.ts';
import { FakeKernel } from './fake-kernel.ts';
import { FakeNames } from './fake-names.ts';
import { FakeTunnels } from './fake-tunnels.ts';
import type { FakeRouter } from './fake-underlay.ts';
import { relayOn, wayTo } from './fake-ways.ts';
import { FakeWireguard, keyPairOf } from './fake-wireguard.ts';
import { hostContainers, pathOf } from './host-containers.ts';
import { MemoryEtcd, type MemoryStore } from './memory-store.ts';
import { MemoryNetwork } from './memory-transport.ts';
import { type Life, mortal } from './mortal.ts';
import { PluginLine } from './plugin-line.ts';
import { Pushes } from './pushes.ts';
import { seededRandom } from './seeded-random.ts';
import { VirtualClock } from './virtual-clock.ts';

export const silent: Logger = { error() {}, warn() {}, info() {}, debug() {}, child: () => silent };

export class SimulatedCluster {
  readonly clock = new VirtualClock();
  readonly random: Random;
  readonly etcd: MemoryEtcd;
  readonly network: MemoryNetwork;
  readonly pushes: Pushes;
  readonly tunnels = new FakeTunnels();
  readonly hosts: SimulatedHost[] = [];
  readonly hasEngines: boolean;
  readonly agent: AgentVersion;
  readonly family: Family;
  readonly keyLifetimeMs: number;
  /** Of hosts that join from now on; undefined: nothing. */
  wireguard: WireguardBackend | undefined;
  #made = 0;
  readonly #log: Logger;

  constructor(options: SimulatedClusterOptions) {
    this.random = seededRandom(options.seed);
    const { etcdMs = 0 } = options;
    this.etcd = new MemoryEtcd(
      { clock: this.clock },
      { delayMs: () => (etcdMs === 0 ? 0 : this.random.next() * etcdMs) },
    );
    this.network = new MemoryNetwork(
      { clock: this.clock, random: this.random },
      { latencyMs: options.latencyMs ?? [1, 3], loss: options.loss ?? 0 },
    );
    this.network.resolve = (from, address) => wayTo(this.tunnels, this.hosts, from, address);
    this.pushes = new Pushes(this.etcd);
    this.network.onMessage = (message) => this.pushes.note(message);
    this.hasEngines = options.engines ?? false;
    this.agent = options.agent ?? { version: '0.1.0', levels: SPOKEN_LEVELS };
    this.family = options.family ?? 4;
    this.keyLifetimeMs = options.keyLifetimeMs ?? Number.POSITIVE_INFINITY;
    this.wireguard = options.wireguard === 'none' ? undefined : (options.wireguard ?? 'wireguard-go');
    this.#log = options.log ?? silent;
  }

  /** A cluster of so many hosts, all started. */
  async start(count: number): Promise<void> {
    foundCluster(this.etcd, this.agent.levels.to);
    for (let i = 0; i < count; i++) await this.join();
    await this.clock.advance(2_000);
  }

  async join(router?: FakeRouter): Promise<SimulatedHost> {
    const host = new SimulatedHost(this, ++this.#made, this.#log, router);
    this.hosts.push(host);
    const { record } = host;
    admitNode(this.etcd, { ...record, ...host.agent });
    await host.start();
    if (this.hasEngines) void host.engine.start();
    return host;
  }

  /** Cuts two groups of hosts from each other; etcd stays with whoever is not in `withoutEtcd`. */
  partition(
    left: readonly SimulatedHost[],
    right: readonly SimulatedHost[],
    withoutEtcd: readonly SimulatedHost[],
  ): void {
    for (const a of left) for (const b of right) this.network.cut(a.record.id, b.record.id);
    for (const host of withoutEtcd) host.store.cut();
  }

  heal(): void {
    this.network.heal();
    for (const host of this.hosts) host.store.heal();
  }

  get running(): SimulatedHost[] {
    return this.hosts.filter((host) => host.member !== undefined);
  }

  async stop(): Promise<void> {
    for (const host of this.running) await host.crash();
    this.pushes.check();
  }
}

export class SimulatedHost {
  readonly record: NodeRecord;
  readonly kernel = new FakeKernel();
  readonly facts: FakeFacts;
  readonly wireguard: FakeWireguard;
  /** `wireguard.json`. */
  readonly keyFile: FakeFile<OwnKeys>;
  readonly store: MemoryStore;
  readonly line: PluginLine;
  readonly engine: FakeEngine;
  member: Member | undefined;
  engineSide: EngineSide | undefined;
  /** `leave` has begun: what the engine is told then is not for the cluster. */
  leaving = false;
  /** Name servers in the resolver files of its containers, by container; on its disk. */
  readonly resolvers = new Map<string, readonly string[]>();
  /** What answers names, beside the agent. */
  readonly names: FakeNames;
  /** Addresses at which names are answered, by network id. */
  get listening(): ReadonlyMap<string, readonly string[]> {
    return this.names.listening;
  }

  /** The agent's state on the disk. */
  readonly stateFile: FakeFile<NodeState>;
  /** The same below `/run`. */
  readonly runFile: FakeFile<NodeState>;
  /** What is installed; the next start runs it. */
  agent: AgentVersion;
  /** Why the agent does nothing, when it does not speak the cluster's level; a start may end that. */
  refusal: string | undefined;
  /** By how much the host's wall clock is off. */
  skewMs = 0;
  /** How often the member said that members, or what the cluster has one of, changed. */
  memberNews = 0;
  readonly clock: Clock;
  readonly #cluster: SimulatedCluster;
  readonly #log: Logger;
  #quit = new AbortController();
  #ended: Promise<void> = Promise.resolve();
  #life: Life = { over: false };
  #engineMemory: EngineMemory | undefined;
  #containers = 0;
  readonly #instances = new Map<string, number>();
  readonly named = new Map<string, string>();

  constructor(cluster: SimulatedCluster, number: number, log: Logger, router?: FakeRouter) {
    const id = `node${number}`;
    this.#cluster = cluster;
    this.agent = cluster.agent;
    this.#log = log.child({ node: id });
    this.store = cluster.etcd.store(id);
    this.kernel.isAlive = ({ identity, path }) => identity === this.identityOf(path);
    const { random } = cluster;
    this.clock = {
      now: () => cluster.clock.now() + this.skewMs,
      elapsed: () => cluster.clock.elapsed(),
      sleep: (ms, signal) => cluster.clock.sleep(ms, signal),
    };
    const { clock } = this;
    this.stateFile = new FakeFile(clock);
    this.runFile = new FakeFile(clock);
    this.names = new FakeNames(clock, random);
    this.line = new PluginLine(clock, random);
    this.engine = new FakeEngine({ line: this.line, kernel: this.kernel, clock, random });
    const inside = router ? `192.168.1.${number}` : `192.0.2.${number}`;
    const address = cluster.family === 6 ? `2001:db8::${number}` : inside;
    this.record = {
      id,
      name: `h${number}`,
      ...{ advertiseAddress: address, vtep: address },
      ...{ gossipPort: 7946, joinPort: 2377, dataPathPort: 4789 },
      ...{ keyFingerprint: id, underlayMtu: 1_500, hostRoutes: ['192.0.2.0/24'] },
      ...{ labels: {}, joinedAt: cluster.clock.now(), left: false },
      ...(router && { nat: true }),
    };
    this.facts = new FakeFacts(this.record.name, this.record.vtep);
    this.wireguard = new FakeWireguard(cluster.tunnels, address, clock, router);
    this.wireguard.offers = cluster.wireguard;
    this.keyFile = new FakeFile(clock);
  }

  /** What the agent has on its disk. */
  get disk(): { readonly state: NodeState | undefined; readonly engineMemory: EngineMemory | undefined } {
    return { state: this.stateFile.content, engineMemory: this.#engineMemory };
  }

  /** The file that says which of the engine's networks is which is gone. */
  loseEngineMemory(): void {
    this.#engineMemory = undefined;
  }

  get running(): Member {
    if (!this.member) throw new Error(`${this.record.name} is not running`);
    return this.member;
  }

  /** A new container on this host, as `connect` takes it. */
  addContainer(): string {
    const name = `c${++this.#containers}`;
    this.kernel.addContainer(`/run/netns/${name}`);
    return `netns:${name}`;
  }

  killContainer(text: string): void {
    this.kernel.killContainer(pathOf(text));
  }

  /** Another container gets the name of one that ends. */
  replaceContainer(text: string): void {
    this.killContainer(text);
    this.kernel.addContainer(pathOf(text));
    this.#instances.set(pathOf(text), (this.#instances.get(pathOf(text)) ?? 0) + 1);
  }

  identityOf(path: string): string {
    return `${this.facts.boot} ${path} ${this.#instances.get(path) ?? 0}`;
  }

  /** `before`: what is done to the new agent before it starts. */
  async start(before?: (member: Member) => void): Promise<void> {
    const { random, network } = this.#cluster;
    const { clock } = this;
    const { id, advertiseAddress, gossipPort } = this.record;
    const life: Life = { over: false };
    this.#life = life;
    this.refusal = undefined;
    this.#quit = new AbortController();
    const member = new Member(
      {
        ...{ clock, random },
        store: mortal(this.store, life),
        kernel: mortal(this.kernel, life),
        containers: mortal(hostContainers(this), life),
        transport: network.transport(id, formatHostPort(advertiseAddress, gossipPort)),
        facts: this.facts,
        stateFile: new KeptState({
          disk: mortal(this.stateFile.of(life), life),
          run: mortal(this.runFile.of(life), life),
          clock,
        }),
        onStoreStalled: () => {},
        onUnspoken: (why) => this.#refuse(why),
        onNetworks: () => this.engineSide?.networks.sync(),
        onMembers: () => this.memberNews++,
        names: this.names.processFor(life),
        tunnels: {
          wireguard: mortal(this.wireguard, life),
          keyFile: mortal(this.keyFile.of(life), life),
          makeKeyPair: () => keyPairOf(random.hex(32)),
          openRelay: relayOn(this.wireguard, this.#cluster.tunnels, life),
        },
        logger: this.#log,
      },
      {
        self: this.record,
        agent: this.agent,
        storeEndpoints: [],
        ...{ gossipIntervalMs: 1_000, leaseSeconds: 10, quarantineSeconds: 60 },
        ...{ dnsTtlSeconds: 5, namesInside: true, auditIntervalMs: 3_000 },
        ...{ wireguardPort: 51_840, keyLifetimeMs: this.#cluster.keyLifetimeMs },
      },
    );
    this.member = member;
    before?.(member);
    network.revive(this.record.id);
    const ready = Promise.withResolvers<void>();
    if (this.#cluster.hasEngines) this.#serveDrivers(member, ready.promise);
    const side = this.#cluster.hasEngines ? this.#engineSide(member, life) : undefined;
    await side?.load();
    const { ms } = this.stateFile;
    this.stateFile.ms = 0;
    try {
      this.#ended = (await member.start(this.#quit.signal)).ended;
    } catch (error) {
      if (!isOverlaydError(error, 'version-mismatch')) throw error;
      return this.#refuse(error.message);
    } finally {
      this.stateFile.ms = ms;
    }
    void this.#ended.catch((error: unknown) => this.#log.error({ error }, 'the member ended'));
    if (life.over) return;
    this.engineSide = side;
    void side?.run(this.#quit.signal).catch((error: unknown) => this.#log.error({ error }, 'the engine side ended'));
    ready.resolve();
  }

  /** From now on that member answers the engine's calls, though not before it knows what it has to. */
  #serveDrivers(member: Member, ready: Promise<void>): void {
    const host = this;
    const lifecycle = {
      get current(): Membership | undefined {
        // What the drivers take of it.
        return host.engineSide && ({ member, engineSide: host.engineSide } as Membership);
      },
      get leaving() {
        return host.leaving;
      },
      situation: { busy: 'starting', problem: undefined },
      require: (): Membership => {
        if (lifecycle.current) return lifecycle.current;
        throw new OverlaydError('conflict', 'the agent is busy: starting', { retryable: true });
      },
    };
    this.line.open(createDrivers({ lifecycle, clock: this.clock, random: this.#cluster.random, ready }));
  }

  #engineSide(member: Member, life: Life): EngineSide {
    const { clock } = this;
    const file = {
      load: async () => this.#engineMemory,
      save: async (memory: EngineMemory) => {
        if (this.stateFile.isFull) throw new Error('no space left on device');
        this.#engineMemory = structuredClone(memory);
      },
      remove: async () => {
        this.#engineMemory = undefined;
      },
    };
    return new EngineSide({
      ...{ engine: mortal(this.engine, life), file: mortal(file, life), member, clock, logger: this.#log },
      allowForwarding: async () => undefined,
      hasSilentRules: () => false,
      ...{ nameServers: async () => undefined, namesInside: false },
      mendHosts: async (path, own) => this.engine.disk.mendHosts(path, own),
    });
  }

  /** The agent is told to stop, and does. */
  stop(): Promise<void> {
    return this.#cluster.clock.until(this.end());
  }

  /** The same, for whoever lets time pass himself. */
  async end(): Promise<void> {
    const [member, quit, ended] = [this.member, this.#quit, this.#ended];
    await member?.gossip.sayFarewell();
    quit.abort(new OverlaydError('cancelled', 'the agent was stopped'));
    await ended;
    if (this.member !== member) return;
    this.member = undefined;
    this.#hangUp();
  }

  /** As the agent's lifecycle does it: the member ends, and is tried again. */
  #refuse(why: string): void {
    this.refusal = why;
    void this.crash();
  }

  #hangUp(): void {
    this.engineSide = undefined;
    this.line.cut();
  }

  /** The agent is killed, at whatever line it is; containers and kernel stay. */
  async crash(): Promise<void> {
    this.#life.over = true;
    this.stateFile.cut();
    this.runFile.cut();
    this.#quit.abort(new OverlaydError('cancelled', 'the agent was killed'));
    this.wireguard.sockets.clear();
    this.#cluster.network.crash(this.record.id);
    this.member = undefined;
    this.#hangUp();
  }

  /** The host loses power: agent, containers and kernel state are gone, and what is below `/run`. */
  async reboot(): Promise<void> {
    await this.crash();
    this.runFile.lose();
    this.engine.powerOff();
    this.kernel.reset();
    this.names.kill();
    this.facts.boot += 1;
  }
}
