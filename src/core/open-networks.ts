/**
 * Endpoints and claims of the networks that somebody on this host asks for. A network is opened by the first question and
 * stays open as long as it is wanted here; of others a few are, until nobody has asked for a while. So of a large cluster a
 * host decodes, and keeps in step, what it works with. Scales: opening costs one decode for each record of the network.
 */
import { AddressHolders } from './address-holders.ts';
import type { Refusal } from './cluster-view.ts';
import { whyNotAt } from './ipam/address.ts';
import { NetworkTallies, type SubnetTally } from './network-tallies.ts';
import { type ClaimRecord, type EndpointRecord, keys, type NetworkRecord, type QuarantineRecord } from './records.ts';

/** Networks that nobody wants and that are open at a time: an attach asks several times before its network is wanted. */
const MOST_UNWANTED = 8;

export interface OpenNetworksDeps {
  readonly isWanted: (networkId: string) => boolean;
  /** What is known of a network. */
  readonly claimsOn: (networkId: string) => Iterable<readonly [ip: string, claim: ClaimRecord]>;
  readonly endpointsOn: (networkId: string) => Iterable<EndpointRecord>;
  readonly network: (networkId: string) => NetworkRecord | undefined;
  /** By address. */
  readonly quarantine: (networkId: string) => ReadonlyMap<string, QuarantineRecord>;
}

export class OpenNetworks {
  readonly #deps: OpenNetworksDeps;
  /** Those that were opened last are last. */
  readonly #open = new Set<string>();
  /** Since the last `rest`. */
  readonly #asked = new Set<string>();
  /** By node and id. */
  readonly #endpoints = new Map<string, Map<string, EndpointRecord>>();
  readonly #holders: AddressHolders;
  readonly #tallies: NetworkTallies;
  /** Endpoints that are at addresses which are none for endpoints of their network, and why: shown nowhere. */
  readonly #unsound = new Map<EndpointRecord, string>();
  /** Ids and subnets. */
  readonly #texts = new Map<string, string>();
  #onChange: ((record: EndpointRecord) => void) | undefined;

