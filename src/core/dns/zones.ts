/**
 * Zones made from the cluster view, and kept in step with it.
 *
 * A zone that was told to be stale is compared with the view at the next question: endpoint by endpoint whether the
 * record is still the same object and whether it is still shown, so it does not matter what changed, nor how often. Only
 * names of endpoints that differ are made anew and lose their encoded answers. So a change costs one pass of plain
 * comparisons (about a millisecond for 10,000 endpoints) and no name but its own.
 */
import type { ClusterView } from '../cluster-view.ts';
import { canonical, parseAddress, parseCidr } from '../ip.ts';
import type { EndpointRecord, NetworkRecord } from '../records.ts';
import { encodeName } from './wire.ts';
import { HIDDEN, type Named, type Zone } from './zone.ts';

export interface ZoneSources {
  readonly view: ClusterView;
  /** Ids of the members whose endpoints' names are not given. */
  readonly hidden: () => ReadonlySet<string>;
  /** False for an endpoint to which this host does not know the way yet: its name waits. All are reached without it. */
  readonly reaches?: ((endpoint: EndpointRecord) => boolean) | undefined;
}

export interface ZoneOptions {
  readonly ttlSeconds: number;
}

export interface Zones {
  /** Undefined when there is no such network. */
  get(networkId: string): Zone | undefined;
  /** The next question compares it with the view. */
  invalidate(networkId: string | 'all'): void;
}

/** Zones built when first asked for and brought up to date when told that view, hidden members or ways changed. */
export function createZones(sources: ZoneSources, options: ZoneOptions): Zones {
  const kept = new Map<string, KeptZone>();
  const stale = new Set<string>();
  return {
    get(networkId) {
      const known = kept.get(networkId);
      if (known !== undefined && !stale.has(networkId)) return known.zone;
      stale.delete(networkId);
      const network = sources.view.network(networkId);
      if (network === undefined) {
        kept.delete(networkId);
        return undefined;
      }
      const current = known?.network === network ? known : emptyZone(network, options);
      update(current, sources);
      kept.set(networkId, current);
      return current.zone;
    },
    invalidate(networkId) {
      for (const id of networkId === 'all' ? kept.keys() : [networkId]) {
        if (sources.view.network(id) === undefined) kept.delete(id);
        else stale.add(id);
      }
    },
  };
}

/** A zone from nothing. */
export function buildZone(sources: ZoneSources, networkId: string, options: ZoneOptions): Zone | undefined {
  return createZones(sources, options).get(networkId);
}

/** A zone and what is needed to change it in part. */
interface KeptZone {
  readonly network: NetworkRecord;
  readonly zone: Zone;
  readonly names: Map<string, Named>;
  readonly pointers: Map<number, Uint8Array>;
  /** By address as the view has it. */
  readonly entries: Map<string, Entry>;
  /** Who goes by a name, shown or not. */
  readonly holders: Map<string, readonly Entry[]>;
}

interface Entry {
  readonly address: number;
  readonly record: EndpointRecord;
  /** False: names are known but have no address. */
  readonly shown: boolean;
}

function emptyZone(network: NetworkRecord, { ttlSeconds }: ZoneOptions): KeptZone {
  const names = new Map<string, Named>();
  const pointers = new Map<number, Uint8Array>();
  const subnets = network.subnets.flatMap(({ cidr }) => parseCidr(cidr) ?? []).map(canonical);
  const { id: networkId, internal } = network;
  const zone = { networkId, network: network.name.toLowerCase(), internal, subnets, ttlSeconds, names, pointers };
  return { network, zone, names, pointers, entries: new Map(), holders: new Map() };
}

function update(kept: KeptZone, sources: ZoneSources): void {
  const { entries, network } = kept;
  const known = entries.size;
  const current = sources.view.endpoints(network.id);
  const hidden = sources.hidden();
  const gone = new Set<Entry>();
  const come: Entry[] = [];
  let present = 0;
  for (const [key, record] of current) {
    const before = entries.get(key);
    const shown = !hidden.has(record.nodeId) && (sources.reaches?.(record) ?? true);
    if (before !== undefined) present += 1;
    if (before?.record === record && before.shown === shown) continue;
    const address = before?.address ?? parseAddress(key);
    if (address === undefined) continue;
    if (before !== undefined) gone.add(before);
    const entry = { address, record, shown };
    come.push(entry);
    entries.set(key, entry);
  }
  if (present < known) {
    for (const [key, entry] of entries) {
      if (current.has(key)) continue;
      gone.add(entry);
      entries.delete(key);
    }
  }
  replace(kept, gone, come);
}

function replace({ network, names, pointers, holders }: KeptZone, gone: ReadonlySet<Entry>, come: readonly Entry[]) {
  const coming = new Map<string, Entry[]>();
  for (const { address, record } of gone) {
    pointers.delete(address);
    for (const name of namesOf(record)) coming.set(name, []);
  }
  for (const entry of come) {
    const { address, record, shown } = entry;
    const target = encodeName(`${record.name}.${network.name}`) ?? encodeName(record.name);
    if (shown && target !== undefined) pointers.set(address, target);
    for (const name of namesOf(record)) {
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

const SHORT_ID = 12;

function namesOf(endpoint: EndpointRecord): ReadonlySet<string> {
  const names = [endpoint.name, ...endpoint.aliases, endpoint.id.slice(0, SHORT_ID)];
  return new Set(names.map((name) => name.toLowerCase()));
}

function namedBy(holders: readonly Entry[]): Named {
  const addresses = holders.filter(({ shown }) => shown).map(({ address }) => address);
  return addresses.length === 0 ? HIDDEN : { kind: 'resolves', addresses: addresses.sort((a, b) => a - b) };
}
