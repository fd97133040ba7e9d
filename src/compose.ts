/**
 * The one place that builds and joins everything. Start: log, files, control socket, then (as a member) etcd's client,
 * peers, reconciler, join server. Stop: the reverse; the kernel, the bundled etcd and all forwarding stay.
 */
import { join } from 'node:path';
import { hostNameServers } from './adapters/dns/name-servers.ts';
import { NamesKeeper } from './adapters/dns/process/keeper.ts';
import { daemonNameServers } from './adapters/docker/daemon-file.ts';
import { createEngine } from './adapters/docker/engine.ts';
import { allowForwarding, hasLegacyRules, removeForwarding } from './adapters/docker/forwarding.ts';
import { mendHostsFile } from './adapters/docker/hosts-file.ts';
import { servePlugin } from './adapters/docker/plugin-server.ts';
import { missingTranslation } from './adapters/docker/translation.ts';
import { createBundledEtcd } from './adapters/etcd/server.ts';
import { createEtcdStore } from './adapters/etcd/store.ts';
import type { Exec } from './adapters/exec.ts';
import { createControlClient } from './adapters/grpc/control.ts';
import { refuseSecond, serveControl } from './adapters/grpc/control-server.ts';
import { createJoinClient } from './adapters/grpc/join-client.ts';
import { serveJoin } from './adapters/grpc/join-server.ts';
import { GrpcPeerTransport } from './adapters/grpc/peer.ts';
import { createKernel } from './adapters/kernel/kernel.ts';
import { KernelThread } from './adapters/kernel/kernel-thread.ts';
import { findFirewall, readPassage } from './adapters/kernel/passage.ts';
import type { RoutingQuestion } from './adapters/netlink/host-routing.ts';
import { createPki } from './adapters/pki/pki.ts';
import { beSoleAgent } from './adapters/sole-agent.ts';
import { createJsonFile, createStateFiles } from './adapters/state-file.ts';
import { createContainers } from './adapters/system/containers.ts';
import { createHostFacts } from './adapters/system/host-facts.ts';
import { systemClock, systemRandom } from './adapters/system/time.ts';
import { AddressWatch } from './agent/cluster/address-watch.ts';
import { admit } from './agent/cluster/admit.ts';
import { usesIpv6 } from './agent/cluster/families.ts';
import { type Identity, type IdentityState, parseIdentity, tlsMaterialOf } from './agent/cluster/identity.ts';
import { keepKnocking } from './agent/cluster/knocking.ts';
import { insist } from './agent/cluster/level.ts';
import { clockProblem, keepCertificate, withValidCertificate } from './agent/cluster/renewal.ts';
import { bundledHostsOf, bundledStoreOf, type OpenStore } from './agent/cluster/store-access.ts';
import { KeptState } from './agent/endpoints/kept-state.ts';
import { EngineSide } from './agent/engine/engine-side.ts';
import { parseEngineMemory } from './agent/engine/memory.ts';
import { withdrawAll } from './agent/engine/withdraw-all.ts';
import { FirewallWatch } from './agent/host/firewall-watch.ts';
import { HostNeeds } from './agent/host/host-needs.ts';
import { Lifecycle, type Membership } from './agent/lifecycle.ts';
import { Member } from './agent/member.ts';
import { clearHost } from './agent/reconcile/clear-host.ts';
import type { Config } from './core/config/option.ts';
import { type AgentVersion, SPOKEN_LEVELS } from './core/levels.ts';
import { keys, type LevelRange, type NodeRecord } from './core/records.ts';
import { Sparing } from './core/sparing.ts';
import { hasFamily } from './core/subnets.ts';
import { createHandlers } from './integrations/control/handlers.ts';
import { createDrivers } from './integrations/docker/drivers.ts';
import type { TlsMaterial } from './ports/identity.ts';
import type { Logger } from './ports/runtime.ts';
import type { StoreAccess } from './ports/store.ts';
import { VERSION } from './version.ts';

/** Programs beside the agent's own, as source or bundled. */
export interface ProgramPaths {
  readonly kernelWorker: string;
  readonly names: string;
}

/** Where the Docker daemon looks for its configuration unless it is told otherwise. */
const DAEMON_FILE = '/etc/docker/daemon.json';
const KNOCK_MS = 1_000;
const CERTIFICATE_LIFETIME_MS = 90 * 24 * 3_600_000;

