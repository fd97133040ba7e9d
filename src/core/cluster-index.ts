/**
 * The cluster view: typed records by id, name and network, kept in step with the replica change by change.
 * Scales: one change costs one decode and constant work.
 */
import { AddressHolders } from './address-holders.ts';
import type { ClusterView } from './cluster-view.ts';
import type { RecordChange } from './gossip/replica.ts';
import {
  decodeClaim,
  decodeCluster,
  decodeEndpoint,
  decodeLive,
  decodeNetwork,
  decodeNode,
  decodeQuarantine,
  decodeStaticNames,
  decodeToken,
  readLevel,
} from './record-codec.ts';
import {
  type ClaimRecord,
  type ClusterRecord,
  type EndpointRecord,
  type LiveRecord,
  type NetworkRecord,
  type NodeRecord,
  PREFIX,
  type QuarantineRecord,
  type StaticNamesRecord,
} from './records.ts';

/** What a set of changes touched; everything derived is refreshed by this and nothing else. */
export interface Touched {
  /** Networks whose own record, or static names, changed. */
  readonly networks: Set<string>;
  /** Nodes whose endpoints changed, by network. */
  readonly endpoints: Map<string, Set<string>>;
  /** Members, their addresses or their liveness changed. */
  nodes: boolean;
  live: boolean;
  /** Keys that got a value which cannot be decoded. */
  readonly refused: string[];
}

/** What the records come from. */
interface IndexSource {
  readonly whole: boolean;
  readonly behind: boolean;
  readonly completeTo: number;
}

const NONE = new Map<string, never>();

export class ClusterIndex implements ClusterView {
  readonly #source: IndexSource;
  #cluster: ClusterRecord | undefined;
  #level: number | undefined;
  readonly #nodes = new Map<string, NodeRecord>();
  readonly #live = new Map<string, LiveRecord>();
  readonly #networks = new Map<string, NetworkRecord>();
  readonly #networkIds = new Map<string, string>();
  /** By node and id. */
  readonly #endpoints = new Map<string, Map<string, EndpointRecord>>();
  readonly #holders = new AddressHolders((record) => touch(this.#touched!, record));
  /** How often endpoints of a network, and members, have changed. */
  readonly #endpointChanges = new Map<string, number>();
  #nodeChanges = 0;
  /** Of the changes that are being applied. */
  #touched: Touched | undefined;
  /** Ids and subnets. */
  readonly #texts = new Map<string, string>();
  readonly #quarantine = new Map<string, Map<string, QuarantineRecord>>();
  readonly #staticNames = new Map<string, StaticNamesRecord>();
  readonly #unreadable = new Map<string, string>();

  constructor(source: IndexSource) {
    this.#source = source;
  }

  get isWhole(): boolean {
    return this.#source.whole;
  }

  get behind(): boolean {
    return this.#source.behind;
  }

  get provesAbsence(): boolean {
    return this.isWhole && !this.behind;
  }

  get revision(): number {
    return this.#source.completeTo;
  }

  get unreadable(): ReadonlyMap<string, string> {
    return this.#unreadable;
  }

  get level(): number | undefined {
    return this.#level;
  }

  cluster(): ClusterRecord | undefined {
    return this.#cluster;
  }

  node(nodeId: string): NodeRecord | undefined {
    return this.#nodes.get(nodeId);
  }

  nodes(): Iterable<NodeRecord> {
    return this.#nodes.values();
  }

  live(nodeId: string): LiveRecord | undefined {
    return this.#live.get(nodeId);
  }

  network(networkId: string): NetworkRecord | undefined {
    return this.#networks.get(networkId);
  }

  networkByName(name: string): NetworkRecord | undefined {
    const id = this.#networkIds.get(name);
    return id === undefined ? undefined : this.#networks.get(id);
  }

  networks(): Iterable<NetworkRecord> {
    return this.#networks.values();
  }

  endpoint({ nodeId, id }: Pick<EndpointRecord, 'nodeId' | 'id'>): EndpointRecord | undefined {
    return this.#endpoints.get(nodeId)?.get(id);
  }

  endpointsOf(nodeId: string): ReadonlyMap<string, EndpointRecord> {
    return this.#endpoints.get(nodeId) ?? NONE;
  }

  addresses(networkId: string): ReadonlyMap<string, EndpointRecord> {
    return this.#holders.shown(networkId);
  }

  *endpointsOn(networkId: string): Iterable<EndpointRecord> {
    const all = this.addresses(networkId);
    for (const [address, record] of all) {
      const { addresses } = record;
      const isFirst = addresses.length === 1 || addresses.find(({ ip }) => all.get(ip) === record)?.ip === address;
      if (isFirst) yield record;
    }
  }

  moment(networkId: string): number {
    return this.#nodeChanges + (this.#endpointChanges.get(networkId) ?? 0);
  }

  claims(networkId: string): ReadonlyMap<string, ClaimRecord> {
    return this.#holders.claims(networkId);
  }

  staticNames(networkId: string): StaticNamesRecord | undefined {
    return this.#staticNames.get(networkId);
  }

  quarantine(networkId: string): ReadonlyMap<string, QuarantineRecord> {
    return this.#quarantine.get(networkId) ?? NONE;
  }

