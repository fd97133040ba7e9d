/**
 * The cluster view: typed records by id, name and network, kept in step with the replica change by change; endpoints and
 * claims only of networks that are open (`open-networks.ts`). Of all others, which are most of a large cluster, there is
 * what the replica has, and what cannot be read. Scales: one change costs one decode and constant work.
 */
import { ChangeCounts } from './change-counts.ts';
import type { ClusterView, Refusal } from './cluster-view.ts';
import type { RecordChange } from './gossip/replica.ts';
import type { ShownRecords } from './gossip/shown-records.ts';
import { LegibleRecords } from './legible-records.ts';
import { NodeRecords } from './node-records.ts';
import { OpenNetworks, setNested } from './open-networks.ts';
import {
  decodeClaim,
  decodeEndpoint,
  decodeLive,
  decodeNetwork,
  decodeNode,
  decodeQuarantine,
  decodeServices,
  decodeStaticNames,
  decodeToken,
} from './record-codec.ts';
import {
  type ClaimRecord,
  type ClusterRecord,
  type EndpointRecord,
  keys,
  type LiveRecord,
  type NetworkRecord,
  type NodeRecord,
  PREFIX,
  type QuarantineRecord,
  type StaticNamesRecord,
} from './records.ts';
import type { ServicesRecord } from './service-records.ts';
import { SingleRecords } from './single-records.ts';

/** What a set of changes touched; everything derived is refreshed by this and nothing else. */
export interface Touched {
  /** Networks whose own record, static names or services changed. */
  readonly networks: Set<string>;
  /** Nodes whose endpoints changed, by network: of networks that are open, for nobody has seen the others. */
  readonly endpoints: Map<string, Set<string>>;
  /** Members, their addresses or their keys changed. */
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
  readonly shown: Pick<ShownRecords, 'get' | 'below' | 'about' | 'count' | 'countAll'>;
}

const NONE = new Map<string, never>();
/** A network of more addresses is kept open: whoever attaches first would wait longer than 10 ms for it. */
const LARGE = 1_000;

export class ClusterIndex implements ClusterView {
  readonly #source: IndexSource;
  readonly #single = new SingleRecords();
  readonly #nodes: NodeRecords;
  readonly #networks = new Map<string, NetworkRecord>();
  readonly #networkIds = new Map<string, string>();
  readonly #open: OpenNetworks;
  /** Networks of so many endpoints that opening them takes its time. */
  #large: ReadonlySet<string> = new Set();
  readonly #changes: ChangeCounts;
  readonly #quarantine = new Map<string, Map<string, QuarantineRecord>>();
  readonly #staticNames = new Map<string, StaticNamesRecord>();
  readonly #services = new Map<string, ServicesRecord>();
  readonly #keyNumbers = new Map<number, string>();
  readonly #legible = new LegibleRecords();

