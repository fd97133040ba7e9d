/**
 * The endpoints of this host, in memory and in the state file. A claim is neither confirmed nor released before the file
 * is written; the kernel is wired beside that.
 */
import { isHandedOver, type LocalEndpoint } from '../core/container.ts';
import type { NetworkRecord } from '../core/records.ts';
import type { StateFile } from '../ports.ts';

export interface LocalEndpointsDeps {
  readonly stateFile: StateFile;
  readonly network: (networkId: string) => NetworkRecord | undefined;
}

export class LocalEndpoints {
  readonly #deps: LocalEndpointsDeps;
  readonly #byId = new Map<string, LocalEndpoint>();
  /** Networks as last known: what a restart without etcd goes by. */
  readonly #networks = new Map<string, NetworkRecord>();
  /** `<network id> <address>` to the networks of the container there; rebuilt after a change, read per DNS question. */
  #siblings: Map<string, readonly string[]> | undefined;
  #bootId = '';
  #startedAt = 0;

  constructor(deps: LocalEndpointsDeps) {
    this.#deps = deps;
  }

  /**
   * Begins a run of the agent. `former`: endpoints that the file remembers from an earlier boot; they are not kept,
   * their namespaces are gone. `startedAt`: now, or later than the run before if the clock was set back.
   */
  async load(bootId: string, now: number): Promise<{ former: readonly LocalEndpoint[]; startedAt: number }> {
    const saved = await this.#deps.stateFile.load();
    const rebooted = saved !== undefined && saved.bootId !== bootId;
    this.#bootId = bootId;
    this.#startedAt = Math.max(now, (saved?.startedAt ?? 0) + 1);
    if (saved && !rebooted) {
      for (const endpoint of saved.endpoints) this.#byId.set(endpoint.record.id, endpoint);
      for (const network of saved.networks) this.#networks.set(network.id, network);
    }
    await this.#save();
    return { former: rebooted ? saved.endpoints : [], startedAt: this.#startedAt };
  }

  all(): readonly LocalEndpoint[] {
    return [...this.#byId.values()];
  }

  onNetwork(networkId: string): LocalEndpoint[] {
    return this.all().filter((endpoint) => endpoint.record.networkId === networkId);
  }

  get(endpointId: string): LocalEndpoint | undefined {
    return this.#byId.get(endpointId);
  }

  has(endpointId: string): boolean {
    return this.#byId.has(endpointId);
  }

  /** The endpoint that a container engine knows by this id. */
  byEngine(engineEndpointId: string): LocalEndpoint | undefined {
    return this.all().find(({ engine }) => engine?.endpointId === engineEndpointId);
  }

  /** All networks of the container whose endpoint has this address; empty when it is none of this host's. */
  networksOfClient(networkId: string, address: string): readonly string[] {
    this.#siblings ??= this.#indexSiblings();
    return this.#siblings.get(`${networkId} ${address}`) ?? [];
  }

  networkIds(): string[] {
    return [...new Set(this.all().map((endpoint) => endpoint.record.networkId))];
  }

  savedNetworks(): readonly NetworkRecord[] {
    return [...this.#networks.values()];
  }

  async add(endpoint: LocalEndpoint): Promise<void> {
    this.#byId.set(endpoint.record.id, endpoint);
    this.#siblings = undefined;
    await this.#save();
  }

  /** Puts it in the place of the one with the same record id; nothing happens when that is gone meanwhile. */
  async update(endpoint: LocalEndpoint): Promise<void> {
    if (this.#byId.has(endpoint.record.id)) await this.add(endpoint);
  }

  /** Takes effect in memory at once. */
  async remove(endpointId: string): Promise<void> {
    if (!this.#byId.delete(endpointId)) return;
    this.#siblings = undefined;
    await this.#save();
  }

  #indexSiblings(): Map<string, readonly string[]> {
    // An engine's endpoints are found to be a process's one after the other; their sandbox says all along whose they are.
    const processes = new Map<string | undefined, string>();
    for (const { container, engine } of this.#byId.values()) {
      if (engine && !isHandedOver(container)) processes.set(engine.sandbox, container.identity);
    }
    const byContainer = Map.groupBy(
      this.#byId.values(),
      ({ container, engine }) => (engine && processes.get(engine.sandbox)) ?? container.identity,
    );
    const index = new Map<string, readonly string[]>();
    for (const endpoints of byContainer.values()) {
      const networkIds = endpoints.map((endpoint) => endpoint.record.networkId);
      for (const { record } of endpoints) index.set(`${record.networkId} ${record.address}`, networkIds);
    }
    return index;
  }

  async #save(): Promise<void> {
    for (const id of this.networkIds()) {
      const network = this.#deps.network(id);
      if (network) this.#networks.set(id, network);
    }
    const used = new Set(this.networkIds());
    for (const id of this.#networks.keys()) if (!used.has(id)) this.#networks.delete(id);
    await this.#deps.stateFile.save({
      version: 1,
      bootId: this.#bootId,
      startedAt: this.#startedAt,
      endpoints: this.all(),
      networks: this.savedNetworks(),
    });
  }
}
