/**
 * The one place that builds and joins everything. Start: log, files, control socket, then (as a member) etcd's client,
 * peers, reconciler, join server. Stop: the reverse; the kernel, the bundled etcd and all forwarding stay.
 */
import { join } from 'node:path';
import { hostNameServers } from './adapters/dns/name-servers.ts';
import { NamesKeeper } from './adapters/dns/process/keeper.ts';
import { daemonNameServers } from './adapters/docker/daemon-file.ts';
import { createEngine } from './adapters/docker/engine.ts';
import { hasLegacyRules } from './adapters/docker/forwarding.ts';
import { mendHostsFile } from './adapters/docker/hosts-file.ts';
import { createBundledEtcd } from './adapters/etcd/server.ts';
import { createEtcdStore } from './adapters/etcd/store.ts';
import type { Exec } from './adapters/exec.ts';
import { createControlClient } from './adapters/grpc/control.ts';
import { refuseSecond, serveControl } from './adapters/grpc/control-server.ts';
import { createJoinClient } from './adapters/grpc/join-client.ts';
import { type JoinServer, serveJoin } from './adapters/grpc/join-server.ts';
import { GrpcPeerTransport } from './adapters/grpc/peer.ts';
import { createControlWays } from './adapters/kernel/control-way.ts';
import { createKernel } from './adapters/kernel/kernel.ts';
import { KernelThread } from './adapters/kernel/kernel-thread.ts';
import { wireguardJobs } from './adapters/kernel/wireguard-jobs.ts';
import { packing } from './adapters/packing.ts';
import { createPki } from './adapters/pki/pki.ts';
import { beSoleAgent } from './adapters/sole-agent.ts';
import { createHostFacts } from './adapters/system/host-facts.ts';
import { endLooseSleeps, systemClock, systemRandom } from './adapters/system/time.ts';
import { makeKeyPair } from './adapters/wireguard/own-keys.ts';
import { openRelay } from './adapters/wireguard/relay.ts';
import { createWireguard } from './adapters/wireguard/wireguard.ts';
import { Attachments } from './agent/attachments/attachments.ts';
import { AddressWatch } from './agent/cluster/address-watch.ts';
import { type Identity, joinMaterialOf, recordOf, tlsMaterialOf, wireguardPortOf } from './agent/cluster/identity.ts';
import { KeeperCalls } from './agent/cluster/keeper-calls.ts';
import { insist } from './agent/cluster/level.ts';
import { OwnIdentity } from './agent/cluster/own-identity.ts';
import { CERTIFICATE_LIFETIME_MS, withValidCertificate } from './agent/cluster/renewal.ts';
import { bundledStoreOf, type OpenStore } from './agent/cluster/store-access.ts';
import { KeptState } from './agent/endpoints/kept-state.ts';
import { EngineSide } from './agent/engine/engine-side.ts';
import { Lifecycle, type Membership } from './agent/lifecycle.ts';
import { Member } from './agent/member.ts';
import { storePlaces } from './agent/store/places.ts';
import { StoreSide } from './agent/store/store-side.ts';
import { StoreWork } from './agent/store-work.ts';
import { clearThisHost } from './compose-clear.ts';
import { composeContainers } from './compose-containers.ts';
import { composeDrift } from './compose-drift.ts';
import { allowForwardingOf } from './compose-engine.ts';
import { composeEvents } from './compose-events.ts';
import { composeExpose } from './compose-expose.ts';
import { agentFiles } from './compose-files.ts';
import { openFrontDoors } from './compose-front-doors.ts';
import { composeKeeper } from './compose-keeper.ts';
import { composeCertification, isCertified, isListed, isMember, joinPortsOf, reportFailure } from './compose-member.ts';
import { composePodman, withdrawalFromPodman } from './compose-podman.ts';
import { composeReport } from './compose-report.ts';
import { storeTarget } from './compose-store.ts';
import { composeSurroundings, type Surroundings } from './compose-surroundings.ts';
import { composeTelemetry } from './compose-telemetry.ts';
import type { Config } from './core/config/option.ts';
import { keepersOf, saidOf } from './core/keepers.ts';
import { type AgentVersion, levelOf, SPOKEN_LEVELS, STORE_LEVEL } from './core/levels.ts';
import type { LevelRange } from './core/records.ts';
import { CLIENT_PORT, PEER_PORT } from './core/store-members.ts';
import { gossipAddress } from './core/wireguard/reach.ts';
import { createHandlers } from './integrations/control/handlers.ts';
import type { Logger } from './ports/runtime.ts';
import { VERSION } from './version.ts';