  /** `isWanted`: networks of which everything is kept in step. */
  constructor(source: IndexSource, isWanted: (networkId: string) => boolean, selfId = '') {
    this.#source = source;
    this.#changes = new ChangeCounts(selfId);
    this.#nodes = new NodeRecords(selfId);
    this.#open = new OpenNetworks({
      isWanted: (networkId) => isWanted(networkId) || this.#large.has(networkId),
      claimsOn: (networkId) => this.#claimsOn(networkId),
      // Nobody counted what changed while it was not open.
      endpointsOn: (networkId) => {
        this.#changes.noteEndpoints(networkId);
        return this.#endpointsOn(networkId);
      },
      network: (networkId) => this.#networks.get(networkId),
      quarantine: (networkId) => this.quarantine(networkId),
    });
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
    return this.#legible.unreadable;
  }

  get level(): number | undefined {
    return this.#single.level;
  }

  cluster(): ClusterRecord | undefined {
    return this.#single.cluster;
  }

  keepers = () => this.#single.keepers?.nodeIds;
  keepersRecord = () => this.#single.keepers;
  storeChange = () => this.#single.storeChange;

  node(nodeId: string): NodeRecord | undefined {
    return this.#nodes.get(nodeId);
  }

  nodes(): Iterable<NodeRecord> {
    return this.#nodes.all();
  }

  live(nodeId: string): LiveRecord | undefined {
    return this.#nodes.live(nodeId);
  }

  get refusals(): readonly Refusal[] {
    const ofNodes = [...this.#nodes.refusals].flatMap(([nodeId, all]) =>
      all.map((what) => ({ key: keys.node(nodeId), nodeId, what })),
    );
    return [...ofNodes, ...this.#open.refusals];
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

  endpoint(of: Pick<EndpointRecord, 'nodeId' | 'id'>): EndpointRecord | undefined {
    return this.#open.endpoint(of) ?? this.#readEndpoint(keys.endpoint(of));
  }

  #readEndpoint(key: string): EndpointRecord | undefined {
    const text = () => this.#source.shown.get(key)?.value ?? 'null';
    return this.#legible.read<EndpointRecord>(key, () => JSON.parse(text()) ?? undefined);
  }

  endpointsOf(nodeId: string): ReadonlyMap<string, EndpointRecord> {
    const all = new Map<string, EndpointRecord>();
    for (const { key, parse } of this.#source.shown.below(keys.endpointsOf(nodeId))) {
      const id = key.slice(key.lastIndexOf('/') + 1);
      const record = this.#open.endpoint({ nodeId, id }) ?? this.#legible.read<EndpointRecord>(key, parse);
      if (record) all.set(id, record);
    }
    return all;
  }

  endpointCount(nodeId?: string): number {
    const { shown } = this.#source;
    return nodeId === undefined ? shown.countAll(keys.endpoints) : shown.count(keys.endpointsOf(nodeId));
  }

  addresses(networkId: string): ReadonlyMap<string, EndpointRecord> {
    return this.#open.shown(networkId);
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
    this.open(networkId);
    return this.#changes.moment(networkId);
  }

  momentOfOthers(networkId: string): number {
    this.open(networkId);
    return this.#changes.momentOfOthers(networkId);
  }

  claims(networkId: string): ReadonlyMap<string, ClaimRecord> {
    return this.#open.claims(networkId);
  }

  staticNames(networkId: string): StaticNamesRecord | undefined {
    return this.#staticNames.get(networkId);
  }

  services(networkId: string): ServicesRecord | undefined {
    return this.#services.get(networkId);
  }

  quarantine(networkId: string): ReadonlyMap<string, QuarantineRecord> {
    return this.#quarantine.get(networkId) ?? NONE;
  }

  subnetTally = (networkId: string, cidr: string) => this.#open.subnetTally(networkId, cidr);
  sharedMacs = (networkId: string) => this.#open.sharedMacs(networkId);

  keyNumbers(): ReadonlyMap<number, string> {
    return this.#keyNumbers;
  }

  /** What the network has is known from now on without being looked for. Before anything is known that costs nothing. */
  open(networkId: string): void {
    this.#open.open(networkId);
  }

  /** Lets go of what was looked for and is not wanted any more; and opens, one at a time, what is large. */
  rest(): void {
    const { shown } = this.#source;
    this.#large = new Set([...this.#networks.keys()].filter((id) => shown.count(keys.addressesOn(id)) > LARGE));
    const next = [...this.#large].find((id) => !this.#open.isOpen(id));
    if (next !== undefined) this.#open.open(next);
    this.#open.rest();
  }

  *#claimsOn(networkId: string): Iterable<readonly [ip: string, claim: ClaimRecord]> {
    const prefix = keys.addressesOn(networkId);
    for (const { key, parse } of this.#source.shown.below(prefix)) {
      const claim = this.#legible.read<ClaimRecord>(key, parse);
      if (claim) yield [key.slice(prefix.length), claim];
    }
  }

  *#endpointsOn(networkId: string): Iterable<EndpointRecord> {
    const isThere = (record: EndpointRecord) => record.networkId === networkId;
    for (const { key, parse } of this.#source.shown.about(networkId, keys.endpoints)) {
      if (this.#legible.isUnreadable(key)) continue;
      const record = parse() as EndpointRecord;
      if (isThere(record)) yield record;
    }
    for (const [key, record] of this.#legible.standing) {
      if (key.startsWith(keys.endpoints) && isThere(record as EndpointRecord)) yield record as EndpointRecord;
    }
  }

  /** `onShown`: called with records of endpoints that are shown somewhere now, or no longer. */
  apply(changes: Iterable<RecordChange>, onShown?: (record: EndpointRecord) => void): Touched {
    const touched: Touched = { networks: new Set(), endpoints: new Map(), nodes: false, live: false, refused: [] };
    const note = (record: EndpointRecord) => {
      touch(touched, record);
      onShown?.(record);
    };
    this.#open.noting(note, () => this.#applyAll(changes, touched));
    return touched;
  }

  #applyAll(changes: Iterable<RecordChange>, touched: Touched): void {
    for (const change of changes) {
      const { key, value } = change;
      if (!key.startsWith(PREFIX)) continue;
      const [kind, first, second] = key.slice(PREFIX.length).split('/');
      if (kind === 'cluster' || kind === 'store') this.#applySingle(key, value, touched);
      else if (first === undefined) continue;
      else if (kind === 'nodes') this.#applyNode(key, first, value, touched);
      else if (kind === 'live') this.#applyLive(key, first, value, touched);
      else if (kind === 'node-names') this.#applyName(first, value, touched);
      else if (kind === 'networks') this.#applyNetwork(key, first, value, touched);
      else if (kind === 'endpoints' && second !== undefined)
        this.#applyEndpoint(change, { nodeId: first, id: second }, touched);
      else if (kind === 'addresses' && second !== undefined) this.#applyClaim(change, first, second, touched);
      else if (kind === 'quarantine' && second !== undefined) this.#applyQuarantine(key, first, second, value, touched);
      else if (kind === 'dns') this.#applyStaticNames(key, first, value, touched);
      else if (kind === 'services') this.#applyServices(key, first, value, touched);
      else if (kind === 'wireguard') {
        set(this.#keyNumbers, Number(first), value);
        touched.nodes = true;
      }
      // These are read where they are needed; here only whether they can be.
      else if (kind === 'macs') this.#decode(decodeClaim, key, value, undefined, touched);
      else if (kind === 'tokens') this.#decode(decodeToken, key, value, undefined, touched);
    }
    if (touched.nodes) this.#changes.noteNodes();
    for (const [networkId, nodeIds] of touched.endpoints) this.#changes.noteEndpoints(networkId, nodeIds);
  }

  #decode<T>(
    decoder: (text: string) => T | undefined,
    key: string,
    value: string | undefined,
    before: T | undefined,
    { refused }: Touched,
  ): T | undefined {
    return this.#legible.decode(decoder, { key, value }, before, refused);
  }

  /** What is spoken decides what members offer; who keeps the store, where it is asked. */
  #applySingle(key: string, value: string | undefined, touched: Touched): void {
    this.#single.apply(key, value, (decoder, before) => this.#decode(decoder, key, value, before, touched));
    touched.nodes = true;
    this.#nodes.setKeepers(this.#single.keepers?.nodeIds);
  }

  #applyName(name: string, nodeId: string | undefined, touched: Touched): void {
    if (this.#nodes.setName(name, nodeId)) touched.nodes = true;
  }

  #applyNode(key: string, id: string, value: string | undefined, touched: Touched): void {
    const decoder = (text: string) => {
      const record = decodeNode(text);
      return record?.id === id ? record : undefined;
    };
    const record = this.#decode(decoder, key, value, this.#nodes.said(id), touched);
    this.#nodes.set(id, record, this.#source.shown.get(key)?.revision ?? 0);
    touched.nodes = true;
  }

  #applyLive(key: string, id: string, value: string | undefined, touched: Touched): void {
    const record = this.#decode(decodeLive, key, value, this.#nodes.live(id), touched);
    if (this.#nodes.setLive(id, record)) touched.nodes = true;
    touched.live = true;
  }

  #applyNetwork(key: string, id: string, value: string | undefined, touched: Touched): void {
    const before = this.#networks.get(id);
    const after = this.#decode(decodeNetwork, key, value, before, touched);
    if (before && this.#networkIds.get(before.name) === id) this.#networkIds.delete(before.name);
    set(this.#networks, id, after);
    if (!after) this.#changes.forget(id);
    // A network that is being deleted has given its name back.
    if (after?.state === 'active') this.#networkIds.set(after.name, id);
    this.#open.judge(id);
    touched.networks.add(id);
  }

  #applyEndpoint(change: RecordChange, of: Pick<EndpointRecord, 'nodeId' | 'id'>, touched: Touched): void {
    const decoder = (text: string) => endpointOf(change.key, text);
    const record = this.#legible.decodeStanding(decoder, change, this.#open.endpoint(of), touched.refused);
    for (const each of this.#open.setEndpoint(of, record)) if (each) touch(touched, each);
  }

  #applyClaim(change: RecordChange, networkId: string, ip: string, touched: Touched): void {
    const held = this.#open.isOpen(networkId) ? this.#open.claims(networkId).get(ip) : undefined;
    this.#open.setClaim(networkId, ip, this.#legible.decodeStanding(decodeClaim, change, held, touched.refused));
  }

  #applyStaticNames(key: string, networkId: string, value: string | undefined, touched: Touched): void {
    const before = this.#staticNames.get(networkId);
    set(this.#staticNames, networkId, this.#decode(decodeStaticNames, key, value, before, touched));
    touched.networks.add(networkId);
  }

  #applyServices(key: string, networkId: string, value: string | undefined, touched: Touched): void {
    const before = this.#services.get(networkId);
    set(this.#services, networkId, this.#decode(decodeServices, key, value, before, touched));
    touched.networks.add(networkId);
  }

  #applyQuarantine(key: string, networkId: string, address: string, value: string | undefined, touched: Touched): void {
    const before = this.#quarantine.get(networkId)?.get(address);
    const after = this.#decode(decodeQuarantine, key, value, before, touched);
    this.#open.resting(networkId, address, () => setNested(this.#quarantine, networkId, address, after));
  }
}

/** The key says whose it is. */
function endpointOf(key: string, value: string): EndpointRecord | undefined {
  const record = decodeEndpoint(value);
  return record && keys.endpoint(record) === key ? record : undefined;
}

function touch({ endpoints }: Touched, { networkId, nodeId }: EndpointRecord): void {
  const nodes = endpoints.get(networkId);
  if (nodes) nodes.add(nodeId);
  else endpoints.set(networkId, new Set([nodeId]));
}

function set<K, T>(map: Map<K, T>, key: K, value: T | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}
