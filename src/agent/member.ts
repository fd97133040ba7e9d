/**
 * A node that is a member of a cluster: everything that runs between `join` and `leave`, over ports only, so that the
 * simulator runs the same. Inputs change the cluster state; what they touched is marked, and reconciler, responder and
 * housekeeping look at the state again. Nothing flows the other way.
 */
import type { ClusterView } from '../core/cluster-view.ts';
import { removedNode } from '../core/errors.ts';
import { FailureDetector, type Liveness } from '../core/failure-detector.ts';
import { type Found, found } from '../core/finding.ts';
import { isEncrypted } from '../core/network-options.ts';
import { encodeRecord } from '../core/record-codec.ts';
import { keys, type NodeRecord } from '../core/records.ts';
import { SILENT } from '../core/telemetry.ts';
import { gossipAddress } from '../core/wireguard/reach.ts';
import { AddressClaims } from './claims/address-claims.ts';
import { Releases } from './claims/releases.ts';
import { LevelWatch } from './cluster/level.ts';
import { MemberAddresses } from './cluster/member-addresses.ts';
import { liveRecord, measured, SelfRecord } from './cluster/self-record.ts';
import { Adoption } from './endpoints/adoption.ts';
import { releaseEnded } from './endpoints/claim-audit.ts';
import { Endpoints, type EndpointsDeps } from './endpoints/endpoints.ts';
import { LocalEndpoints } from './endpoints/local-endpoints.ts';
import { describeOwn, ownRecords, storeProblems } from './endpoints/own-holdings.ts';
import { EngineEndpoints } from './engine/endpoints.ts';
import { HiddenMembers } from './hidden-members.ts';
import { fullNetworks } from './host/full-networks.ts';
import { ReturnWays } from './host/return-ways.ts';
import { Housekeeping } from './housekeeping.ts';
import { keepSaved } from './keep-saved.ts';
import type { MemberOptions, MemberPorts } from './member-ports.ts';
import { NameService } from './names/name-service.ts';
import { Networks } from './networks/networks.ts';
import { Reconciler } from './reconcile/reconcile.ts';
import { ClusterState, type StateChange } from './view/cluster-state.ts';
import { type Commit, committing } from './view/commit.ts';
import { Complaints } from './view/complaints.ts';
import { Gossip } from './view/gossip.ts';
import { StoreWatch } from './view/store-watch.ts';
import { unreadableProblems } from './view/unreadable.ts';
import { gossipOf, openTunnels } from './wireguard/open-tunnels.ts';
import type { Tunnels } from './wireguard/tunnels.ts';

/** What an engine's calls wait for together; one alone is not waited for any longer either. */
const STORE_AWAITED_MS = 12_000;

export class Member {
  readonly commit: Commit;
  readonly networks: Networks;
  readonly endpoints: Endpoints;
  readonly engineEndpoints: EngineEndpoints;
  readonly claims: AddressClaims;
  readonly local: LocalEndpoints;
  readonly releases: Releases;
  readonly reconciler: Reconciler;
  readonly returnWays: ReturnWays;
  readonly wireguard: Tunnels;
  /** Set by `start`: later than that of any run before. */
  startedAt = 0;
  readonly #ports: MemberPorts;
  readonly #options: MemberOptions;
  readonly state: ClusterState;
  readonly #complaints: Complaints;
  readonly #watch: StoreWatch;
  readonly gossip: Pick<Gossip, 'serve' | 'run' | 'clockProblem' | 'sayFarewell'>;
  readonly #detector: FailureDetector;
  readonly #names: NameService;
  readonly #housekeeping: Housekeeping;
  readonly #selfRecord: SelfRecord;
  readonly #level: LevelWatch;
  readonly #addresses = new MemberAddresses();
  readonly #hidden: HiddenMembers;
  readonly #adoption: Adoption;
  #serviceAddress = false;
  #beganAt = 0;
  /** As its own files have it, and the host. */
  #self: NodeRecord;

