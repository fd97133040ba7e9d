/**
 * Hosts that keep a store, with nothing else on them: real keepers over the real view, etcd's members in memory. Time passes only
 * when told to. A host's agent can be killed at any line (`crashAfter`), its etcd killed, frozen, removed.
 */
import type { Identity, IdentityState } from '../../src/agent/cluster/identity.ts';
import { OwnIdentity } from '../../src/agent/cluster/own-identity.ts';
import { StoreKeeping } from '../../src/agent/store/keeping.ts';
import { OwnMember } from '../../src/agent/store/own-member.ts';
import { recordWish } from '../../src/agent/store/wish-record.ts';
import { StoreWishes } from '../../src/agent/store/wishes.ts';
import { ClusterState } from '../../src/agent/view/cluster-state.ts';
import { committing } from '../../src/agent/view/commit.ts';
import { StoreWatch } from '../../src/agent/view/store-watch.ts';
import { OverlaydError } from '../../src/core/errors.ts';
import { encodeRecord } from '../../src/core/record-codec.ts';
import { type KeepersRecord, keys, type NodeRecord } from '../../src/core/records.ts';
import { clientUrlOf } from '../../src/core/store-members.ts';
import type { StoreMaintenance, StoreMemberStatus, StoreMembership } from '../../src/ports/store.ts';
import { foundedRecord, nodeRecord } from '../fixtures/records.ts';
import { FakeFile } from './fake-file.ts';
import { MemoryMembers, type MemoryServer } from './memory-members.ts';
import { MemoryEtcd, type MemoryStore } from './memory-store.ts';
import { type Life, mortal } from './mortal.ts';
import { silent } from './simulated-cluster.ts';
import { VirtualClock } from './virtual-clock.ts';

const REPLACE_MS = 600_000;
const REACH_MS = 100;
/** So often a host that does not reach the store hears where it is. */
const GOSSIP_MS = 3_000;

export class StoreHosts {
  readonly clock = new VirtualClock();
  readonly etcd = new MemoryEtcd({ clock: this.clock });
  readonly members = new MemoryMembers(this.etcd);
  readonly hosts: StoreHost[] = [];

  /** A cluster whose store is on its first host. */
  async found(wanted: number): Promise<StoreHost> {
    const record = foundedRecord(4, this.clock.now());
    this.etcd.txn([], [{ kind: 'put', key: keys.cluster, value: encodeRecord({ ...record, storeMembers: wanted }) }]);
    void this.#watchReach();
    void this.#gossip();
    const first = this.#make();
    first.file.content = first.identity([clientUrlOf(first.record)], true);
    await this.clock.until(first.server.ensure({ ...first.etcdSettings, begin: 'alone' }).then(() => undefined));
    const nodeIds = [first.record.id];
    this.etcd.txn([], [{ kind: 'put', key: keys.storeKeepers, value: encodeRecord({ nodeIds }) }]);
    await this.#admit(first);
    return first;
  }

  /** `before`: what is so with the host before it joins. */
  async join(before?: (host: StoreHost) => void): Promise<StoreHost> {
    const host = this.#make();
    before?.(host);
    const { nodeIds } = this.keepers;
    const endpoints = this.hosts
      .filter(({ record }) => nodeIds.includes(record.id))
      .map((each) => clientUrlOf(each.record));
    host.file.content = host.identity(endpoints, false);
    await this.#admit(host);
    return host;
  }

  /** As etcd has it, whoever can be asked. */
  get keepers(): Pick<KeepersRecord, 'nodeIds' | 'learners' | 'demoted'> {
    return JSON.parse(this.etcd.entries(keys.storeKeepers)[0]?.value ?? '{"nodeIds":[]}');
  }

  /** `h1 h2 (h3)`: who votes, and who has a copy, by etcd's word and by the record alike. */
  get shown(): string {
    const nameOf = (id: string) => this.hosts.find(({ record }) => record.id === id)?.record.name ?? `?${id}`;
    const ofEtcd = this.members.all.map(({ name, isLearner }) => (isLearner ? `(${nameOf(name)})` : nameOf(name)));
    const { nodeIds, learners = [] } = this.keepers;
    const ofRecord = [...nodeIds.map(nameOf), ...learners.map((id) => `(${nameOf(id)})`)];
    const [etcd, record] = [ofEtcd.sort().join(' '), ofRecord.sort().join(' ')];
    return etcd === record ? etcd : `etcd: ${etcd}, record: ${record}`;
  }

