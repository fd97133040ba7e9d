/**
 * Zones made of what agents tell, session by session (`names-protocol.ts`). Only names of endpoints that differ are made
 * anew and lose their encoded answers; what a new session tells once more costs a comparison.
 */
import { canonical, parseCidr } from '../cidr.ts';
import { compareIps, formatIp, parseIp, parseIpv4Number, requireIp } from '../ip.ts';
import type { StaticSet } from '../records.ts';
import { fixedNames, fixedPointers as pointersOf } from './fixed.ts';
import type { NamesNews, ZoneClient, ZoneEntry, ZoneNetwork, ZoneServiceAddress } from './names-protocol.ts';
import { HIDDEN, type Named, type Pointer, type Zone } from './zone.ts';

type ZoneNews = Extract<NamesNews, { kind: 'zone' }>;
type StaticNews = Extract<NamesNews, { kind: 'static' }>;
type ServiceNews = Extract<NamesNews, { kind: 'services' }>;
type ClientNews = Extract<NamesNews, { kind: 'clients' }>;

interface Entry extends ZoneEntry {
  /** What names that it alone goes by are. */
  readonly own: Named;
  /** The session that told of it last. */
  session: number;
}

interface Client extends ZoneClient {
  readonly session: number;
}

interface KeptZone {
  readonly zone: Zone;
  readonly network: ZoneNetwork;
  readonly names: Map<string, Named>;
  readonly pointers: Map<string, Pointer>;
  readonly fixedPointers: Map<string, Pointer>;
  /** By address. */
  readonly entries: Map<string, Entry>;
  readonly clients: Map<string, Client>;
  /** Who goes by a name, shown or not; hardly ever more than one. */
  readonly holders: Map<string, Entry | readonly Entry[]>;
  /** By name. */
  fixed: ReadonlyMap<string, Named>;
  sets: readonly StaticSet[];
  /** That told of them last. */
  fixedSession: number;
  readonly services: Map<string, Named>;
  /** The same. */
  servicesSession: number;
  whole: boolean;
  /** Told before it may be answered from, in that session: what another one knows of its ways is another matter. */
  ahead: number | undefined;
}

export class Zones {
  readonly #kept = new Map<string, KeptZone>();
  #ttlSeconds = 0;

  get(networkId: string): Zone | undefined {
    const kept = this.#kept.get(networkId);
    return kept?.ahead === undefined ? kept?.zone : undefined;
  }

  /** Whether what is not in the zone does not exist, as far as an agent has said so far. */
  isWhole(networkId: string): boolean {
    return this.#kept.get(networkId)?.whole ?? false;
  }

  client(networkId: string, address: string): ZoneClient | undefined {
    return this.#kept.get(networkId)?.clients.get(address);
  }