  apply(changes: Iterable<RecordChange>): Touched {
    const touched: Touched = { networks: new Set(), endpoints: new Map(), nodes: false, live: false, refused: [] };
    for (const { key, value } of changes) {
      if (!key.startsWith(PREFIX)) continue;
      const [kind, first, second] = key.slice(PREFIX.length).split('/');
      if (kind === 'cluster') this.#applyCluster(key, value, touched);
      else if (first === undefined) continue;
      else if (kind === 'nodes') this.#applyNode(key, first, value, touched);
      else if (kind === 'live') this.#applyLive(key, first, value, touched);
      else if (kind === 'networks') this.#applyNetwork(key, first, value, touched);
      else if (kind === 'endpoints' && second !== undefined) this.#applyEndpoint(key, first, second, value, touched);
      else if (kind === 'addresses' && second !== undefined) this.#applyClaim(key, first, second, value, touched);
      else if (kind === 'quarantine' && second !== undefined) this.#applyQuarantine(key, first, second, value, touched);
      else if (kind === 'dns') this.#applyStaticNames(key, first, value, touched);
      // These are read where they are needed; here only whether they can be.
      else if (kind === 'macs') this.#decode(decodeClaim, key, value, undefined, touched);
      else if (kind === 'tokens') this.#decode(decodeToken, key, value, undefined, touched);
    }
    if (touched.nodes) this.#nodeChanges += 1;
    for (const networkId of touched.endpoints.keys())
      this.#endpointChanges.set(networkId, (this.#endpointChanges.get(networkId) ?? 0) + 1);
    return touched;
  }

  /** A value that cannot be read is no deletion: what was known of the key stands. */
  #decode<T>(
    decoder: (text: string) => T | undefined,
    key: string,
    value: string | undefined,
    before: T | undefined,
    touched: Touched,
  ): T | undefined {
    const record = value === undefined ? undefined : decoder(value);
    if (value === undefined || record !== undefined) {
      this.#unreadable.delete(key);
      return record;
    }
    if (this.#unreadable.get(key) !== value) touched.refused.push(key);
    this.#unreadable.set(key, value);
    return before;
  }

  #applyCluster(key: string, value: string | undefined, touched: Touched): void {
    this.#cluster = this.#decode(decodeCluster, key, value, this.#cluster, touched);
    if (value === undefined) this.#level = undefined;
    // Of one that cannot be read, the level often can.
    else this.#level = this.#unreadable.has(key) ? (readLevel(value) ?? this.#level) : this.#cluster?.level;
  }

  #applyNode(key: string, id: string, value: string | undefined, touched: Touched): void {
    set(this.#nodes, id, this.#decode(decodeNode, key, value, this.#nodes.get(id), touched));
    touched.nodes = true;
    if (!this.#nodes.has(id)) this.#texts.delete(id);
  }

  #applyLive(key: string, id: string, value: string | undefined, touched: Touched): void {
    set(this.#live, id, this.#decode(decodeLive, key, value, this.#live.get(id), touched));
    touched.live = true;
  }

  #applyNetwork(key: string, id: string, value: string | undefined, touched: Touched): void {
    const before = this.#networks.get(id);
    const after = this.#decode(decodeNetwork, key, value, before, touched);
    if (before && this.#networkIds.get(before.name) === id) this.#networkIds.delete(before.name);
    set(this.#networks, id, after);
    if (!after) {
      this.#texts.delete(id);
      this.#endpointChanges.delete(id);
    }
    // A network that is being deleted has given its name back.
    if (after?.state === 'active') this.#networkIds.set(after.name, id);
    touched.networks.add(id);
  }

  #applyEndpoint(key: string, nodeId: string, id: string, value: string | undefined, touched: Touched): void {
    const before = this.#endpoints.get(nodeId)?.get(id);
    // The key says whose it is: a value of another one is none of this key's.
    const decoder = (text: string) => {
      const record = decodeEndpoint(text);
      return record?.nodeId === nodeId && record.id === id ? this.#lean(record) : undefined;
    };
    const after = this.#decode(decoder, key, value, before, touched);
    if (after === before) return;
    setNested(this.#endpoints, nodeId, id, after);
    for (const record of [before, after]) if (record) touch(touched, record);
    this.#touched = touched;
    this.#holders.replace(before, after);
  }

  /** With the texts that thousands of records have as one text. */
  #lean(record: EndpointRecord): EndpointRecord {
    const addresses = record.addresses.map((each) => ({ ...each, subnet: this.#text(each.subnet) }));
    return { ...record, networkId: this.#text(record.networkId), nodeId: this.#text(record.nodeId), addresses };
  }

  #text(text: string): string {
    const known = this.#texts.get(text);
    if (known === undefined) this.#texts.set(text, text);
    return known ?? text;
  }

  #applyClaim(key: string, networkId: string, ip: string, value: string | undefined, touched: Touched): void {
    const before = this.#holders.claims(networkId).get(ip);
    const after = this.#decode(decodeClaim, key, value, before, touched);
    this.#touched = touched;
    if (after !== before) this.#holders.setClaim(networkId, ip, after);
  }

  #applyStaticNames(key: string, networkId: string, value: string | undefined, touched: Touched): void {
    const before = this.#staticNames.get(networkId);
    set(this.#staticNames, networkId, this.#decode(decodeStaticNames, key, value, before, touched));
    touched.networks.add(networkId);
  }

  #applyQuarantine(key: string, networkId: string, address: string, value: string | undefined, touched: Touched): void {
    const before = this.#quarantine.get(networkId)?.get(address);
    setNested(this.#quarantine, networkId, address, this.#decode(decodeQuarantine, key, value, before, touched));
  }
}

function touch({ endpoints }: Touched, { networkId, nodeId }: EndpointRecord): void {
  const nodes = endpoints.get(networkId);
  if (nodes) nodes.add(nodeId);
  else endpoints.set(networkId, new Set([nodeId]));
}

function set<T>(map: Map<string, T>, key: string, value: T | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}

function setNested<T>(maps: Map<string, Map<string, T>>, outer: string, inner: string, value: T | undefined): void {
  let map = maps.get(outer);
  if (!map) {
    if (value === undefined) return;
    map = new Map();
    maps.set(outer, map);
  }
  set(map, inner, value);
  if (map.size === 0) maps.delete(outer);
}