  constructor(deps: OpenNetworksDeps) {
    this.#deps = deps;
    this.#tallies = new NetworkTallies({
      shown: (networkId) => this.#holders.shown(networkId),
      claims: (networkId) => this.#holders.claims(networkId),
      quarantine: deps.quarantine,
    });
    this.#holders = new AddressHolders(
      (record) => this.#onChange?.(record),
      (networkId, ip, act) => this.#tallies.around(networkId, ip, act),
    );
  }

  isOpen(networkId: string): boolean {
    return this.#open.has(networkId);
  }

  /** Before anything is known of the network that costs nothing. */
  open(networkId: string): void {
    const { claimsOn, endpointsOn, isWanted } = this.#deps;
    this.#asked.add(networkId);
    if (this.#open.has(networkId)) return;
    if (!isWanted(networkId)) for (const id of this.#unwanted().slice(0, 1 - MOST_UNWANTED)) this.#close(id);
    this.#open.add(networkId);
    this.#holders.begin(networkId, claimsOn(networkId));
    for (const record of endpointsOn(networkId)) this.#put(record, undefined, record);
  }

  /** Closes what nobody wants, and has asked for since the last time. */
  rest(): void {
    for (const networkId of this.#unwanted()) if (!this.#asked.has(networkId)) this.#close(networkId);
    this.#asked.clear();
  }

  #unwanted(): string[] {
    return [...this.#open].filter((networkId) => !this.#deps.isWanted(networkId));
  }

  /** Calls back with each record that is shown somewhere now, or no longer, because of what `act` does. */
  noting(onChange: (record: EndpointRecord) => void, act: () => void): void {
    this.#onChange = onChange;
    act();
    this.#onChange = undefined;
  }

  /** Of an open network. */
  endpoint({ nodeId, id }: Pick<EndpointRecord, 'nodeId' | 'id'>): EndpointRecord | undefined {
    return this.#endpoints.get(nodeId)?.get(id);
  }

  /** Records of open networks that are shown nowhere, and claims that are not believed. */
  get refusals(): readonly Refusal[] {
    const endpoints = [...this.#unsound].map(([record, what]) => ({
      ...{ key: keys.endpoint(record), nodeId: record.nodeId, what },
    }));
    return [...endpoints, ...this.#holders.refusals];
  }

  /** The network's record is another one: what was wrong with its endpoints may be right. */
  judge(networkId: string): void {
    if (!this.#open.has(networkId)) return;
    for (const endpoints of this.#endpoints.values()) {
      for (const record of endpoints.values()) {
        if (record.networkId !== networkId) continue;
        const before = this.#soundly(record);
        this.#holders.replace(before, this.#judged(record));
      }
    }
  }

  /** By address; opens the network. */
  shown(networkId: string): ReadonlyMap<string, EndpointRecord> {
    this.open(networkId);
    return this.#holders.shown(networkId);
  }

  /** By address; opens the network. */
  claims(networkId: string): ReadonlyMap<string, ClaimRecord> {
    this.open(networkId);
    return this.#holders.claims(networkId);
  }

  /** Opens the network. */
  subnetTally(networkId: string, cidr: string): SubnetTally {
    this.open(networkId);
    return this.#tallies.subnet(networkId, cidr);
  }

  /** By MAC; opens the network. */
  sharedMacs(networkId: string): ReadonlyMap<string, ReadonlySet<EndpointRecord>> {
    this.open(networkId);
    return this.#tallies.sharedMacs(networkId);
  }

  /** `act` changes what rests at the address. */
  resting(networkId: string, ip: string, act: () => void): void {
    this.#tallies.around(networkId, ip, act);
  }

  /** `record`: as it is now; undefined: there is none. Returns what of it was held and is: of open networks alone. */
  setEndpoint(
    of: Pick<EndpointRecord, 'nodeId' | 'id'>,
    record: EndpointRecord | undefined,
  ): readonly (EndpointRecord | undefined)[] {
    const before = this.endpoint(of);
    if (record === before) return [];
    const after = record && this.#open.has(record.networkId) ? this.#lean(record) : undefined;
    this.#put(of, before, after);
    return [before, after];
  }

  setClaim(networkId: string, ip: string, claim: ClaimRecord | undefined): void {
    if (!this.#open.has(networkId) || claim === this.#holders.claims(networkId).get(ip)) return;
    this.#holders.setClaim(networkId, ip, claim);
  }

  #put(
    { nodeId, id }: Pick<EndpointRecord, 'nodeId' | 'id'>,
    before: EndpointRecord | undefined,
    after: EndpointRecord | undefined,
  ): void {
    setNested(this.#endpoints, nodeId, id, after);
    const was = this.#soundly(before);
    if (before) this.#unsound.delete(before);
    this.#holders.replace(was, after && this.#judged(after));
  }

  /** As it was judged. */
  #soundly(record: EndpointRecord | undefined): EndpointRecord | undefined {
    return record && this.#unsound.has(record) ? undefined : record;
  }

  #judged(record: EndpointRecord): EndpointRecord | undefined {
    const network = this.#deps.network(record.networkId);
    const why = network && whyNotAt(network, record);
    if (why === undefined) this.#unsound.delete(record);
    else this.#unsound.set(record, why);
    return this.#soundly(record);
  }

  #close(networkId: string): void {
    this.#open.delete(networkId);
    this.#holders.forget(networkId);
    this.#tallies.forget(networkId);
    for (const endpoints of this.#endpoints.values()) {
      for (const { id, nodeId, networkId: itsNetwork } of endpoints.values()) {
        if (itsNetwork === networkId) setNested(this.#endpoints, nodeId, id, undefined);
      }
    }
    for (const record of this.#unsound.keys()) {
      if (record.networkId === networkId) this.#unsound.delete(record);
    }
    if (this.#open.size === 0) this.#texts.clear();
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
}

/** Undefined: it is taken out, and with the last one its map. */
export function setNested<T>(
  maps: Map<string, Map<string, T>>,
  outer: string,
  inner: string,
  value: T | undefined,
): void {
  const map = maps.get(outer);
  if (value !== undefined) {
    if (map) map.set(inner, value);
    else maps.set(outer, new Map([[inner, value]]));
  } else if (map?.delete(inner) && map.size === 0) maps.delete(outer);
}