  setTtl(ttlSeconds: number): void {
    if (ttlSeconds === this.#ttlSeconds) return;
    this.#ttlSeconds = ttlSeconds;
    for (const [networkId, { network }] of this.#kept) this.#make(networkId, network);
  }

  /** True when something of the network can be answered that could not before. */
  update({ networkId, network, set, removed, ahead = false }: ZoneNews, session: number): boolean {
    const wasAnswered = this.get(networkId) !== undefined;
    if (!wasAnswered && this.#kept.get(networkId)?.ahead !== session) this.#kept.delete(networkId);
    const before = this.#kept.get(networkId);
    const kept = before && isSame(before.network, network) ? before : this.#make(networkId, network);
    kept.ahead = ahead && !wasAnswered ? session : undefined;
    const gone = new Set<Entry>();
    const come: Entry[] = [];
    for (const address of removed) {
      const known = kept.entries.get(address);
      if (known === undefined) continue;
      gone.add(known);
      kept.entries.delete(address);
    }
    for (const told of set) {
      const known = kept.entries.get(told.address);
      if (known !== undefined && isSameEntry(known, told)) {
        known.session = session;
        continue;
      }
      const { address, name, names, shown, unwell, services } = told;
      if (!isAddress(address)) continue;
      const own = shown ? resolving([address], [told]) : HIDDEN;
      const entry: Entry = { address, name, names, shown, unwell, services, own, session };
      if (known !== undefined) gone.add(known);
      come.push(entry);
      kept.entries.set(address, entry);
    }
    replace(kept, gone, come);
    return !wasAnswered && kept.ahead === undefined;
  }

  /** What sessions before told goes: another container may have got the address of one that was on more networks. */
  updateClients({ networkId, set, removed }: ClientNews, session: number): void {
    const clients = this.#kept.get(networkId)?.clients;
    if (clients === undefined) return;
    for (const [address, told] of clients) if (told.session !== session) clients.delete(address);
    for (const address of removed) clients.delete(address);
    for (const client of set) clients.set(client.address, { ...client, session });
  }

  updateStatic({ networkId, sets }: StaticNews, session: number): void {
    const kept = this.#kept.get(networkId);
    if (kept === undefined) return;
    kept.fixedSession = session;
    setFixed(kept, sets);
  }

  updateServices({ networkId, services }: ServiceNews, session: number): void {
    const kept = this.#kept.get(networkId);
    if (kept === undefined) return;
    kept.servicesSession = session;
    setServices(kept, services);
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
      gone.add(told);
    }
    replace(kept, gone, []);
    if (kept.fixedSession !== session) setFixed(kept, []);
    if (kept.servicesSession !== session) setServices(kept, []);
  }

  forget(networkId: string): void {
    this.#kept.delete(networkId);
  }

  networkIds(): string[] {
    return [...this.#kept.keys()];
  }

  /** All that is known, as it would have to be told to somebody who knows nothing. */
  *tell(entriesPerMessage: number): Generator<NamesNews> {
    for (const networkId of this.#kept.keys()) yield* this.tellOf(networkId, entriesPerMessage);
  }

  /** The same of one network. */
  *tellOf(networkId: string, entriesPerMessage: number): Generator<NamesNews> {
    const known = this.#kept.get(networkId);
    if (known === undefined) return;
    const { network, entries, clients, sets, whole, ...kept } = known;
    const ahead = kept.ahead !== undefined || undefined;
    const all = [...entries.values()].map(tellingOf);
    for (let at = 0; at === 0 || at < all.length; at += entriesPerMessage) {
      yield { kind: 'zone', networkId, network, set: all.slice(at, at + entriesPerMessage), removed: [], ahead };
    }
    if (sets.length > 0) yield { kind: 'static', networkId, sets };
    const services = [...kept.services].map(([name, { addresses }]) => ({ name, addresses }));
    if (services.length > 0) yield { kind: 'services', networkId, services };
    const set = [...clients.values()].map(({ address, networks, wayOut }) => ({ address, networks, wayOut }));
    if (set.length > 0) yield { kind: 'clients', networkId, set, removed: [] };
    if (whole) yield { kind: 'whole', networkId };
  }

  /** The zone of the network as it is called now, with what is known of the one before. */
  #make(networkId: string, network: ZoneNetwork): KeptZone {
    const before = this.#kept.get(networkId);
    const names = new Map<string, Named>();
    const pointers = new Map<string, Pointer>();
    const fixedPointers = new Map<string, Pointer>();
    const services = new Map<string, Named>();
    const kept: KeptZone = {
      zone: {
        networkId,
        network: network.name.toLowerCase(),
        internal: network.internal,
        subnets: network.subnets.flatMap((cidr) => parseCidr(cidr) ?? []).map(canonical),
        upstreams: network.upstreams ?? [],
        ttlSeconds: this.#ttlSeconds,
        names,
        services,
        pointers,
        fixedPointers,
      },
      ...{ network, names, services, pointers, fixedPointers, holders: new Map() },
      servicesSession: before?.servicesSession ?? 0,
      ...{ fixed: new Map(), sets: [], fixedSession: before?.fixedSession ?? 0 },
      entries: before?.entries ?? new Map(),
      clients: before?.clients ?? new Map(),
      whole: before?.whole ?? false,
      ahead: before?.ahead,
    };
    // Records hold the time to live, too.
    for (const { own } of kept.entries.values()) {
      own.records = undefined;
      own.records6 = undefined;
    }
    replace(kept, new Set(), [...kept.entries.values()]);
    setFixed(kept, before?.sets ?? []);
    setServices(
      kept,
      [...(before?.services ?? [])].map(([name, { addresses }]) => ({ name, addresses })),
    );
    this.#kept.set(networkId, kept);
    return kept;
  }
}

/** A name that an endpoint goes by is the endpoint's. */
function setFixed(kept: KeptZone, sets: readonly StaticSet[]): void {
  const { names, holders, fixedPointers, network } = kept;
  for (const name of kept.fixed.keys()) if (!holders.has(name)) names.delete(name);
  kept.fixed = fixedNames(sets);
  kept.sets = sets;
  for (const [name, named] of kept.fixed) if (!holders.has(name)) names.set(name, named);
  fixedPointers.clear();
  for (const [address, pointer] of pointersOf(sets, network.name)) fixedPointers.set(address, pointer);
}

function setServices({ services }: KeptZone, told: readonly ZoneServiceAddress[]): void {
  services.clear();
  for (const { name, addresses } of told)
    services.set(name, { kind: 'resolves', addresses: addresses.filter((address) => parseIp(address)) });
}

function replace(
  { network, names, pointers, holders, fixed }: KeptZone,
  gone: ReadonlySet<Entry>,
  come: readonly Entry[],
) {
  const coming = new Map<string, Entry[]>();
  for (const entry of gone) {
    pointers.delete(entry.address);
    for (const name of entry.names) coming.set(name, []);
  }
  for (const entry of come) {
    if (entry.shown) pointers.set(entry.address, { name: entry.name, network: network.name });
    for (const name of entry.names) {
      const others = coming.get(name);
      if (others !== undefined) others.push(entry);
      else if (holders.has(name)) coming.set(name, [entry]);
      else {
        // Of thousands, nearly every name.
        holders.set(name, entry);
        names.set(name, entry.own);
      }
    }
  }
  for (const [name, added] of coming) {
    const before = holders.get(name) ?? [];
    const staying = ('own' in before ? [before] : before).filter((entry) => !gone.has(entry));
    const [first, ...others] = [...staying, ...added];
    if (first === undefined) {
      holders.delete(name);
      const named = fixed.get(name);
      if (named) names.set(name, named);
      else names.delete(name);
    } else if (others.length === 0) {
      holders.set(name, first);
      names.set(name, first.own);
    } else {
      holders.set(name, [first, ...others]);
      names.set(name, namedBy([first, ...others]));
    }
  }
}

function namedBy(holders: readonly Entry[]): Named {
  const all = holders.filter((entry) => entry.shown);
  const well = all.filter((entry) => !entry.unwell);
  // Who is unwell is better than nobody.
  const shown = well.length > 0 ? well : all;
  const ips = shown.map(({ address }) => requireIp(address, 'address'));
  if (ips.length === 0) return HIDDEN;
  return resolving(ips.sort(compareIps).map(formatIp), shown);
}

/** Most declare nothing, and keep nothing for it. */
function resolving(addresses: readonly string[], entries: readonly ZoneEntry[]): Named {
  if (entries.every(({ services }) => services === undefined)) return { kind: 'resolves', addresses };
  const offers = entries.flatMap(({ name, services }) => (services ? { name, ...services } : []));
  return { kind: 'resolves', addresses, offers };
}

function isAddress(text: string): boolean {
  return parseIpv4Number(text) >= 0 || parseIp(text) !== undefined;
}

function tellingOf({ address, name, names, shown, unwell, services }: ZoneEntry): ZoneEntry {
  return { address, name, names, shown, ...(unwell && { unwell }), ...(services && { services }) };
}

function isSame(a: ZoneNetwork, b: ZoneNetwork): boolean {
  if (a.name !== b.name || a.internal !== b.internal) return false;
  return sameItems(a.subnets, b.subnets) && sameItems(a.upstreams ?? [], b.upstreams ?? []);
}

function isSameEntry(a: ZoneEntry, b: ZoneEntry): boolean {
  if (a.unwell !== b.unwell) return false;
  return a.name === b.name && a.shown === b.shown && sameItems(a.names, b.names) && sameServices(a, b);
}

function sameServices({ services: a }: ZoneEntry, { services: b }: ZoneEntry): boolean {
  if (a === undefined || b === undefined) return a === b;
  if (a.host !== b.host || a.ports.length !== b.ports.length) return false;
  return a.ports.every(({ service, port }, at) => b.ports[at]!.service === service && b.ports[at]!.port === port);
}

function sameItems(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, at) => item === b[at]);
}