export interface Agent {
  /** What the service manager is told. */
  describe(): string;
  /** Whether a command would be answered now: asked the way a command asks. */
  isHealthy(): Promise<boolean>;
  stop(): Promise<void>;
}

/**
 * Resolves when commands are answered and, on a member, the data path is being looked after. `sockets`: file descriptors
 * by name, of sockets that the service manager holds. `levels`: for tests, what the agent speaks.
 */
export async function startAgent(
  config: Config,
  programs: ProgramPaths,
  sockets: ReadonlyMap<string, number>,
  deps: { readonly exec: Exec; readonly logger: Logger; readonly levels?: LevelRange },
): Promise<Agent> {
  const { exec, logger, levels = SPOKEN_LEVELS } = deps;
  const speech: AgentVersion = { version: VERSION, levels };
  const clock = systemClock;
  const random = systemRandom;
  const pki = createPki();
  const joinClient = createJoinClient(clock);
  const containers = createContainers();
  const thread = new KernelThread({ workerPath: programs.kernelWorker });
  const nameServers = hostNameServers();
  const facts = createHostFacts({
    routing: (question) => thread.ask('routing', question),
    nameServers: async () => nameServers(),
  });
  const kernel = createKernel({
    ...{ thread, isAlive: (container) => containers.isAlive(container) },
    onFirewallChange: () => lifecycle.current?.engineSide?.firewallChanged(),
  });
  const statePaths = { disk: join(config.dataDir, 'state.json'), run: join(config.runDir, 'state.json') };
  const stateFile = new KeptState({ ...createStateFiles(statePaths), clock });
  const file = createJsonFile<IdentityState>(
    join(config.dataDir, 'identity.json'),
    parseIdentity,
    "this host is no member then; never on the host of the cluster's etcd, which nobody else has the way into",
  );
  const etcd = createBundledEtcd({ run: exec.run, logger, clock }, { dataDir: config.dataDir });
  const engineOf = (signal: AbortSignal) =>
    config.docker === 'on' ? createEngine({ clock }, { socketPath: config.dockerSocket }, signal) : undefined;
  const engineFile = createJsonFile(
    join(config.dataDir, 'docker.json'),
    parseEngineMemory,
    'what it held is found again from what Docker keeps',
  );
  const names = new NamesKeeper(
    { run: exec.run, clock, logger },
    { socketPath: join(config.runDir, 'names.sock'), programPath: programs.names, nodePath: process.execPath },
  );
  const { quarantineSeconds } = config;
  const openStore: OpenStore = (access, material) => {
    const store = createEtcdStore({ logger, clock }, storeTarget(access, material));
    return { store, close: () => store.close() };
  };

  async function startMember(saved: Identity, former?: Membership): Promise<Membership> {
    const log = logger.child({ node: saved.name });
    const quit = new AbortController();
    const { signal } = quit;
    let started: Member | undefined;
    const addresses = new AddressWatch(
      {
        ...{ facts, pki, clock, file, logger: log },
        onProblems: () => started?.noteHostChange(),
        moved: (why) => lifecycle.restart(why),
      },
      saved,
      { certificateLifetimeMs: CERTIFICATE_LIFETIME_MS },
    );
    const renewal = { clock, pki, file, logger: log };
    const options = { certificateLifetimeMs: CERTIFICATE_LIFETIME_MS };
    const identity = await withValidCertificate(renewal, await addresses.settle(signal), options);
    const material = tlsMaterialOf(identity);
    const store = createEtcdStore({ logger: log, clock }, storeTarget(identity.store, material));
    const transport = new GrpcPeerTransport(
      { clock, pki, logger: log, isMember: (nodeId, fingerprint) => isMember(member, nodeId, fingerprint) },
      { nodeId: identity.nodeId, material, listenAddress: identity.listenAddress, port: identity.gossipPort },
    );
    const member: Member = new Member(
      {
        ...{ store, transport, kernel, containers, facts, stateFile, clock, random, logger: log },
        onStoreStalled: () => {
          if (identity.store.bundled)
            void etcd.check().catch((error: unknown) => log.warn({ error }, 'etcd not restarted'));
        },
        onNetworks: () => engineSide?.networks.sync(),
        onHostChange: () => addresses.look(),
        addressProblem: () => addresses.problems[0],
        onUnspoken: (why) => void insist(() => lifecycle.restart(why), { clock, signal }),
        names,
      },
      {
        self: recordOf(identity, pki.fingerprint(identity.key)),
        agent: speech,
        storeEndpoints: identity.store.endpoints,
        knownNodes: former ? [...former.member.view.nodes()] : [],
        gossipIntervalMs: config.gossipIntervalMs,
        leaseSeconds: config.leaseTtlSeconds,
        quarantineSeconds,
        dnsTtlSeconds: config.dnsTtlSeconds,
        auditIntervalMs: config.auditIntervalMs,
        bundledStore: bundledStoreOf(identity.store),
      },
    );
    const engine = engineOf(signal);
    const engineSide: EngineSide | undefined =
      engine &&
      new EngineSide({
        ...{ engine, file: engineFile, member, clock, logger: log },
        allowForwarding: () => {
          const ipv6 = [...member.view.networks()].some((network) => hasFamily(network, 6));
          return allowForwarding(exec.run, ipv6, () => {
            const routing = (question: RoutingQuestion) => thread.ask('routing', question);
            const ruleset = () => thread.ask('rules', { command: 'list ruleset' });
            return missingTranslation({ run: exec.run, routing, ruleset });
          });
        },
        hasSilentRules: () => hasLegacyRules(),
        nameServers: () => daemonNameServers(DAEMON_FILE),
        mendHosts: mendHostsFile,
      });
    const firewall = new FirewallWatch({
      ...{ passage: () => readPassage(thread, signal), firewall: () => findFirewall(thread, exec.run, signal) },
      ...{ port: identity.dataPathPort, clock, logger: log },
    });
    let ended: Promise<unknown>;
    try {
      const refusals = new Sparing({ limit: 10, windowMs: 60_000 });
      const admission = { store, commit: member.commit, pki, clock, logger: log, agent: speech, refusals };
      const joinDeps = { ...admission, identity: () => identity };
      const options = { certificateLifetimeMs: CERTIFICATE_LIFETIME_MS, quarantineSeconds };
      await serveJoin(
        (request, from) => admit(joinDeps, request, from, options),
        { material, listenAddress: identity.listenAddress, port: identity.joinPort, logger: log },
        signal,
      );
      // First: what the engine's containers need of the host must not be missing from the first pass.
      await engineSide?.load();
      const running = await member.start(signal);
      // Last: nothing below throws, so it never fails without somebody to hear of it.
      const renewal = keepCertificate(
        {
          clock,
          pki,
          file,
          logger: log,
          renewed: () => lifecycle.restart('starting again with a renewed certificate'),
        },
        identity,
        { certificateLifetimeMs: CERTIFICATE_LIFETIME_MS },
        signal,
      );
      const knock = (host: string, port: number) => joinClient.probe(host, port, KNOCK_MS);
      const knocking = keepKnocking({ member, storeHosts: bundledHostsOf(identity.store), knock, clock }, signal);
      started = member;
      const following = addresses.keep(() => member.view.nodes(), signal);
      const tasks = [
        renewal,
        following,
        running.ended,
        knocking,
        firewall.run(signal),
        engineSide?.run(signal) ?? Promise.resolve(),
      ];
      ended = Promise.allSettled(tasks.map((task) => reportFailure(task, signal, log)));
    } catch (error) {
      quit.abort();
      store.close();
      throw error;
    }
    const quiesce = async () => {
      quit.abort();
      await ended;
    };
    return {
      member,
      store,
      identity,
      engineSide,
      firewallProblems: () => firewall.problems,
      storeStatus: () => store.status(),
      hostProblems: () => {
        const ofClock = clockProblem({ pki, clock }, identity);
        return ofClock === undefined ? addresses.problems : [...addresses.problems, ofClock];
      },
      storeAlarms: () => store.alarms(),
      quiesce,
      stop: async () => {
        await quiesce();
        store.close();
      },
    };
  }

  const lifecycle = new Lifecycle(
    {
      ...{ facts, pki, clock, random, file, etcd, openStore, logger, startMember },
      joinClient,
      clearHost: async () => {
        const engine = engineOf(quit.signal);
        if (engine) {
          await withdrawAll(engine, logger).catch(() => undefined);
          await removeForwarding(exec.run);
          await removeForwarding(exec.run, 6);
          await engineFile.remove();
        }
        await names.end();
        await clearHost(kernel);
        const saved = await stateFile.load().catch(() => undefined);
        for (const { container } of saved?.endpoints ?? []) await containers.configureResolver(container, []);
        await stateFile.remove();
      },
    },
    {
      joinPort: config.joinPort,
      gossipPort: config.gossipPort,
      dataPathPort: config.dataPathPort,
      agent: speech,
      certificateLifetimeMs: CERTIFICATE_LIFETIME_MS,
      quarantineSeconds,
    },
  );
  const startedAtMs = clock.now();
  const needs = new HostNeeds({
    probe: (wanted) => thread.ask('lacks', wanted),
    wanted: () => ({ ipv6: usesIpv6(lifecycle.current?.member.view) }),
    ...{ clock, logger },
  });
  const status = {
    ...{ version: VERSION, dataDir: config.dataDir, startedAtMs },
    rssBytes: () => process.memoryUsage.rss(),
    lacks: () => needs.problems,
  };
  const handlers = createHandlers({ lifecycle, pki, clock, random, logger, status }, { quarantineSeconds });
  const quit = new AbortController();
  const socketPath = join(config.runDir, 'overlayd.sock');
  const giveBackPlace = await beSoleAgent(config, { refuse: () => refuseSecond(socketPath), clock });
  await serveControl(handlers, { socketPath, logger }, quit.signal);
  const resumed = lifecycle.resume(quit.signal);
  const plugin =
    config.docker === 'on' &&
    (await servePlugin(
      { handlers: createDrivers({ lifecycle, clock, random, ready: resumed.attempted }), clock, logger },
      { socket: socketOf(sockets.get('docker'), config.dockerPluginSocket) },
      quit.signal,
    ));
  await resumed.attempted;
  void needs.run(quit.signal);
  return {
    describe: () => lifecycle.describe(),
    isHealthy: async () => {
      const client = createControlClient(socketPath);
      try {
        return (await client.getStatus({})).version === VERSION;
      } finally {
        client.close();
      }
    },
    stop: async () => {
      quit.abort();
      await resumed.ended;
      if (plugin) await plugin.ended;
      await lifecycle.stop();
      await stateFile.end();
      await thread.close();
      etcd.release();
      giveBackPlace();
    },
  };
}

