/**
 * The members of an etcd cluster in memory, strict as etcd is about them: a majority of voters or nothing, one learner at a time,
 * nobody added while a voter is not well connected, no removal that would leave no majority, no way back for who was
 * removed. Every host has a server ({@link EtcdServer}) and a way to ask ({@link StoreMembership}). What they keep is one
 * {@link MemoryEtcd}, which answers while there is a majority.
 */
import { OverlaydError } from '../../src/core/errors.ts';
import { formatHttpUrl } from '../../src/core/host-port.ts';
import type { Clock } from '../../src/ports/runtime.ts';
import type { EtcdServer, EtcdServerSettings, StoreMember, StoreMembership } from '../../src/ports/store.ts';
import type { MemoryEtcd } from './memory-store.ts';

/** etcd holds members for well connected when they have been for so long (`HealthInterval`). */
const HEALTH_MS = 5_000;
const READY_TIMEOUT_MS = 20_000;
const POLL_MS = 100;
const RESTART_MS = 500;
/** A server that applies its own removal ends a little later. */
const REMOVAL_MS = 1_000;

const urlOf = (host: string, port: number) => formatHttpUrl({ scheme: 'https', host, port });

interface Member extends StoreMember {
  readonly connectedAt: number;
}

/** What a server has on disk. */
interface Data {
  readonly store: number;
  readonly memberId: string;
}

export class MemoryMembers {
  readonly etcd: MemoryEtcd;
  readonly clock: Clock;
  readonly hosts = new Map<string, MemoryServer>();
  #members: readonly Member[] = [];
  /** Which store it is: one that began alone in place of another is another. */
  #store = 0;
  #ids = 0;
  #leader = '';

  constructor(etcd: MemoryEtcd) {
    this.etcd = etcd;
    this.clock = etcd.clock;
  }

  /** The host's server, the same one at each call: it outlives agents. */
  server(nodeId: string): MemoryServer {
    const server = this.hosts.get(nodeId) ?? new MemoryServer(this);
    this.hosts.set(nodeId, server);
    return server;
  }

  get all(): readonly StoreMember[] {
    return this.#members.map(({ connectedAt: _, ...member }) => member);
  }

  get leader(): string {
    return this.#leader;
  }

  get store(): number {
    return this.#store;
  }

  get hasMajority(): boolean {
    return this.#isMajority(this.#members);
  }

