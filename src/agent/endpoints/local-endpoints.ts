/**
 * The endpoints of this host, in memory and in the state file. A claim is neither confirmed nor released before the file
 * has kept it for the agent's next run, or has failed to; the kernel is wired beside that. The disk follows by itself.
 *
 * A restart of the host ends its containers. What the engine's had is kept apart as `former`: the engine starts them again,
 * maybe before etcd answers, and a claim is a durable key. What the host itself has on networks it has again.
 */
import { attachmentOf, type Owner } from '../../core/attachment.ts';
import type { LocalEndpoint } from '../../core/container.ts';
import type { ZoneClient } from '../../core/dns/names-protocol.ts';
import { isOverlaydError } from '../../core/errors.ts';
import { isOfHost } from '../../core/expose.ts';
import type { PortMapping, Publication } from '../../core/publish.ts';
import { RecentIds } from '../../core/recent-ids.ts';
import type { NetworkRecord } from '../../core/records.ts';
import { type StoreMemory, UnusableState } from '../../core/store-memory.ts';
import type { NodeState, StateFile } from '../../ports/files.ts';
import type { Clock } from '../../ports/runtime.ts';
import { ClockMemory } from './clock-memory.ts';
import { EndpointIndex } from './endpoint-index.ts';

export interface LocalEndpointsDeps {
  readonly stateFile: StateFile;
  readonly clock: Pick<Clock, 'elapsed' | 'now'>;
  readonly network: (networkId: string) => NetworkRecord | undefined;
  /** What the next run is to know of etcd. */
  readonly store: () => StoreMemory;
  /** Asked before anything is done with what the file says, or to the file. Throws what stands in the way. */
  readonly mayGoOn?: (store: StoreMemory | undefined) => Promise<void>;
  /** Endpoints came, changed or went; `networkId`: one did so on that network. */
  readonly onChange?: (networkId?: string) => void;
}

type Saving = NodeState & Required<Pick<NodeState, 'serial' | 'store' | 'seenAt'>>;

export class LocalEndpoints {
  readonly #deps: LocalEndpointsDeps;
  readonly clock: ClockMemory;
  readonly #endpoints = new EndpointIndex();
  /** Networks as last known: what a restart without etcd goes by. */
  readonly #networks = new Map<string, NetworkRecord>();
  /** By record id. */
  readonly #former = new Map<string, LocalEndpoint>();
  #publications: readonly Publication[] = [];
  /** Ids of records that were removed: their claims may still be there. */
  readonly removed = new RecentIds();
  /** Ports of what tools are just attaching, by who asked: nobody's yet, and no one else's any more. */
  readonly portsAsked = new Map<Owner, readonly PortMapping[]>();
  /** The same of names, see `taken-names.ts`. */
  readonly namesAsked = new Set<string>();
  #bootId = '';
  #startedAt = 0;
  /** While the run begins: what the file said of etcd. */
  #begun: StoreMemory | undefined;
  /** What the disk has: the latest of this run, and what it says of etcd. */
  #onDisk: Pick<Saving, 'serial' | 'store' | 'seenAt'> | undefined;
  #serial = 0;
  #unsaved: string | undefined;
  #unreadable: string | undefined;

  constructor(deps: LocalEndpointsDeps) {
    this.#deps = deps;
    this.clock = new ClockMemory(deps.clock);
  }