/** Programs beside the agent's own, as source or bundled. */
export interface ProgramPaths {
  readonly kernelWorker: string;
  readonly names: string;
}

/** Where the Docker daemon looks for its configuration unless it is told otherwise. */
const DAEMON_FILE = '/etc/docker/daemon.json';

export interface Agent {
  /** What is an event there is one of this host. */
  readonly logger: Logger;
  /** What the service manager is told. */
  describe(): string;
  /** Whether a command would be answered now: asked the way a command asks. */
  isHealthy(): Promise<boolean>;
  /** `isBackSoon`: other members are told so, and await it. */
  stop(how: { readonly isBackSoon: boolean }): Promise<void>;
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
  const { exec, levels = SPOKEN_LEVELS } = deps;
  const speech: AgentVersion = { version: VERSION, levels };
  const clock = systemClock;
  const events = composeEvents(config, clock, deps.logger);
  const { logger } = events;
  const watched = await composeTelemetry(config, logger);
  const { telemetry } = watched;
  const drift = composeDrift({ events, clock, lifecycle: () => lifecycle });
  const random = systemRandom;
  const pki = createPki();
  const joinClient = createJoinClient(clock);
  const { containers, incusSideOf } = composeContainers(config, { exec, clock });
  const thread = new KernelThread({ workerPath: programs.kernelWorker, telemetry });
  const nameServers = hostNameServers();
  const facts = createHostFacts({
    routing: (question) => thread.ask('routing', question),
    nameServers: async () => nameServers(),
  });
  const kernel = createKernel({
    ...{ thread, isAlive: (container) => containers.isAlive(container) },
    onFirewallChange: () => lifecycle.current?.engineSide?.firewallChanged(),
  });
  const files = agentFiles(config);
  const { identity: file, engine: engineFile } = files;
  const stateFile = new KeptState({ ...files.state, clock });
  const etcd = createBundledEtcd({ run: exec.run, logger, clock }, { dataDir: config.dataDir });
  const engineOf = (signal: AbortSignal) =>
    config.docker === 'on' ? createEngine({ clock }, { socketPath: config.dockerSocket }, signal) : undefined;
  const names = new NamesKeeper(
    { run: exec.run, clock, logger },
    { socketPath: join(config.runDir, 'names.sock'), programPath: programs.names, nodePath: process.execPath },
  );
  const wireguard = createWireguard({ run: exec.run, clock, logger, kernel: wireguardJobs(thread) }, config);
  const { quarantineSeconds } = config;
  const openStore: OpenStore = (access, material) => {
    const store = createEtcdStore({ logger, clock }, storeTarget(access, material));
    return { store, close: () => store.close() };
  };

