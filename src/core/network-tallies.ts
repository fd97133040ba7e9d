/**
 * What is asked of a network again and again, and would take a look at each of its endpoints: how many addresses of a subnet are
 * taken and how many rest, and which MACs several endpoints have. Counted once, when it is asked first, and kept in step from then
 * on. Scales: a change costs constant work; MACs take some fifty bytes for each endpoint, and the numbers nothing.
 */
import { type Cidr, contains, requireCidr } from './cidr.ts';
import { familyOfAddress, parseIp } from './ip.ts';
import type { EndpointRecord, QuarantineRecord } from './records.ts';

/** Of one subnet, by address; also of those that no endpoint gets. */
export interface SubnetTally {
  /** An endpoint is there, or somebody's claim. */
  readonly taken: number;
  /** Resting, and not taken: for anybody, and for a name. */
  readonly quarantined: number;
  readonly kept: number;
}

export interface TalliesDeps {
  /** Of an open network, by address. */
  readonly shown: (networkId: string) => ReadonlyMap<string, EndpointRecord>;
  readonly claims: (networkId: string) => ReadonlyMap<string, unknown>;
  readonly quarantine: (networkId: string) => ReadonlyMap<string, QuarantineRecord>;
}

type State = keyof SubnetTally | 'free';

interface Tallied {
  /** By CIDR. */
  readonly subnets: Map<string, { readonly block: Cidr; readonly tally: Record<State, number> }>;
  macs?: MacHolders;
}

export class NetworkTallies {
  readonly #deps: TalliesDeps;
  readonly #networks = new Map<string, Tallied>();

  constructor(deps: TalliesDeps) {
    this.#deps = deps;
  }

  /** Kept in step until the network is forgotten. Throws `invalid-address` for what is no CIDR. */
  subnet(networkId: string, cidr: string): SubnetTally {
    const { subnets } = this.#of(networkId);
    const known = subnets.get(cidr) ?? this.#count(networkId, requireCidr(cidr, 'subnet'));
    subnets.set(cidr, known);
    return known.tally;
  }

  /** Endpoints that have one MAC, by MAC; kept in step until the network is forgotten. */
  sharedMacs(networkId: string): ReadonlyMap<string, ReadonlySet<EndpointRecord>> {
    const tallied = this.#of(networkId);
    if (!tallied.macs) {
      tallied.macs = new MacHolders();
      for (const record of this.#deps.shown(networkId).values()) tallied.macs.add(record);
    }
    return tallied.macs.shared;
  }

  forget(networkId: string): void {
    this.#networks.delete(networkId);
  }

  /** What `act` changes is what is at that address of the network, and nothing else. */
  around(networkId: string, ip: string, act: () => void): void {
    const tallied = this.#networks.get(networkId);
    if (!tallied) {
      act();
      return;
    }
    const { shown } = this.#deps;
    const [state, holder] = [this.#stateOf(networkId, ip), shown(networkId).get(ip)];
    act();
    this.#move(tallied, ip, state, this.#stateOf(networkId, ip));
    for (const record of [holder, shown(networkId).get(ip)]) if (record) this.#noteMac(tallied, record);
  }

  #of(networkId: string): Tallied {
    const tallied = this.#networks.get(networkId) ?? { subnets: new Map() };
    this.#networks.set(networkId, tallied);
    return tallied;
  }

  #count(networkId: string, block: Cidr) {
    const { claims: claimsOf, quarantine, shown } = this.#deps;
    const tally = { taken: 0, quarantined: 0, kept: 0, free: 0 };
    const [endpoints, claims] = [shown(networkId), claimsOf(networkId)];
    for (const ip of endpoints.keys()) if (isWithin(block, ip)) tally.taken++;
    for (const ip of claims.keys()) if (!endpoints.has(ip) && isWithin(block, ip)) tally.taken++;
    for (const [ip, { keptFor }] of quarantine(networkId)) {
      if (endpoints.has(ip) || claims.has(ip) || !isWithin(block, ip)) continue;
      tally[keptFor ? 'kept' : 'quarantined']++;
    }
    return { block, tally };
  }

  #stateOf(networkId: string, ip: string): State {
    const { claims, quarantine, shown } = this.#deps;
    if (shown(networkId).has(ip) || claims(networkId).has(ip)) return 'taken';
    const resting = quarantine(networkId).get(ip);
    if (!resting) return 'free';
    return resting.keptFor ? 'kept' : 'quarantined';
  }

  #move({ subnets }: Tallied, ip: string, from: State, to: State): void {
    if (from === to) return;
    for (const { block, tally } of subnets.values()) {
      if (!isWithin(block, ip)) continue;
      tally[from]--;
      tally[to]++;
    }
  }

  /** One of several addresses is there as long as it is at one of them. */
  #noteMac({ macs }: Tallied, record: EndpointRecord): void {
    const shown = this.#deps.shown(record.networkId);
    if (record.addresses.some(({ ip }) => shown.get(ip) === record)) macs?.add(record);
    else macs?.delete(record);
  }
}

function isWithin(block: Cidr, address: string): boolean {
  if (familyOfAddress(address) !== block.ip.family) return false;
  const ip = parseIp(address);
  return ip !== undefined && contains(block, ip);
}

/** Who has which MAC: nearly always one. */
class MacHolders {
  readonly #only = new Map<string, EndpointRecord>();
  readonly shared = new Map<string, Set<EndpointRecord>>();

  add(record: EndpointRecord): void {
    const { mac } = record;
    const [only, several] = [this.#only.get(mac), this.shared.get(mac)];
    if (several) several.add(record);
    else if (!only) this.#only.set(mac, record);
    else if (only !== record) {
      this.#only.delete(mac);
      this.shared.set(mac, new Set([only, record]));
    }
  }

  delete(record: EndpointRecord): void {
    const { mac } = record;
    const several = this.shared.get(mac);
    if (!several) {
      if (this.#only.get(mac) === record) this.#only.delete(mac);
      return;
    }
    several.delete(record);
    const [last, other] = several;
    if (other) return;
    this.shared.delete(mac);
    if (last) this.#only.set(mac, last);
  }
}