  async until(happened: () => boolean, limitMs = 120_000): Promise<void> {
    const end = this.clock.elapsed() + limitMs;
    while (!happened()) {
      if (this.clock.elapsed() >= end) throw new Error(`nothing came of it: ${this.shown}`);
      await this.clock.advance(100);
    }
  }

  change(host: StoreHost, parts: Partial<NodeRecord>): void {
    Object.assign(host.record, parts);
    this.etcd.txn([], [{ kind: 'put', key: keys.node(host.record.id), value: encodeRecord(host.record) }]);
  }

  #make(): StoreHost {
    const host = new StoreHost(this, this.hosts.length + 1);
    this.hosts.push(host);
    return host;
  }

  async #admit(host: StoreHost): Promise<void> {
    this.change(host, {});
    await host.start();
    await this.clock.advance(100);
  }

  /** What is reached by whom follows who runs. */
  async #watchReach(): Promise<void> {
    for (;;) {
      for (const host of this.hosts) host.findWay();
      await this.clock.sleep(REACH_MS);
    }
  }

  /** Who follows the store says where it is; an agent that does not reach it starts anew there (`agent/store/follow.ts`). */
  async #gossip(): Promise<void> {
    for (;;) {
      const up = this.hosts.filter(({ isUp }) => isUp);
      const told = up.find(({ store }) => store.fault === undefined)?.saved.store.endpoints ?? [];
      for (const host of up) if (host.store.fault !== undefined) await host.hear(told);
      await this.clock.sleep(GOSSIP_MS);
    }
  }
}

export class StoreHost {
  record: NodeRecord;
  readonly store: MemoryStore;
  readonly server: MemoryServer;
  readonly file: FakeFile<IdentityState>;
  wishes!: StoreWishes;
  isUp = false;
  /** The agent is killed before this call of a port from now. */
  crashAfter = Number.POSITIVE_INFINITY;
  calls = 0;
  readonly #all: StoreHosts;
  #life: Life = { over: true };
  #quit = new AbortController();
  #endpoints: readonly string[] = [];
  #isCut = true;

  constructor(all: StoreHosts, number: number) {
    const id = number.toString(16).padStart(32, '0');
    const advertiseAddress = `192.0.2.${number}`;
    this.#all = all;
    this.record = {
      ...nodeRecord({ id, name: `h${number}`, advertiseAddress, vtep: advertiseAddress, joinedAt: all.clock.now() }),
      store: { version: '3.4.23' },
    };
    this.store = all.etcd.store(id);
    this.server = all.members.server(id);
    this.file = new FakeFile<IdentityState>(all.clock);
  }

  get saved(): Identity {
    return this.file.content as Identity;
  }

  get etcdSettings() {
    const { id: name } = this.record;
    const { advertiseAddress } = this.saved;
    const material = { key: '', certificate: '', caCertificate: '' };
    return { name, advertiseAddress, listenAddress: '0.0.0.0', material };
  }

  identity(endpoints: readonly string[], bundled: boolean): Identity {
    const { advertiseAddress, gossipPort, id: nodeId, joinPort, name, vtep, dataPathPort } = this.record;
    return {
      ...{ version: 1, phase: 'member', clusterId: 'c1', nodeId, name, advertiseAddress, vtep },
      ...{ listenAddress: '0.0.0.0', gossipPort, joinPort, dataPathPort },
      ...{ key: '', certificate: '', caCertificate: '' },
      store: { endpoints, caCertificate: '', certificate: '', key: '', bundled },
    };
  }

