/**
 * Endpoints and claims of the networks that somebody on this host asks for. A network is opened by the first question and
 * stays open as long as it is wanted here; of others one at a time is, until `rest`. So of a large cluster a host decodes,
 * and keeps in step, what it works with. Scales: opening costs one decode for each record of the network.
 */
import { AddressHolders } from './address-holders.ts';
import type { ClaimRecord, EndpointRecord } from './records.ts';

export interface OpenNetworksDeps {
  readonly isWanted: (networkId: string) => boolean;
  /** What is known of a network. */
  readonly claimsOn: (networkId: string) => Iterable<readonly [ip: string, claim: ClaimRecord]>;
  readonly endpointsOn: (networkId: string) => Iterable<EndpointRecord>;
}

export class OpenNetworks {
  readonly #deps: OpenNetworksDeps;
  readonly #open = new Set<string>();
  /** By node and id. */
  readonly #endpoints = new Map<string, Map<string, EndpointRecord>>();
  readonly #holders = new AddressHolders((record) => this.#onChange?.(record));
  /** Ids and subnets. */
  readonly #texts = new Map<string, string>();
  #onChange: ((record: EndpointRecord) => void) | undefined;

  constructor(deps: OpenNetworksDeps) {
    this.#deps = deps;
  }

  isOpen(networkId: string): boolean {
    return this.#open.has(networkId);
  }

  /** Before anything is known of the network that costs nothing. */
  open(networkId: string): void {
    const { claimsOn, endpointsOn, isWanted } = this.#deps;
    if (this.#open.has(networkId)) return;
    if (!isWanted(networkId)) this.rest();
    this.#open.add(networkId);
    // Their claims after them, so that these need no texts of their own.
    for (const record of endpointsOn(networkId)) this.#put(record, undefined, record);
    for (const [ip, claim] of claimsOn(networkId)) this.#holders.setClaim(networkId, ip, claim);
  }

  /** Closes what nobody wants. */
  rest(): void {
    for (const networkId of this.#open) if (!this.#deps.isWanted(networkId)) this.#close(networkId);
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
    this.#holders.replace(before, after);
  }

  #close(networkId: string): void {
    this.#open.delete(networkId);
    this.#holders.forget(networkId);
    for (const endpoints of this.#endpoints.values()) {
      for (const { id, nodeId, networkId: itsNetwork } of endpoints.values()) {
        if (itsNetwork === networkId) setNested(this.#endpoints, nodeId, id, undefined);
      }
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
