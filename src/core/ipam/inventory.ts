/** What etcd holds of addresses at one revision, sorted by what it is of. What cannot be read is kept apart, with its key. */
import { type Cidr, contains, parseCidr } from '../cidr.ts';
import { formatIp, parseIp } from '../ip.ts';
import {
  decodeClaim,
  decodeEndpoint,
  decodeNetwork,
  decodeNode,
  decodeQuarantine,
  decodeServices,
} from '../record-codec.ts';
import {
  type ClaimRecord,
  type EndpointRecord,
  hasAddress,
  isKeyOfRecord,
  type NetworkRecord,
  type NodeRecord,
  PREFIX,
  type QuarantineRecord,
} from '../records.ts';
import { reservedAddresses } from './address.ts';

export interface StoredRecord {
  readonly key: string;
  readonly value: string;
}

/** Whose an address, or a MAC, is said to be. */
export interface Claimed {
  readonly key: string;
  readonly networkId: string;
  /** The address, or the MAC. */
  readonly what: string;
  readonly claim: ClaimRecord;
}

export interface Unreadable {
  readonly key: string;
  readonly networkId: string | undefined;
  /** What it is of, in words. */
  readonly noun: string;
}

/** `unreadable`: it is there, and nothing is known of it. */
export type Found<T> = T | 'unreadable' | undefined;

export class Inventory {
  /** By node and id. */
  readonly endpoints = new Map<string, EndpointRecord>();
  readonly claims: Claimed[] = [];
  readonly macs: Claimed[] = [];
  readonly quarantines: (Omit<Claimed, 'claim'> & { readonly record: QuarantineRecord })[] = [];
  readonly unreadable: Unreadable[] = [];
  /** Ids of nodes, by number of a WireGuard key. */
  readonly numbers = new Map<number, string>();
  /** By network, addresses of services by their ids; `unreadable`: it is not known which. */
  readonly services = new Map<string, ReadonlyMap<string, ReadonlySet<string>> | 'unreadable'>();
  /** Keys that no record of this version has. */
  readonly strays: string[] = [];
  readonly #keys = new Set<string>();
  readonly #nodes = new Map<string, Found<NodeRecord>>();
  readonly #networks = new Map<string, Found<NetworkRecord>>();
  readonly #subnets = new Map<string, readonly Cidr[]>();
  /** By network and address, what it is, in words. */
  readonly #reserved = new Map<string, string>();
  /** By network and address. */
  readonly #at = new Map<string, EndpointRecord[]>();

  constructor(records: Iterable<StoredRecord>) {
    for (const { key, value } of records) this.#add(key, value);
    for (const endpoint of this.endpoints.values()) {
      for (const { ip } of endpoint.addresses) {
        const place = `${endpoint.networkId} ${ip}`;
        const there = this.#at.get(place);
        if (there) there.push(endpoint);
        else this.#at.set(place, [endpoint]);
      }
    }
  }

  has(key: string): boolean {
    return this.#keys.has(key);
  }

  node(id: string): Found<NodeRecord> {
    return this.#nodes.get(id);
  }

  /** Those that can be read. */
  get members(): readonly NodeRecord[] {
    return [...this.#nodes.values()].filter((node): node is NodeRecord => node !== undefined && node !== 'unreadable');
  }

  network(id: string): Found<NetworkRecord> {
    return this.#networks.get(id);
  }

  /** All that have the address, whatever its claim says. */
  at(networkId: string, ip: string): readonly EndpointRecord[] {
    return this.#at.get(`${networkId} ${ip}`) ?? [];
  }

  /** Whether the network, which is known, has no subnet for it, or it is no address at all. */
  isOutside(networkId: string, text: string): boolean {
    const subnets = this.#subnets.get(networkId);
    if (!subnets) return false;
    const ip = parseIp(text);
    return ip === undefined || formatIp(ip) !== text || !subnets.some((subnet) => contains(subnet, ip));
  }

  /** Why no endpoint of the network can be there, as the end of a sentence; undefined: one can. */
  whyOutOfPlace(networkId: string, text: string): string | undefined {
    if (this.isOutside(networkId, text)) return 'is in no subnet of its network';
    const reserved = this.#reserved.get(`${networkId} ${text}`);
    return reserved && `is ${reserved}`;
  }

  #add(key: string, value: string): void {
    if (!key.startsWith(PREFIX)) return;
    const [kind, first = '', second = ''] = key.slice(PREFIX.length).split('/');
    this.#keys.add(key);
    if (!isKeyOfRecord(key)) {
      this.strays.push(key);
      return;
    }
    const read = <T>(record: T | undefined, noun: string, networkId?: string): T | undefined => {
      if (record === undefined) this.unreadable.push({ key, networkId, noun });
      return record;
    };
    if (kind === 'nodes') this.#nodes.set(first, read(decodeNode(value), 'a host') ?? 'unreadable');
    else if (kind === 'networks') {
      const network = read(decodeNetwork(value), 'a network', first);
      this.#networks.set(first, network ?? 'unreadable');
      if (network) this.#addSubnets(first, network);
    } else if (kind === 'wireguard') {
      this.numbers.set(Number(first), value);
    } else if (kind === 'endpoints') {
      const record = decodeEndpoint(value);
      // The key says whose it is: a value of another one is none of this key's.
      const endpoint = read(record?.nodeId === first && record.id === second ? record : undefined, 'an endpoint');
      if (endpoint) this.endpoints.set(`${first} ${second}`, endpoint);
    } else if (kind === 'addresses' || kind === 'macs') {
      const noun = kind === 'macs' ? 'whose a MAC address is' : 'whose an address is';
      const claim = read(decodeClaim(value), noun, first);
      if (claim) this[kind === 'macs' ? 'macs' : 'claims'].push({ key, networkId: first, what: second, claim });
    } else if (kind === 'services') {
      const record = read(decodeServices(value), 'services', first);
      const of = record?.services.map(({ id, addresses }) => [id, new Set(addresses.map(({ ip }) => ip))] as const);
      this.services.set(first, of ? new Map(of) : 'unreadable');
    } else if (kind === 'quarantine') {
      const quarantine = read(decodeQuarantine(value), 'an address that rests', first);
      if (quarantine) this.quarantines.push({ key, networkId: first, what: second, record: quarantine });
    }
  }

  #addSubnets(id: string, { subnets }: NetworkRecord): void {
    const readable = subnets.filter(({ cidr, gateway }) => parseCidr(cidr) && parseIp(gateway));
    // Of what cannot be told nothing is out of place.
    if (readable.length < subnets.length) return;
    this.#subnets.set(
      id,
      readable.map(({ cidr }) => parseCidr(cidr)!),
    );
    for (const subnet of readable) {
      for (const [ip, what] of reservedAddresses(subnet)) this.#reserved.set(`${id} ${ip}`, what);
    }
  }

  endpoint({ endpointId, nodeId }: ClaimRecord): EndpointRecord | undefined {
    return this.endpoints.get(`${nodeId} ${endpointId}`);
  }
}

export function isAt(endpoint: EndpointRecord, { networkId, what }: Pick<Claimed, 'networkId' | 'what'>): boolean {
  return endpoint.networkId === networkId && hasAddress(endpoint, what);
}