  /**
   * Begins a run of the agent. `ended`: endpoints that the file remembers from an earlier boot and that nobody starts
   * again; they are not kept, their namespaces are gone. `startedAt`: now, or later than the run before, see {@link clock}, if the
   * clock was set back. Throws what `mayGoOn` throws. A file that cannot be written is no obstacle, see `unsaved`, nor one that cannot be read, see `unreadable`.
   */
  async load(
    bootId: string,
  ): Promise<{ ended: readonly LocalEndpoint[]; startedAt: number; store: StoreMemory | undefined }> {
    let readable: StoreMemory | undefined;
    const saved = await this.#deps.stateFile.load().catch((error: unknown) => {
      if (!isOverlaydError(error, 'state-unreadable')) throw error;
      this.#unreadable = error.message;
      if (error.cause instanceof UnusableState) readable = error.cause.store;
      return undefined;
    });
    await this.#deps.mayGoOn?.(saved?.store ?? readable);
    const rebooted = saved !== undefined && saved.bootId !== bootId;
    this.#bootId = bootId;
    this.#startedAt = Math.max(this.#deps.clock.now(), (saved?.startedAt ?? 0) + 1);
    this.clock.begin(saved?.seenAt);
    const restarted = rebooted ? saved.endpoints.filter((each) => attachmentOf(each).isStartedAgain) : [];
    for (const endpoint of [...(saved?.former ?? []), ...restarted]) this.#former.set(endpoint.record.id, endpoint);
    for (const endpoint of saved?.endpoints ?? []) if (!rebooted || isOfHost(endpoint)) this.#endpoints.put(endpoint);
    for (const network of saved?.networks ?? []) this.#networks.set(network.id, network);
    this.#publications = saved?.publications ?? [];
    const store = saved?.store;
    this.#begun = store;
    await this.save().catch(() => undefined);
    this.#begun = undefined;
    const ends = (each: LocalEndpoint) => !attachmentOf(each).isStartedAgain && !isOfHost(each);
    const ended = rebooted ? saved.endpoints.filter(ends) : [];
    return { ended, startedAt: this.#startedAt, store };
  }

  /** Why it is not known which endpoints this host has: until they are adopted. The file is left as it is so long. */
  get unreadable(): string | undefined {
    return this.#unreadable;
  }

  /** What the host was found to have. Takes effect in memory at once. */
  async adopt(endpoints: readonly LocalEndpoint[]): Promise<void> {
    this.#unreadable = undefined;
    for (const endpoint of endpoints) this.#endpoints.put(endpoint);
    this.#deps.onChange?.();
    await this.#keep();
  }

  /** Why the file is not what it should be; undefined when it is. What is in memory counts all the same. */
  get unsaved(): string | undefined {
    return this.#unsaved ?? this.#deps.stateFile.hindrance;
  }

  /** The disk does not have, or does not say of etcd, what this run knows. */
  get isStale(): boolean {
    const { height, behind, level, epoch } = this.#deps.store();
    const { serial, store, seenAt } = this.#onDisk ?? {};
    const isSame = store?.height === height && store.behind === behind;
    const told = isSame && store.level === level && store.epoch === epoch;
    return serial !== this.#serial || !told || this.clock.isOld(seenAt);
  }

  /** Whether an endpoint of this host has the address, whether it has or had one on the network. */
  hasAddress(networkId: string, address: string): boolean {
    return this.#endpoints.client(networkId, address) !== undefined;
  }

  isOnNetwork(networkId: string): boolean {
    return this.#networks.has(networkId) || this.hasOnNetwork(networkId);
  }

  /** Whether the network has an endpoint here. */
  hasOnNetwork(networkId: string): boolean {
    return this.#endpoints.hasNetwork(networkId);
  }

  /** What the engine's containers had before the host was restarted and have not got again. */
  former(): readonly LocalEndpoint[] {
    return [...this.#former.values()];
  }

  isFormer(endpointId: string): boolean {
    return this.#former.has(endpointId);
  }

  /** Takes effect in memory at once. */
  async forgetFormer(endpoints: readonly LocalEndpoint[]): Promise<void> {
    for (const { record } of endpoints) {
      this.#former.delete(record.id);
      this.removed.add(record.id);
    }
    if (endpoints.length > 0) await this.#keep();
  }

  all(): readonly LocalEndpoint[] {
    return this.#endpoints.all();
  }

  /** Without what the host itself has. */
  ofContainers(): LocalEndpoint[] {
    return this.all().filter((endpoint) => !isOfHost(endpoint));
  }

  onNetwork(networkId: string): LocalEndpoint[] {
    return this.#endpoints.onNetwork(networkId);
  }

  countOn(networkId: string): number {
    return this.#endpoints.countOn(networkId);
  }

  get(endpointId: string): LocalEndpoint | undefined {
    return this.#endpoints.get(endpointId);
  }

  has(endpointId: string): boolean {
    return this.#endpoints.get(endpointId) !== undefined;
  }

  /** The endpoint that a container engine knows by this id. */
  byEngine(engineEndpointId: string): LocalEndpoint | undefined {
    return this.#endpoints.byEngine(engineEndpointId);
  }

  /** All networks of the container whose endpoint has this address; empty when it is none of this host's. */
  networksOfClient(networkId: string, address: string): readonly string[] {
    return this.#endpoints.client(networkId, address)?.networks ?? [];
  }

  /** Whether the container whose endpoint has this address has a way out, as its engine tells. */
  hasWayOut(networkId: string, address: string): boolean {
    return this.#endpoints.client(networkId, address)?.wayOut ?? false;
  }

  /** Of those on the network, whose container has more ways than this network. */
  clientsOn(networkId: string): ZoneClient[] {
    return this.#endpoints.clientsOn(networkId);
  }

  networkIds(): string[] {
    return this.#endpoints.networkIds();
  }

  savedNetworks(): readonly NetworkRecord[] {
    return [...this.#networks.values()];
  }

  /** What a person published of this host, by names that endpoints have or may get. */
  get publications(): readonly Publication[] {
    return this.#publications;
  }

  /** Takes effect in memory at once. */
  async publish(publications: readonly Publication[]): Promise<void> {
    this.#publications = publications;
    await this.#keepForGood();
  }

  async add(endpoint: LocalEndpoint): Promise<void> {
    this.#endpoints.put(endpoint);
    this.#former.delete(endpoint.record.id);
    this.#deps.onChange?.(endpoint.record.networkId);
    await (isOfHost(endpoint) ? this.#keepForGood() : this.#keep());
  }

  /** Puts it in the place of the one with the same record id; nothing happens when that is gone meanwhile. */
  async update(endpoint: LocalEndpoint): Promise<void> {
    if (this.has(endpoint.record.id)) await this.add(endpoint);
  }

  /** Takes effect in memory at once. */
  async remove(...endpointIds: readonly string[]): Promise<void> {
    const removed = endpointIds.flatMap((id) => this.#endpoints.get(id) ?? []);
    if (removed.length === 0) return;
    for (const { record } of removed) {
      this.#endpoints.delete(record.id);
      this.removed.add(record.id);
    }
    this.#deps.onChange?.();
    await (removed.some(isOfHost) ? this.#keepForGood() : this.#keep());
  }

  /** To be called again while it is `unsaved`. Resolves when the disk has it; throws what stands in the way. */
  async save(): Promise<void> {
    const state = this.#next();
    if (state) await this.#note(state, this.#deps.stateFile.save(state));
  }

  /** Resolves when the agent's end does not lose what is in memory. */
  async #keep(): Promise<void> {
    const state = this.#next();
    if (!state) return;
    const { kept, onDisk } = this.#deps.stateFile.keep(state);
    this.#note(state, onDisk).catch(() => undefined);
    await kept;
  }

  /**
   * Of what outlives the host's boot, as containers do not: resolves when the host's end does not lose it either. A disk that does not
   * take it is told by `unsaved`, and it counts meanwhile.
   */
  async #keepForGood(): Promise<void> {
    await this.save().catch(() => undefined);
  }

  /** Undefined while nothing is to be written over the file. */
  #next(): Saving | undefined {
    if (this.#unreadable !== undefined) return undefined;
    const all = [...this.#endpoints.all(), ...this.#former.values()];
    const used = new Set(all.map(({ record }) => record.networkId));
    for (const id of used) {
      const network = this.#deps.network(id);
      if (network) this.#networks.set(id, network);
    }
    for (const id of this.#networks.keys()) if (!used.has(id)) this.#networks.delete(id);
    const store = this.#begun ?? this.#deps.store();
    const { seenAt } = this.clock;
    const run = { bootId: this.#bootId, startedAt: this.#startedAt, serial: ++this.#serial, seenAt };
    const lists = { endpoints: this.all(), former: this.former(), networks: this.savedNetworks() };
    const publications = this.#publications.length > 0 && { publications: this.#publications };
    return { version: 2, ...run, ...lists, ...publications, store };
  }

  async #note({ serial, store, seenAt }: Saving, written: Promise<void>): Promise<void> {
    try {
      await written;
      this.#onDisk = { serial, store, seenAt };
      this.#unsaved = undefined;
    } catch (error) {
      this.#unsaved = error instanceof Error ? error.message : String(error);
      throw error;
    }
  }
}