  constructor(ports: MemberPorts, options: MemberOptions) {
    const { clock, containers, logger, random, stateFile, store, telemetry = SILENT, transport } = ports;
    const selfId = options.self.id;
    this.#ports = ports;
    this.#options = options;
    this.#self = options.self;
    const complaints = new Complaints({
      ...{ clock, logger, view: () => state.view },
      nameOf: (nodeId) => state.view.node(nodeId)?.name ?? nodeId.slice(0, 12),
      ownOf: (key) => describeOwn(key, selfId, this.local),
    });
    this.#complaints = complaints;
    const state = new ClusterState({
      ...{ selfId, clock, logger },
      own: {
        records: () => ownRecords(this.#self, options.knownNodes ?? [], this.local),
        hasEndpoint: (networkId, address) => this.local.hasAddress(networkId, address),
        isOnNetwork: (networkId) => this.local.isOnNetwork(networkId),
      },
      onChange: (change) => this.#onChange(change),
      onRefuted: (refuted) => complaints.refuted(refuted),
      onNonsense: (from, what) => complaints.nonsense(from, what),
    });
    this.state = state;
    this.local = new LocalEndpoints({
      ...{ stateFile, clock, network: (id) => state.view.network(id), store: () => state.memory },
      mayGoOn: (memory) => this.#level.require(memory),
      onChange: (networkId) => {
        this.#names.invalidateClients();
        this.#housekeeping.noteLocalChange(networkId);
      },
    });
    const remember = () => this.local.save();
    this.#level = new LevelWatch({ store, state, remember, onUnspoken: ports.onUnspoken }, options.agent);
    this.#hidden = new HiddenMembers({ logger, liveness: (nodeId) => this.liveness(nodeId) });
    this.#adoption = new Adoption({ local: this.local, kernel: ports.kernel, view: state.view, logger }, { selfId });
    this.#detector = new FailureDetector({ selfId, intervalMs: options.gossipIntervalMs });
    this.#watch = new StoreWatch({
      ...{ store, state, logger, ...ports.storePlaces },
      onStalled: ports.onStoreStalled,
      onConnected: () => this.#housekeeping.wake(),
    });
    const gossip = new Gossip(
      {
        ...{ transport, state, detector: this.#detector, clock, random, logger, ...ports.storePlaces },
        isHidden: (nodeId) => this.#hidden.ids.has(nodeId),
        addressOf: (node) => gossipAddress(this.self, node, this.wireguard.outside.passes(node.id)),
        ...gossipOf(() => this.wireguard.outside),
        onInterval: () => {
          state.tidy();
          if (state.view.behind) this.#housekeeping.wake();
          this.#updateHidden();
        },
      },
      { selfId, intervalMs: options.gossipIntervalMs },
    );
    this.gossip = gossip;
    const commit = committing({ store, learn: (all) => state.learn(all), push: (all) => gossip.push(all) });
    this.commit = commit;
    const { quarantineSeconds, keyLifetimeMs, wireguardPort: basePort } = options;
    const answers = (nodeId: string) => this.liveness(nodeId) === 'ready';
    const mayAct = () => !this.removed && this.#level.isSpoken;
    this.wireguard = openTunnels(
      ports.tunnels,
      {
        ...{ view: state.view, clock, random, logger, mayAct, answers, clockMemory: this.local.clock },
        onMade: () => this.reconciler.markDirty('all'),
        onOffer: () => this.#selfRecord.markChanged(),
        propose: (nodeId, ms) => gossip.propose(nodeId, ms),
      },
      { selfId, basePort, keyLifetimeMs, storePort: options.bundledStore?.()?.port },
    );
    this.#selfRecord = new SelfRecord(
      {
        ...{ store, commit, state, facts: ports.facts, clock, onChange: () => this.#housekeeping.wake() },
        ...{ addressProblem: () => ports.addressProblem?.(), trust: () => ports.trust?.() },
        ...{ ownOffer: this.wireguard.keys, storeOffer: ports.storeOffer },
      },
      options,
    );
    this.releases = new Releases({ store, commit, state, clock, logger }, { selfId, quarantineSeconds });
    this.reconciler = new Reconciler(
      {
        ...{ kernel: ports.kernel, view: () => state.view, self: () => this.self, letGo: ports.letGo },
        local: () => this.local.all(),
        released: () => this.endpoints.releasedEarly,
        ...{ store: () => options.bundledStore?.(), clock, logger, telemetry },
        ...{ hidden: () => this.#hidden.ids, publications: () => this.local.publications },
        ...{ serviceAddress: () => this.#serviceAddress, onHostChange: () => this.noteHostChange() },
        onGone: (endpoints) => this.endpoints.drop(endpoints, 'its container is gone'),
        onLost: (networkId) => this.#names.release(networkId),
        onRemoved: (namespace) => this.#names.release(undefined, `/run/netns/${namespace}`),
        onComing: (networkId, made) => this.#names.coming(networkId, made),
        onApplied: (networkId) => this.#names.applied(networkId),
      },
      { auditIntervalMs: options.auditIntervalMs },
    );
    this.returnWays = new ReturnWays({ ...ports, view: state.view, local: this.local, made: this.reconciler });
    this.#names = new NameService(
      {
        ...{ selfId, view: state.view, local: this.local, process: ports.names, clock, containers },
        serviceAddress: () => this.#serviceAddress,
        hidden: () => this.#hidden.ids,
        learnWays: (networkId) => this.reconciler.converge(networkId, { waysAlone: true }),
        reachesAll: (id) => this.reconciler.ways.reachesAll(id, state.view.momentOfOthers(id)),
        reaches: ({ nodeId, networkId }, ip) => nodeId === selfId || this.reconciler.ways.reaches(networkId, ip),
      },
      { ttlSeconds: options.dnsTtlSeconds, inside: options.namesInside },
    );
    const canEncrypt = () => this.wireguard.canRun();
    this.networks = new Networks(
      {
        ...{ store, commit, state, clock, random, logger, canEncrypt },
        tearDown: (networkId, signal) => this.reconciler.converge(networkId, { signal }),
      },
      { selfId },
    );
    this.claims = new AddressClaims(
      { store, commit, state, clock, random, logger, releases: this.releases },
      { selfId, quarantineSeconds },
    );
    const dataPath: EndpointsDeps['dataPath'] = {
      canEncrypt,
      expect: (networkId) => this.reconciler.expect(networkId),
      inside: (path) => ports.kernel.inside(path),
      converge: async (endpoint, inside) => {
        const { networkId } = endpoint.record;
        const network = state.view.network(networkId);
        if (network && isEncrypted(network)) await this.wireguard.ready();
        await this.reconciler.converge(networkId, { endpoint, inside });
      },
    };
    const names = this.#names;
    this.endpoints = new Endpoints(
      {
        ...{ state, containers, logger, telemetry, dataPath, names },
        ...{ networks: this.networks, claims: this.claims, releases: this.releases, local: this.local },
      },
      { selfId },
    );
    this.engineEndpoints = new EngineEndpoints({
      ...{ selfId, state, store, commit, containers, dataPath, kernel: ports.kernel, names, clock, logger },
      storeAway: () => this.storeState === 'away',
      onFormerLeft: () => this.#housekeeping.wake(),
      ...{ claims: this.claims, releases: this.releases, local: this.local, endpoints: this.endpoints },
    });
    this.#housekeeping = new Housekeeping(
      {
        ...{ store, commit, state, clock, random, logger, mayAct, claims: this.claims, local: this.local },
        ...{ engineEndpoints: this.engineEndpoints, networks: this.networks, selfRecord: this.#selfRecord },
        ...{ releases: this.releases, liveness: (nodeId: string) => this.liveness(nodeId) },
        drop: (endpoints, reason) => this.endpoints.drop(endpoints, reason),
      },
      { selfId, agent: options.agent, quarantineSeconds },
    );
  }

  get names(): Pick<NameService, 'audit' | 'ensure' | 'problems'> {
    return this.#names;
  }

  get view(): ClusterView {
    return this.state.view;
  }

  /** As it is listed, but for its addresses: what it has itself is newer. */
  get self(): NodeRecord {
    const self = this.#self;
    const listed = this.state.view.node(self.id);
    return listed ? { ...listed, advertiseAddress: self.advertiseAddress, vtep: self.vtep } : self;
  }

  /** True when etcd last said that it does not list this node, or as one that has left: who was removed is refused from then on. */
  get removed(): boolean {
    const { id } = this.#options.self;
    const node = this.view.node(id);
    if (this.view.unreadable.has(keys.node(id))) return false;
    return this.#watch.heard && this.view.provesAbsence && (node === undefined || node.left);
  }

  get findings(): readonly Found[] {
    return [
      ...found('store-behind', storeProblems(this.#watch, this.state, this.local, this.#options.self.id)),
      ...found('record-disputed', this.#complaints.problems()),
      ...found('record-unreadable', unreadableProblems(this.view, this.#options.agent)),
      ...fullNetworks(this.view, this.local),
      ...found('service-missing', this.#housekeeping.problems),
      ...found('tunnel-failed', this.wireguard.problems()),
    ];
  }

  /** Something about the host changed that its record is made of. */
  noteHostChange(): void {
    this.#selfRecord.markChanged();
    this.#ports.onHostChange?.();
    void this.returnWays.problems();
  }

  get storeConnected(): boolean {
    return this.#watch.connected;
  }

  /**
   * Whether etcd has answered since the start (`heard`), may be about to, or is away: from then on nobody waits for it
   * any more, as an engine that boots has us asked for one container after the other and serves nobody before it is through.
   */
  get storeState(): 'heard' | 'awaited' | 'away' {
    if (this.#watch.heard) return 'heard';
    return this.#ports.clock.elapsed() - this.#beganAt < STORE_AWAITED_MS ? 'awaited' : 'away';
  }

  liveness(nodeId: string): Liveness {
    const leaseGone = this.#watch.connected && this.view.isWhole && this.view.live(nodeId) === undefined;
    return this.#detector.liveness(nodeId, leaseGone, this.#ports.clock.elapsed());
  }

  get hearsNobody(): boolean {
    return this.#detector.hearsNobody(this.#ports.clock.elapsed());
  }

  heardAgoMs(nodeId: string): number | undefined {
    return this.#detector.heardAgoMs(nodeId, this.#ports.clock.elapsed());
  }

  /** All records that this node knows, and of which life of the store they are. */
  get table(): Pick<ClusterState, 'records' | 'epoch' | 'height' | 'followed'> {
    return this.state;
  }

  /**
   * Starts all tasks; they end when the signal aborts, and what is in the kernel stays there. Resolves when peers are
   * answered; `ended` resolves when everything has stopped, and rejects when a task failed for good.
   */
  async start(signal: AbortSignal): Promise<{ readonly ended: Promise<void> }> {
    const { answersProbes, clock, containers, facts, store, logger } = this.#ports;
    this.#beganAt = clock.elapsed();
    const [bootId, self] = await Promise.all([facts.bootId(), measured(facts, this.#options.self)]);
    this.#self = self;
    const { ended, startedAt, store: memory } = await this.local.load(bootId);
    this.startedAt = startedAt;
    await Promise.all([this.#adoption.begin(), this.wireguard.begin()]);
    this.#detector.begin(startedAt);
    this.state.begin(memory ?? (this.local.unreadable === undefined ? { height: 0, behind: false } : undefined));
    await Promise.all([this.gossip.serve(signal), this.#names.open(signal)]);
    const { endpoints, local, releases } = this;
    await releaseEnded({ containers, endpoints, local, logger, releases }, ended);
    this.reconciler.markDirty('all');
    const live = encodeRecord(liveRecord({ nodeId: self.id, bootId, startedAt: this.startedAt }, answersProbes));
    const tasks = [
      ...[this.#watch.run(signal), this.gossip.run(signal), this.#names.run()],
      ...[this.reconciler.run(signal), this.releases.run(signal)],
      store.keepLive(keys.live(self.id), live, this.#options.leaseSeconds, signal),
      keepSaved({ saved: this.local, clock, logger }, signal),
      ...[this.#housekeeping.run(signal), this.#selfRecord.watch(signal), this.wireguard.run(signal)],
    ];
    return { ended: this.#end(tasks, signal) };
  }

  async #end(tasks: readonly Promise<void>[], signal: AbortSignal): Promise<void> {
    try {
      await Promise.all(tasks);
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      await Promise.allSettled(tasks);
    }
  }

  /**
   * From now on names are answered at the service address too: in every network, and on the host. Before `start` it
   * leaves what an earlier run made as it is. Idempotent.
   */
  useServiceAddress(): void {
    if (this.#serviceAddress) return;
    this.#serviceAddress = true;
    this.reconciler.markDirty('all');
  }

  #onChange(change: StateChange): void {
    this.#level.look();
    this.#complaints.look();
    if (change.becameWhole || change.nodes || change.live) this.#ports.onMembers?.();
    if (change.becameWhole) this.#adoption.finish();
    if (change.becameWhole || change.nodes) {
      this.reconciler.markDirty('all');
      this.#names.invalidate('all');
      this.#selfRecord.markChanged();
      this.#ports.onHostChange?.();
      for (const change of this.#addresses.changes(this.view.nodes(), this.#options.self.id)) {
        this.#ports.logger.info({ event: 'member-moved', ...change }, "a member's address changed");
      }
    } else {
      for (const id of new Set([...change.networks, ...change.endpoints.keys()])) {
        this.#names.invalidate(id);
        // Own endpoints get into the kernel by the command that makes them, not by its echo.
        const own = [...(change.endpoints.get(id) ?? [])].every((nodeId) => nodeId === this.#options.self.id);
        if (!own || change.networks.has(id) || this.view.services(id)) this.reconciler.markDirty(id);
      }
    }
    if (change.becameWhole || change.nodes || change.networks.size > 0) this.wireguard.mark();
    if (change.networks.size > 0) this.#names.invalidateCluster();
    if (change.becameWhole) this.#names.becameWhole();
    if (change.becameWhole || change.networks.size > 0) this.#ports.onNetworks?.();
    if (change.live || change.nodes) this.#updateHidden();
    if (change.nodes && this.removed) {
      this.#ports.logger.warn({}, removedNode().message);
    }
    this.#housekeeping.wake();
  }

  #updateHidden(): void {
    if (!this.#hidden.update(this.view.nodes())) return;
    this.#names.invalidate('all');
    for (const { id } of this.view.networks()) if (this.view.services(id)) this.reconciler.markDirty(id);
    if (this.local.publications.length > 0) this.reconciler.markDirty('host');
  }
}
