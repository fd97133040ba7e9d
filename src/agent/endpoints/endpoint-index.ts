/**
 * Endpoints of this host by what they are asked for, of which there may be a thousand on a network: a change costs what it
 * changes. Which endpoints are one container's is found anew after a change, when somebody asks.
 */
import { isHandedOver, type LocalEndpoint } from '../../core/container.ts';
import type { ZoneClient } from '../../core/dns/names-protocol.ts';

interface Client {
  readonly networks: readonly string[];
  readonly wayOut: boolean;
}

export class EndpointIndex {
  readonly #byId = new Map<string, LocalEndpoint>();
  /** By network id, then by record id. */
  readonly #byNetwork = new Map<string, Map<string, LocalEndpoint>>();
  readonly #byEngine = new Map<string, LocalEndpoint>();
  /** By network id, then by address; undefined after a change. */
  #clients: ReadonlyMap<string, ReadonlyMap<string, Client>> | undefined;

  /** Undefined after a change. */
  #all: readonly LocalEndpoint[] | undefined;

  /** In the place of the one with the same record id. */
  put(endpoint: LocalEndpoint): void {
    const { record, engine } = endpoint;
    const before = this.#byId.get(record.id);
    if (before) this.#unlink(before, record.networkId);
    this.#byId.set(record.id, endpoint);
    const onNetwork = this.#byNetwork.get(record.networkId) ?? new Map<string, LocalEndpoint>();
    this.#byNetwork.set(record.networkId, onNetwork.set(record.id, endpoint));
    if (engine) this.#byEngine.set(engine.endpointId, endpoint);
    this.#clients = undefined;
    this.#all = undefined;
  }

  /** False when there is none. */
  delete(endpointId: string): boolean {
    const endpoint = this.#byId.get(endpointId);
    if (!endpoint) return false;
    this.#byId.delete(endpointId);
    this.#unlink(endpoint);
    this.#clients = undefined;
    this.#all = undefined;
    return true;
  }

  /** In the order in which they came. */
  all(): readonly LocalEndpoint[] {
    this.#all ??= [...this.#byId.values()];
    return this.#all;
  }

  get(endpointId: string): LocalEndpoint | undefined {
    return this.#byId.get(endpointId);
  }

  byEngine(engineEndpointId: string): LocalEndpoint | undefined {
    return this.#byEngine.get(engineEndpointId);
  }

  onNetwork(networkId: string): LocalEndpoint[] {
    return [...(this.#byNetwork.get(networkId)?.values() ?? [])];
  }

  countOn(networkId: string): number {
    return this.#byNetwork.get(networkId)?.size ?? 0;
  }

  hasNetwork(networkId: string): boolean {
    return this.#byNetwork.has(networkId);
  }

  networkIds(): string[] {
    return [...this.#byNetwork.keys()];
  }

  /** The container whose endpoint has this address. */
  client(networkId: string, address: string): Client | undefined {
    this.#clients ??= this.#findClients();
    return this.#clients.get(networkId)?.get(address);
  }

  /** Of those on the network, whose container has more ways than this network. */
  clientsOn(networkId: string): ZoneClient[] {
    this.#clients ??= this.#findClients();
    const clients: ZoneClient[] = [];
    for (const [address, { networks, wayOut }] of this.#clients.get(networkId) ?? [])
      if (networks.length > 1 || wayOut) clients.push({ address, networks, wayOut });
    return clients;
  }

  /** `stays`: of this network it will be at once again, in the same place. */
  #unlink({ record: { id, networkId }, engine }: LocalEndpoint, stays?: string): void {
    if (engine && this.#byEngine.get(engine.endpointId)?.record.id === id) this.#byEngine.delete(engine.endpointId);
    if (networkId === stays) return;
    const onNetwork = this.#byNetwork.get(networkId);
    onNetwork?.delete(id);
    if (onNetwork?.size === 0) this.#byNetwork.delete(networkId);
  }

  #findClients(): ReadonlyMap<string, ReadonlyMap<string, Client>> {
    // An engine's endpoints are found to be a process's one after the other; their sandbox says all along whose they are.
    // It is not known of one that no container has joined yet, nor of one that was found again.
    const processes = new Map<string, string>();
    for (const { container, engine } of this.#byId.values()) {
      if (engine?.sandbox !== undefined && !isHandedOver(container)) processes.set(engine.sandbox, container.identity);
    }
    const networksOf = new Map<string, string[]>();
    const clients = new Map<string, Map<string, Client>>();
    for (const { record, container, engine } of this.#byId.values()) {
      const whose = processes.get(engine?.sandbox ?? '') ?? container.identity;
      const networks = networksOf.get(whose);
      if (networks) networks.push(record.networkId);
      else networksOf.set(whose, [record.networkId]);
      const onNetwork = clients.get(record.networkId) ?? new Map<string, Client>();
      const client = { networks: networksOf.get(whose)!, wayOut: engine?.wayOut ?? false };
      for (const { ip } of record.addresses) onNetwork.set(ip, client);
      clients.set(record.networkId, onNetwork);
    }
    return clients;
  }
}
