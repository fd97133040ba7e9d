/**
 * Zones made of what agents tell, session by session (`names-protocol.ts`). Only names of endpoints that differ are made
 * anew and lose their encoded answers; what a new session tells once more costs a comparison.
 */
import { canonical, parseAddress, parseCidr } from '../ip.ts';
import type { NamesNews, ZoneClient, ZoneEntry, ZoneNetwork } from './names-protocol.ts';
import { encodeName } from './wire.ts';
import { HIDDEN, type Named, type Zone } from './zone.ts';

type ZoneNews = Extract<NamesNews, { kind: 'zone' }>;
type ClientNews = Extract<NamesNews, { kind: 'clients' }>;

interface Told<T> {
  readonly value: T;
  /** The session that told of it last. */
  session: number;
}

interface Entry extends ZoneEntry {
  /** {@link ZoneEntry.address} as a number. */
  readonly value: number;
}

interface KeptZone {
  readonly zone: Zone;
  readonly network: ZoneNetwork;
  readonly names: Map<string, Named>;
  readonly pointers: Map<number, Uint8Array>;
  /** By address. */
  readonly entries: Map<string, Told<Entry>>;
  readonly clients: Map<string, Told<ZoneClient>>;
  /** Who goes by a name, shown or not. */
  readonly holders: Map<string, readonly Entry[]>;
  whole: boolean;
}

export class Zones {
  readonly #kept = new Map<string, KeptZone>();
  #ttlSeconds = 0;

  get(networkId: string): Zone | undefined {
    return this.#kept.get(networkId)?.zone;
  }

  /** Whether what is not in the zone does not exist, as far as an agent has said so far. */
  isWhole(networkId: string): boolean {
    return this.#kept.get(networkId)?.whole ?? false;
  }

  client(networkId: string, address: string): ZoneClient | undefined {
    return this.#kept.get(networkId)?.clients.get(address)?.value;
  }

  setTtl(ttlSeconds: number): void {
    if (ttlSeconds === this.#ttlSeconds) return;
    this.#ttlSeconds = ttlSeconds;
    for (const [networkId, { network }] of this.#kept) this.#make(networkId, network);
  }

  /** True when the network was not known before. */
  update({ networkId, network, set, removed }: ZoneNews, session: number): boolean {
    const before = this.#kept.get(networkId);
    const kept = before && isSame(before.network, network) ? before : this.#make(networkId, network);
    const gone = new Set<Entry>();
    const come: Entry[] = [];
    for (const address of removed) {
      const known = kept.entries.get(address);
      if (known === undefined) continue;
      gone.add(known.value);
      kept.entries.delete(address);
    }
    for (const told of set) {
      const known = kept.entries.get(told.address);
      if (known !== undefined && isSameEntry(known.value, told)) {
        known.session = session;
        continue;
      }
      const value = parseAddress(told.address);
      if (value === undefined) continue;
      const entry = { ...told, value };
      if (known !== undefined) gone.add(known.value);
      come.push(entry);
      kept.entries.set(told.address, { value: entry, session });
    }
    replace(kept, gone, come);
    return before === undefined;
  }

  updateClients({ networkId, set, removed }: ClientNews, session: number): void {
    const clients = this.#kept.get(networkId)?.clients;
    for (const address of removed) clients?.delete(address);
    for (const client of set) clients?.set(client.address, { value: client, session });
  }

  /** What this session has not told of the network is no more. */
  becomeWhole(networkId: string, session: number): void {
    const kept = this.#kept.get(networkId);
    if (kept === undefined) return;
    kept.whole = true;
    const gone = new Set<Entry>();
    for (const [address, told] of kept.entries) {
      if (told.session === session) continue;
      kept.entries.delete(address);
      gone.add(told.value);
    }
    for (const [address, told] of kept.clients) if (told.session !== session) kept.clients.delete(address);
    replace(kept, gone, []);
  }

  forget(networkId: string): void {
    this.#kept.delete(networkId);
  }

  networkIds(): string[] {
    return [...this.#kept.keys()];
  }

  /** All that is known, as it would have to be told to somebody who knows nothing. */
  *tell(entriesPerMessage: number): Generator<NamesNews> {
    for (const [networkId, { network, entries, clients, whole }] of this.#kept) {
      const all = [...entries.values()].map(({ value: { address, name, names, shown } }) => {
        return { address, name, names, shown };
      });
      for (let at = 0; at === 0 || at < all.length; at += entriesPerMessage) {
        yield { kind: 'zone', networkId, network, set: all.slice(at, at + entriesPerMessage), removed: [] };
      }
      const set = [...clients.values()].map(({ value }) => value);
      if (set.length > 0) yield { kind: 'clients', networkId, set, removed: [] };
      if (whole) yield { kind: 'whole', networkId };
    }
  }

  /** The zone of the network as it is called now, with what is known of the one before. */
  #make(networkId: string, network: ZoneNetwork): KeptZone {
    const before = this.#kept.get(networkId);
    const names = new Map<string, Named>();
    const pointers = new Map<number, Uint8Array>();
    const kept: KeptZone = {
      zone: {
        networkId,
        network: network.name.toLowerCase(),
        internal: network.internal,
        subnets: network.subnets.flatMap((cidr) => parseCidr(cidr) ?? []).map(canonical),
        ttlSeconds: this.#ttlSeconds,
        names,
        pointers,
      },
      ...{ network, names, pointers, holders: new Map() },
      entries: before?.entries ?? new Map(),
      clients: before?.clients ?? new Map(),
      whole: before?.whole ?? false,
    };
    replace(
      kept,
      new Set(),
      [...kept.entries.values()].map(({ value }) => value),
    );
    this.#kept.set(networkId, kept);
    return kept;
  }
}

function replace({ network, names, pointers, holders }: KeptZone, gone: ReadonlySet<Entry>, come: readonly Entry[]) {
  const coming = new Map<string, Entry[]>();
  for (const entry of gone) {
    pointers.delete(entry.value);
    for (const name of entry.names) coming.set(name, []);
  }
  for (const entry of come) {
    const target = encodeName(`${entry.name}.${network.name}`) ?? encodeName(entry.name);
    if (entry.shown && target !== undefined) pointers.set(entry.value, target);
    for (const name of entry.names) {
      const others = coming.get(name);
      if (others === undefined) coming.set(name, [entry]);
      else others.push(entry);
    }
  }
  for (const [name, added] of coming) {
    const staying = holders.get(name)?.filter((entry) => !gone.has(entry)) ?? [];
    const now = [...staying, ...added];
    if (now.length === 0) {
      holders.delete(name);
      names.delete(name);
    } else {
      holders.set(name, now);
      names.set(name, namedBy(now));
    }
  }
}

function namedBy(holders: readonly Entry[]): Named {
  const addresses = holders.filter(({ shown }) => shown).map(({ value }) => value);
  return addresses.length === 0 ? HIDDEN : { kind: 'resolves', addresses: addresses.sort((a, b) => a - b) };
}

function isSame(a: ZoneNetwork, b: ZoneNetwork): boolean {
  return a.name === b.name && a.internal === b.internal && sameItems(a.subnets, b.subnets);
}

function isSameEntry(a: ZoneEntry, b: ZoneEntry): boolean {
  return a.name === b.name && a.shown === b.shown && sameItems(a.names, b.names);
}

function sameItems(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, at) => item === b[at]);
}