  /** As the agent does it: its etcd first, where it has one, then everything else. */
  async start(): Promise<void> {
    const { clock, members } = this.#all;
    const life: Life = { over: false };
    this.#life = life;
    this.isUp = true;
    this.#quit = new AbortController();
    const { signal } = this.#quit;
    const own = new OwnIdentity(this.#counted(mortal(this.file.of(life), life)), this.saved);
    this.#endpoints = own.current.store.endpoints;
    this.findWay();
    const etcd = this.#counted(mortal(this.server, life));
    if (own.current.store.bundled) void etcd.ensure(this.etcdSettings).catch(() => undefined);
    const store = this.#counted(mortal(this.store, life));
    const look = () => {
      keeping.look();
      ownMember.look();
    };
    const state = new ClusterState({
      ...{ selfId: this.record.id, clock, logger: silent, onChange: () => look() },
      own: { records: () => [], hasEndpoint: () => false, isOnNetwork: () => false },
      ...{ onRefuted: () => undefined, onNonsense: () => undefined },
    });
    const watch = new StoreWatch({
      ...{ store, state, logger: silent, onStalled: () => undefined, onConnected: () => look() },
    });
    const deps = {
      ...{ view: state.view, isFollowed: () => state.followed, clock, logger: silent, own, etcd },
      membership: this.#counted(mortal(this.#membership(members), life)),
    };
    const keeping = new StoreKeeping(
      {
        ...{ ...deps, store, selfId: this.record.id, trust: async () => undefined },
        commit: committing({ store, learn: (all) => state.learn(all), push: async () => undefined }),
        isHeard: (nodeId) => this.#all.hosts.some(({ record, isUp }) => record.id === nodeId && isUp),
      },
      { replaceAfterMs: REPLACE_MS },
    );
    const commit = committing({ store, learn: (all) => state.learn(all), push: async () => undefined });
    const isBundled = () => true;
    this.wishes = new StoreWishes({
      ...{ ...deps, isBundled, outlook: async () => undefined },
      ask: (wish) => recordWish({ store, commit, view: state.view, isBundled }, wish),
    });
    const ownMember = new OwnMember({
      ...deps,
      isCertified: () => true,
      setEndpoints: (endpoints) => {
        this.#endpoints = endpoints;
        this.findWay();
      },
      onChange: () => undefined,
    });
    state.begin({ height: 0, behind: false });
    const live = encodeRecord({ nodeId: this.record.id, bootId: 'b', startedAt: clock.now() });
    for (const task of [
      ...[watch.run(signal), keeping.run(signal), ownMember.run(signal)],
      store.keepLive(keys.live(this.record.id), live, 10, signal),
    ])
      void task.catch(() => undefined);
  }

  /** The agent is killed; its etcd goes on. */
  crash(): void {
    this.#life.over = true;
    this.isUp = false;
    this.file.cut();
    this.#quit.abort(new OverlaydError('cancelled', 'the agent was killed'));
  }

  /** As the agent does it when its host's address is another: it starts anew with it. */
  async moved(): Promise<void> {
    const { advertiseAddress } = this.record;
    this.crash();
    this.file.content = { ...this.saved, advertiseAddress };
    await this.start();
  }

  /** As the agent does it when it is told that the store is there. */
  async hear(endpoints: readonly string[]): Promise<void> {
    const { id } = this.record;
    const { store } = this.saved;
    if (endpoints.every((url) => store.endpoints.includes(url))) return;
    const { learners = [], nodeIds } = this.#all.keepers;
    const bundled = store.bundled && [...nodeIds, ...learners].includes(id);
    this.crash();
    this.file.content = { ...this.saved, store: { ...store, endpoints, bundled } };
    if (store.bundled && !bundled) await this.server.setAside();
    await this.start();
  }

  powerOff(): void {
    this.crash();
    this.server.powerOff();
  }

  findWay(): void {
    const isCut = !this.#all.members.reaches(this.#endpoints);
    if (isCut === this.#isCut && isCut === (this.store.fault !== undefined)) return;
    this.#isCut = isCut;
    if (isCut) this.store.cut();
    else this.store.heal();
  }

  #membership(members: MemoryMembers): StoreMembership & Pick<StoreMaintenance, 'memberStatus'> {
    return {
      ...members.membership(() => this.#isCut),
      memberStatus: async (endpoint): Promise<StoreMemberStatus> => {
        const server = this.#all.hosts.find(({ record }) => clientUrlOf(record) === endpoint)?.server;
        const member = server?.runs && server.data ? members.find(server.data.memberId) : undefined;
        if (!member) throw new OverlaydError('store-unavailable', 'no answer', { retryable: true });
        return {
          ...{ memberId: member.id, version: '3.4.23', dbSize: 20_480, dbSizeInUse: 16_384, alarms: [] },
          ...{ leaderId: members.leader, isLearner: member.isLearner, raftIndex: 9, raftAppliedIndex: 9 },
        };
      },
    };
  }

  /** So that the agent can be killed before any call. */
  #counted<T extends object>(port: T): T {
    return new Proxy(port, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== 'function' || name === 'watch' || name === 'keepLive') return member;
        return (...args: unknown[]) => {
          if (!this.#life.over && ++this.calls >= this.crashAfter) {
            this.crashAfter = Number.POSITIVE_INFINITY;
            this.crash();
          }
          return member.apply(target, args) as unknown;
        };
      },
    });
  }
}