  async function startMember(saved: Identity, former?: Membership): Promise<Membership> {
    const log = logger.child({ node: saved.name });
    const quit = new AbortController();
    const { signal } = quit;
    const own = new OwnIdentity(file, saved);
    let started: Member | undefined;
    const addresses = new AddressWatch({
      ...{ facts, clock, own, logger: log, hasBooted: () => files.hasBooted(facts), name: () => started?.self.name },
      onProblems: () => started?.noteHostChange(),
      moved: (why) => lifecycle.restart(why),
    });
    const options = { certificateLifetimeMs: CERTIFICATE_LIFETIME_MS, quarantineSeconds };
    await addresses.settle(signal);
    const identity = await withValidCertificate({ clock, pki, own, logger: log }, options);
    const material = tlsMaterialOf(identity);
    const store = createEtcdStore({ logger: log, clock, telemetry }, storeTarget(identity.store, material));
    const { keeper, userKeeping } = composeKeeper(
      {
        ...{ store, own, pki, clock, random, logger: log, agent: speech },
        ...{ member: () => member, storeSide: () => storeSide, storeWork },
        rotateCa: () => certification.rotate(),
        onRevoked: (serials) => certification.revoke(serials),
        cutOff: (addresses) => thread.ask('endConnections', { ports: [CLIENT_PORT, PEER_PORT], addresses }),
      },
      options,
    );
    const transport = new GrpcPeerTransport(
      {
        ...{ clock, pki, logger: log, keeper, members: drift.members },
        isMember: (nodeId, fingerprint) => isMember(member, nodeId, fingerprint),
        onHeard: endLooseSleeps,
      },
      { nodeId: identity.nodeId, material, listenAddress: identity.listenAddress, port: identity.gossipPort },
    );
    const places = storePlaces({ own, store, openStore, etcd, clock, logger: log, lifecycle }, () => member);
    const member: Member = new Member(
      {
        ...{ store, transport, kernel, containers, facts, stateFile, telemetry, clock, random, logger: log },
        onStoreStalled: () => {
          if (own.current.store.bundled)
            void etcd.check().catch((error: unknown) => log.warn({ error }, 'etcd not restarted'));
        },
        onNetworks: () => engineSide?.networks.sync(),
        onHostChange: () => {
          addresses.look();
          storeSide.look();
          userKeeping.look();
        },
        letGo: (namespaces) => around.networkPaths.letGo(namespaces),
        storeOffer: () => storeSide.offer(),
        answersProbes: true,
        onMembers: () => certification.look(),
        trust: () => certification.trust,
        addressProblem: () => addresses.problems[0],
        storePlaces: places,
        onUnspoken: (why) => void insist(() => lifecycle.restart(why), { clock, signal }),
        names,
        tunnels: { wireguard, keyFile: files.keys, makeKeyPair, ways: createControlWays(thread), openRelay },
      },
      {
        self: recordOf(identity, pki.fingerprint(identity.key)),
        agent: speech,
        storeEndpoints: identity.store.endpoints,
        knownNodes: former ? [...former.member.view.nodes()] : [],
        gossipIntervalMs: config.gossipIntervalMs,
        leaseSeconds: config.leaseTtlSeconds,
        quarantineSeconds,
        ...{ dnsTtlSeconds: config.dnsTtlSeconds, namesInside: config.dockerNames === 'direct' },
        auditIntervalMs: config.auditIntervalMs,
        wireguardPort: wireguardPortOf(identity),
        keyLifetimeMs: config.wireguardKeyLifetimeMs,
        bundledStore: () => bundledStoreOf(own.current.store),
      },
    );
    const keepers = new KeeperCalls({
      ...{ selfId: identity.nodeId, transport, own: keeper, hasCaKey: () => own.current.caKey !== undefined },
      keepers: () => keepersOf(member.view.nodes(), saidOf(member.view)),
      // Before it is known nothing is done here that may be a keeper's alone.
      level: () => (member.view.cluster() ? levelOf(member.view) : STORE_LEVEL),
      liveness: (nodeId) => member.liveness(nodeId),
      addressOf: (node) => gossipAddress(member.self, node, member.wireguard.outside.passes(node.id)),
    });
    const storeSide: StoreSide = new StoreSide(
      {
        ...{ member, own, store, etcd, keepers, clock, logger: log },
        setEndpoints: (urls) => store.setEndpoints(urls),
        membership: { ...store.membership, ...store.maintenance },
        onChange: () => member.reconciler.markDirty('all'),
        trust: (node) => userKeeping.trust(node),
        isCertified: () => isCertified(pki, own.current, member),
      },
      { replaceAfterMs: config.storeReplaceAfterMs },
    );
    const joining: { server?: JoinServer } = {};
    const certification = composeCertification(
      { own, pki, clock, random, keepers, logger: log, member, transport, store, etcd, joining, storeSide },
      identity,
      options,
    );
    const engine = engineOf(signal);
    const engineSide: EngineSide | undefined =
      engine &&
      new EngineSide({
        ...{ engine, file: engineFile, member, clock, logger: log },
        allowForwarding: () => allowForwardingOf(member.view.networks(), { exec, thread }),
        hasSilentRules: hasLegacyRules,
        ...{ nameServers: () => daemonNameServers(DAEMON_FILE), namesInside: config.dockerNames === 'direct' },
        mendHosts: mendHostsFile,
      });
    const around: Surroundings = composeSurroundings(
      { thread, exec, kernel, pki, own, addresses, member, joinClient, clock, random, logger: log },
      ...([identity, options, signal] as const),
    );
    let ended: Promise<unknown>;
    try {
      joining.server = await serveJoin(
        (request, from) => keepers.ask('admit', { request, from }),
        {
          material: joinMaterialOf(identity),
          listenAddress: identity.listenAddress,
          port: identity.joinPort,
          keepers: () => joinPortsOf(member),
          isMember: (nodeId) => isListed(member, nodeId),
          logger: log,
        },
        signal,
      );
      // First: what the engine's containers need of the host must not be missing from the first pass.
      await engineSide?.load();
      const running = await member.start(signal);
      events.reachBy({ member, transport }, signal);
      // Last: nothing below throws, so it never fails without somebody to hear of it.
      started = member;
      const following = addresses.keep(() => (storeSide.isFollowing ? [] : member.view.nodes()), signal);
      const tasks = [
        certification.run(signal),
        following,
        running.ended,
        storeSide.run(signal),
        places.run(signal),
        userKeeping.run(signal),
        around.run(),
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
      ...{ member, store, own, keepers, certification, engineSide, storeSide },
      get identity() {
        return own.current;
      },
      ...around,
      storeStatus: () => store.status(),
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
      ...{ facts, pki, clock, random, file, etcd, openStore, logger, joinClient, wireguard },
      // What runs from then on is no part of the request that began it.
      startMember: (...of) => telemetry.within(undefined, () => startMember(...of)),
      clearHost: () =>
        clearThisHost({
          ...{ exec, logger, kernel, containers, wireguard, names, stateFile, files, events: events.log },
          engine: () => engineOf(quit.signal),
          withdrawFromPodman: withdrawalFromPodman(config, logger),
        }),
    },
    {
      ...{ joinPort: config.joinPort, gossipPort: config.gossipPort },
      ...{ dataPathPort: config.dataPathPort, wireguardPort: config.wireguardPort },
      ...{ agent: speech, certificateLifetimeMs: CERTIFICATE_LIFETIME_MS, quarantineSeconds },
    },
  );
  const storeWork = new StoreWork({ agent: speech, etcd, openStore, pki, clock, random, packing, lifecycle });
  const attachments = new Attachments({ member: () => lifecycle.require().member, containers });
  const member = () => lifecycle.current?.member;
  const podman = composePodman({ config, attachments, clock, logger, member });
  const incusSide = incusSideOf({ attachments, clock, logger, member });
  const { run, report, doctor } = composeReport(
    {
      ...{ lifecycle, offers: podman.side.offers, incusSide, thread, kernel, joinClient, clock, logger },
      metricsProblems: watched.problems,
    },
    ...([config, { quarantineSeconds }] as const),
  );
  const status = {
    ...{ version: VERSION, dataDir: config.dataDir, startedAtMs: clock.now() },
    rssBytes: () => process.memoryUsage.rss(),
  };
  const quit = new AbortController();
  const offered = () => podman.side.offers.compare(quit.signal);
  const handlers = createHandlers(
    {
      ...{ lifecycle, pki, clock, random, logger, status, report, doctor, facts, storeWork, offered },
      ...{ events: events.cluster, drift: drift.cluster, looks: drift.looks, incus: incusSide },
      exposing: composeExpose({ exec, lifecycle, facts, clock, logger }, quit.signal),
    },
    { quarantineSeconds },
  );
  const socketPath = join(config.runDir, 'overlayd.sock');
  const giveBackPlace = await beSoleAgent(config, { refuse: () => refuseSecond(socketPath), clock });
  await events.log.load();
  const ready = (method: string) => (method === 'getStatus' ? lifecycle.looked() : lifecycle.started());
  await serveControl(handlers, { socketPath, logger, ready, telemetry }, quit.signal);
  const resumed = lifecycle.resume(quit.signal);
  const frontDoors = await openFrontDoors(
    {
      ...{ config, sockets, lifecycle, attachments, podman: podman.side, containers, facts, kernel, clock, random },
      ...{ logger, telemetry, ready: resumed.attempted },
    },
    quit.signal,
  );
  const metricsEnded = watched.serve({ report, names, events: events.counts, pki, clock, logger }, quit.signal);
  await resumed.attempted;
  void run(quit.signal);
  const toolsEnded = Promise.all([podman.side.run(quit.signal), incusSide.run(quit.signal)]);
  return {
    logger,
    describe: () => lifecycle.describe(),
    isHealthy: async () => {
      const client = createControlClient(socketPath);
      try {
        return (await client.getStatus({})).version === VERSION;
      } finally {
        client.close();
      }
    },
    stop: async ({ isBackSoon }) => {
      if (isBackSoon) await lifecycle.current?.member.gossip.sayFarewell();
      quit.abort();
      await resumed.ended;
      await Promise.all([frontDoors.ended, toolsEnded, metricsEnded]);
      await lifecycle.stop();
      await stateFile.end();
      await thread.close();
      etcd.release();
      await events.log.end();
      await watched.end();
      giveBackPlace();
    },
  };
}