  /** Whether a client with these URLs is answered by one of the members. */
  reaches(endpoints: readonly string[]): boolean {
    if (!this.hasMajority) return false;
    return this.#members.some(
      (member) =>
        !member.isLearner && this.answers(member.id) && member.clientUrls.some((url) => endpoints.includes(url)),
    );
  }

  /** As a node whose calls get through as `isCut` says. */
  membership(isCut: () => boolean = () => false): StoreMembership {
    const call = async <T>(run: () => T): Promise<T> => {
      await this.etcd.delay();
      if (isCut() || !this.hasMajority) {
        await this.clock.sleep(3_000);
        throw unavailable('no answer in time');
      }
      return run();
    };
    return {
      members: () => call(() => this.all),
      addLearner: (peerUrl) => call(() => this.#add(peerUrl)),
      promote: (memberId) => call(() => this.#promote(memberId)),
      remove: (memberId) => call(() => this.#remove(memberId)),
      move: (memberId, peerUrl) => call(() => this.#change(memberId, { peerUrls: [peerUrl] })),
      handOver: (memberId, to) =>
        call(() => {
          if (this.#leader === memberId && this.answers(to)) this.#leader = to;
        }),
    };
  }

  /** A store of this one member, in place of whatever there was. */
  found(name: string, address: string): Data {
    if (this.#store > 0) this.etcd.wipe();
    this.#store++;
    this.#members = [this.#make(name, address, false)];
    return { store: this.#store, memberId: this.#members[0]!.id };
  }

  /** As the learner that was added for this address. */
  follow(name: string, address: string, begin: readonly StoreMember[]): Data {
    const own = this.#members.find(({ peerUrls }) => peerUrls.includes(urlOf(address, 2380)));
    if (own === undefined || begin.length !== this.#members.length) {
      throw failed('error validating peerURLs: member count is unequal');
    }
    this.#change(own.id, { name });
    return { store: this.#store, memberId: own.id };
  }

  find(memberId: string): StoreMember | undefined {
    return this.#members.find(({ id }) => id === memberId);
  }

  /** A server that has a leader says where it serves, whether anybody waits for it or not. */
  publish(memberId: string, { name, advertiseAddress }: EtcdServerSettings): void {
    this.#change(memberId, { name, clientUrls: [urlOf(advertiseAddress, 2379)] });
  }

  /** Whoever has started it says where the others reach it; one that learns may not. */
  relocate(memberId: string, { advertiseAddress }: EtcdServerSettings): void {
    if (this.find(memberId)?.isLearner !== true) this.#change(memberId, { peerUrls: [urlOf(advertiseAddress, 2380)] });
  }

  /** Its process runs, on a host that is on, and is not stopped. */
  answers(memberId: string): boolean {
    return [...this.hosts.values()].some((server) => server.runs && server.data?.memberId === memberId);
  }

  /** Something was started, stopped, added or removed. */
  settle(): void {
    const now = this.clock.elapsed();
    this.#members = this.#members.map((member) => {
      const connectedAt = this.answers(member.id) ? Math.min(member.connectedAt, now) : Number.POSITIVE_INFINITY;
      return { ...member, connectedAt };
    });
    const voters = this.#members.filter(({ id, isLearner }) => !isLearner && this.answers(id));
    if (!voters.some(({ id }) => id === this.#leader)) this.#leader = voters[0]?.id ?? '';
    if (!this.hasMajority) this.etcd.stop('silent');
    else if (this.etcd.fault !== undefined) this.etcd.start();
    if (this.hasMajority) for (const server of this.hosts.values()) server.publish();
  }

  #add(peerUrl: string): StoreMember {
    const known = this.all.find(({ peerUrls }) => peerUrls.includes(peerUrl));
    if (known) return known;
    if (this.#members.some(({ isLearner }) => isLearner)) throw failed('too many learner members in cluster');
    this.#requireHealth();
    const made = { ...this.#make('', '', true), peerUrls: [peerUrl], clientUrls: [] };
    this.#members = [...this.#members, made];
    return this.find(made.id)!;
  }

  #promote(memberId: string): boolean {
    const member = this.#require(memberId);
    if (!member.isLearner) return true;
    if (!this.answers(memberId)) return false;
    this.#change(memberId, { isLearner: false });
    this.settle();
    return true;
  }

  #remove(memberId: string): void {
    const gone = this.#members.find(({ id }) => id === memberId);
    if (gone === undefined) return;
    const left = this.#members.filter((member) => member !== gone);
    if (left.length === 0 || !this.#isMajority(left)) throw unavailable('unhealthy cluster');
    this.#members = left;
    this.settle();
    for (const server of this.hosts.values()) if (server.data?.memberId === memberId) server.hearOfRemoval();
  }

  #requireHealth(): void {
    const [now, voters] = [this.clock.elapsed(), this.#members.filter(({ isLearner }) => !isLearner)];
    const isWell = voters.length === 1 || voters.every(({ connectedAt }) => now - connectedAt >= HEALTH_MS);
    if (!isWell) throw unavailable('unhealthy cluster');
  }

  #require(memberId: string): StoreMember {
    const member = this.find(memberId);
    if (member === undefined) throw failed('member not found');
    return member;
  }

  #change(memberId: string, fields: Partial<Member>): void {
    this.#members = this.#members.map((member) => (member.id === memberId ? { ...member, ...fields } : member));
  }

  #isMajority(members: readonly StoreMember[]): boolean {
    const voters = members.filter(({ isLearner }) => !isLearner);
    return voters.filter(({ id }) => this.answers(id)).length > voters.length / 2;
  }

  #make(name: string, address: string, isLearner: boolean): Member {
    const id = (++this.#ids).toString(16).padStart(16, '0');
    const urls = { peerUrls: [urlOf(address, 2380)], clientUrls: [urlOf(address, 2379)] };
    return { id, name, ...urls, isLearner, connectedAt: this.clock.elapsed() };
  }
}

/** The etcd of one host. */
export class MemoryServer implements EtcdServer {
  readonly #cluster: MemoryMembers;
  readonly hindrance = undefined;
  /** With which it is looked after. */
  #settings: EtcdServerSettings | undefined;
  /** With which it was started: it goes on with them when nobody looks after it. */
  #started: EtcdServerSettings | undefined;
  #data: Data | undefined;
  #isRunning = false;
  #isFrozen = false;
  #isInstalled = true;
  /** Data that were moved away. */
  aside: Data | undefined;

  constructor(cluster: MemoryMembers) {
    this.#cluster = cluster;
  }

  get data(): Data | undefined {
    return this.#data;
  }

  get runs(): boolean {
    return this.#isRunning && !this.#isFrozen && this.#data?.store === this.#cluster.store;
  }

  publish(): void {
    if (this.runs && this.#data && this.#started) this.#cluster.publish(this.#data.memberId, this.#started);
  }

  /** SIGKILL: whoever looks after it starts it again. */
  kill(): void {
    this.#setRunning(false);
    void this.#reviveLater();
  }

  /** The host goes; its disk stays. */
  powerOff(): void {
    this.#settings = undefined;
    this.#setRunning(false);
  }

  freeze(): void {
    this.#isFrozen = true;
    this.#cluster.settle();
  }

  thaw(): void {
    this.#isFrozen = false;
    this.#cluster.settle();
    if (this.#data && !this.#cluster.find(this.#data.memberId)) this.hearOfRemoval();
  }

  /** The disk is another one. */
  loseData(): void {
    this.#setRunning(false);
    this.#data = undefined;
  }

  uninstall(): void {
    this.#isInstalled = false;
  }

  install(): void {
    this.#isInstalled = true;
  }

  async ensure(settings: EtcdServerSettings): Promise<{ readonly endpoints: readonly string[] }> {
    if (!this.#isInstalled) throw new OverlaydError('tool-missing', 'etcd is not installed');
    const { name, advertiseAddress, begin } = settings;
    const cluster = this.#cluster;
    await cluster.etcd.delay();
    this.#settings = settings;
    if (this.#isLost()) {
      this.#moveAway();
      if (!Array.isArray(begin)) {
        settings.onRemoved?.();
        throw new OverlaydError('store-removed', 'this host keeps the store no more');
      }
      this.#settings = settings;
    }
    if (this.#data === undefined) {
      if (begin === undefined) throw failed("the data of this host's etcd are gone");
      this.#data =
        begin === 'alone' ? cluster.found(name, advertiseAddress) : cluster.follow(name, advertiseAddress, begin);
    }
    this.#started = settings;
    this.#setRunning(true);
    const end = cluster.clock.elapsed() + READY_TIMEOUT_MS;
    while (!(this.runs && cluster.hasMajority)) {
      if (cluster.clock.elapsed() >= end) throw unavailable('it waits for the majority');
      await cluster.clock.sleep(POLL_MS);
      if (this.#settings !== settings) throw unavailable('it is not wanted any more');
    }
    cluster.relocate(this.#data.memberId, settings);
    return { endpoints: [urlOf(advertiseAddress, 2379)] };
  }

  async check(): Promise<void> {
    if (this.#settings !== undefined && !this.#isRunning) await this.ensure(this.#settings).catch(() => undefined);
  }

  async stop(): Promise<void> {
    this.release();
    this.#setRunning(false);
  }

  /** What it runs with does not matter here. */
  async endOutdated(): Promise<void> {}

  async setAside(): Promise<void> {
    this.#moveAway();
  }

  async remove(): Promise<void> {
    await this.stop();
    this.#data = undefined;
    this.aside = undefined;
  }

  release(): void {
    this.#settings = undefined;
  }

  async version(): Promise<string | undefined> {
    return this.#isInstalled ? '3.4.23' : undefined;
  }

  /** The others removed it; while it is frozen it hears nothing. */
  hearOfRemoval(): void {
    void this.#endRemoved(this.#data);
  }

  async #endRemoved(data: Data | undefined): Promise<void> {
    await this.#cluster.clock.sleep(REMOVAL_MS);
    if (this.#data !== data || !this.#isRunning || this.#isFrozen) return;
    const { onRemoved } = this.#settings ?? {};
    // One that nobody looks after ends and leaves its data where they are.
    if (this.#settings) this.#moveAway();
    else this.#setRunning(false);
    onRemoved?.();
  }

  #isLost(): boolean {
    const data = this.#data;
    return data !== undefined && data.store === this.#cluster.store && !this.#cluster.find(data.memberId);
  }

  #moveAway(): void {
    this.release();
    this.#setRunning(false);
    this.aside = this.#data ?? this.aside;
    this.#data = undefined;
  }

  #setRunning(isRunning: boolean): void {
    this.#isRunning = isRunning;
    // What is stopped can be ended; the next process is another one.
    if (!isRunning) this.#isFrozen = false;
    this.#cluster.settle();
  }

  async #reviveLater(): Promise<void> {
    const settings = this.#settings;
    await this.#cluster.clock.sleep(RESTART_MS);
    if (settings !== undefined && this.#settings === settings) await this.check();
  }
}

function unavailable(reason: string): OverlaydError {
  return new OverlaydError('store-unavailable', `etcd does not answer: ${reason}`, { retryable: true });
}

function failed(reason: string): OverlaydError {
  return new OverlaydError('store-failed', `etcd refused the request: ${reason}`);
}