/** A task of the member failed for good: a bug, or something that only a restart mends. The service manager restarts. */
async function reportFailure(task: Promise<void>, signal: AbortSignal, logger: Logger): Promise<void> {
  try {
    await task;
  } catch (error) {
    if (signal.aborted) return;
    logger.error({ error }, 'the agent cannot go on and ends; networks stay as they are');
    process.exitCode = 1;
    process.kill(process.pid, 'SIGTERM');
  }
}

function storeTarget(access: StoreAccess, material: TlsMaterial) {
  const { endpoints, caCertificate, certificate, key } = access;
  const secure = endpoints.some((endpoint) => endpoint.startsWith('https:'));
  const own = { ca: material.caCertificate, cert: material.certificate, key: material.key };
  if (!secure) return { endpoints };
  // A bundled etcd has the node's certificate, whatever address it is reached by.
  const tls = certificate === '' ? own : { ca: caCertificate, cert: certificate, key };
  const name = certificate === '' ? { targetName: 'etcd.overlayd' } : {};
  return { endpoints, tls, ...name };
}

/** Before etcd or a peer has told the whole table, and where it cannot be read, the cluster CA's signature has to do. */
function isMember(member: Member, nodeId: string, fingerprint: string): boolean {
  if (!member.view.isWhole) return true;
  const node = member.view.node(nodeId);
  if (node === undefined && member.view.unreadable.has(keys.node(nodeId))) return true;
  return node !== undefined && !node.left && node.keyFingerprint === fingerprint;
}

function recordOf(identity: Identity, keyFingerprint: string): NodeRecord {
  return {
    id: identity.nodeId,
    name: identity.name,
    advertiseAddress: identity.advertiseAddress,
    gossipPort: identity.gossipPort,
    joinPort: identity.joinPort,
    vtep: identity.vtep,
    dataPathPort: identity.dataPathPort,
    keyFingerprint,
    underlayMtu: 1_500,
    hostRoutes: [],
    labels: {},
    joinedAt: 0,
    left: false,
    ...(identity.store.bundled && { holdsStore: true }),
  };
}

function socketOf(fd: number | undefined, path: string) {
  return fd === undefined ? { path } : { fd };
}
