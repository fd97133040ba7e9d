/**
 * What a session has to be told of the networks' names, as differences of the cluster view from what it was told before.
 *
 * A network is compared endpoint by endpoint whether the record is still the same object and whether it is still
 * shown, so it does not matter what changed, nor how often. So a change costs one pass of plain comparisons (about a
 * millisecond for 10,000 endpoints) and no name but its own is sent.
 */
import type { ClusterView } from '../cluster-view.ts';
import { networkSettings } from '../network-options.ts';
import type { EndpointRecord, NetworkRecord, StaticNamesRecord } from '../records.ts';
import { soundServices } from '../service.ts';
import type { ServiceRecord } from '../service-records.ts';
import { type NamesNews, type ZoneNetwork, zoneEntry } from './names-protocol.ts';

export interface ZoneSources {
  readonly view: Pick<ClusterView, 'network' | 'addresses' | 'moment' | 'services' | 'staticNames'>;
  /** Ids of the members whose endpoints' names are not given. */
  readonly hidden: () => ReadonlySet<string>;
  /** False for an address to which this host does not know the way yet: its name waits. All are reached without it. */
  readonly reaches?: ((endpoint: EndpointRecord, address: string) => boolean) | undefined;
  /** True where `reaches` says so of all that there are. Without it each is asked for. */
  readonly reachesAll?: ((networkId: string) => boolean) | undefined;
  /** Of an endpoint that the view has no more: whether that proves that it is gone. It does without it. */
  readonly isGone?: ((endpoint: EndpointRecord) => boolean) | undefined;
}

interface Told {
  network: NetworkRecord;
  /** Nothing of it is answered yet. */
  ahead: boolean;
  statics?: StaticNamesRecord | undefined;
  services?: readonly ServiceRecord[] | undefined;
  /** When the entries were all that the view had, no more and no less, and none was hidden for want of a way. */
  settled?: { readonly moment: number; readonly hidden: ReadonlySet<string> } | undefined;
  /** By address as the view has it. */
  readonly entries: Map<string, ToldEntry>;
}

interface ToldEntry {
  readonly record: EndpointRecord;
  readonly shown: boolean;
}

/** By address. */
type Entries = readonly (readonly [address: string, entry: ToldEntry])[];

/** Entries in a message: whoever reads it answers questions in between. */
const ENTRIES_PER_MESSAGE = 250;

export class ZoneChanges {
  readonly #sources: ZoneSources;
  readonly #told = new Map<string, Told>();

  constructor(sources: ZoneSources) {
    this.#sources = sources;
  }

  /**
   * What is new of the network, none when nothing is. `certain` false: that an endpoint is not reached is not known
   * for sure; what is not shown then is not told of, unless this session has shown it. It counts as told; its messages are
   * made one after the other, as they are asked for.
   */
  take(networkId: string, certain: boolean): Iterable<NamesNews> {
    return this.#take(networkId, certain, false);
  }

  /**
   * All of a network whose ways are just being made, as it will be when they are there: to be known by then, and answered
   * from what {@link take} tells next on. Nothing of a network of which this session has told.
   */
  takeAhead(networkId: string): Iterable<NamesNews> {
    return this.#told.has(networkId) ? [] : this.#take(networkId, true, true);
  }

  #take(networkId: string, certain: boolean, ahead: boolean): Iterable<NamesNews> {
    const network = this.#sources.view.network(networkId);
    if (network === undefined) return [];
    const former = this.#told.get(networkId);
    const told = former ?? { network, ahead, entries: new Map() };
    this.#told.set(networkId, told);
    const { set, removed } = this.#takeEntries(networkId, told, certain, ahead);
    const wasAhead = told.ahead;
    const isNews = former?.network !== network || wasAhead !== ahead;
    told.network = network;
    told.ahead = ahead;
    const statics = [...this.#takeStatic(networkId, told, certain), ...this.#takeServices(network, told, certain)];
    if (!isNews && set.length === 0 && removed.length === 0) return statics;
    return inParts({ network, set, removed, statics, ahead, wasAhead });
  }

  #takeEntries(networkId: string, told: Told, certain: boolean, ahead: boolean) {
    const { hidden: hiddenNow, isGone, reaches, reachesAll, view } = this.#sources;
    const set: (readonly [address: string, entry: ToldEntry])[] = [];
    const removed: string[] = [];
    const [current, hidden, moment] = [view.addresses(networkId), hiddenNow(), view.moment(networkId)];
    const all = ahead || reaches === undefined || reachesAll?.(networkId) === true;
    const { entries, settled } = told;
    // As they were told of ahead, mostly.
    if (all && settled?.moment === moment && settled.hidden === hidden) return { set, removed };
    const known = entries.size;
    let present = 0;
    let untold = 0;
    for (const [address, record] of current) {
      const before = entries.get(address);
      if (before !== undefined) present += 1;
      const shown = !hidden.has(record.nodeId) && (all || reaches(record, address));
      if (before === undefined && !shown && !certain) {
        untold += 1;
        continue;
      }
      if (before?.record === record && before.shown === shown) continue;
      const entry = { record, shown };
      entries.set(address, entry);
      set.push([address, entry]);
    }
    if (present < known) {
      for (const [address, { record }] of entries) {
        if (current.has(address) || isGone?.(record) === false) continue;
        entries.delete(address);
        removed.push(address);
      }
    }
    told.settled = all && untold === 0 && entries.size === current.size ? { moment, hidden } : undefined;
    return { set, removed };
  }

  /** The record is all there is of them; that it is gone is no proof before everything is known. */
  #takeStatic(networkId: string, told: Told, certain: boolean): NamesNews[] {
    const record = this.#sources.view.staticNames(networkId);
    if (record === told.statics || (record === undefined && !certain)) return [];
    told.statics = record;
    return [{ kind: 'static', networkId, sets: record?.sets ?? [] }];
  }

  /** As static names. */
  #takeServices(network: NetworkRecord, told: Told, certain: boolean): NamesNews[] {
    const { view } = this.#sources;
    const { services: before = [] } = told;
    const sound = soundServices(view, network);
    const isSame = before.length === sound.length && sound.every((each, nth) => each === before[nth]);
    if (isSame || (!certain && view.services(network.id) === undefined)) return [];
    told.services = sound;
    const services = sound.map(({ name, addresses }) => ({ name, addresses: addresses.map(({ ip }) => ip) }));
    return [{ kind: 'services', networkId: network.id, services }];
  }

  /** Whether this session has told of the network. */
  knows(networkId: string): boolean {
    return this.#told.has(networkId);
  }

  /** The process has been told to know nothing of the network. */
  forget(networkId: string): void {
    this.#told.delete(networkId);
  }
}

function zoneNetwork(network: NetworkRecord): ZoneNetwork {
  const { name, internal, subnets } = network;
  const { upstreams } = networkSettings(network);
  const own = upstreams.length > 0 ? { upstreams } : {};
  return { name, internal, subnets: subnets.map(({ cidr }) => cidr), ...own };
}

interface Taken {
  readonly network: NetworkRecord;
  readonly set: Entries;
  readonly removed: readonly string[];
  readonly statics: readonly NamesNews[];
  readonly ahead: boolean;
  readonly wasAhead: boolean;
}

/** Of thousands of entries those of one message are made at a time. */
function* inParts({ network, set, removed, statics, ahead, wasAhead }: Taken): Generator<NamesNews> {
  const common = { kind: 'zone', networkId: network.id, network: zoneNetwork(network) } as const;
  for (let at = 0; at === 0 || at < set.length; at += ENTRIES_PER_MESSAGE) {
    const next = at + ENTRIES_PER_MESSAGE;
    const part = set.slice(at, next).map(([address, { record, shown }]) => zoneEntry(record, address, shown));
    // What is put right is so before anything of it is answered.
    const waits = ahead || (wasAhead && next < set.length);
    yield { ...common, set: part, removed: at === 0 ? removed : [], ...(waits && { ahead: true as const }) };
  }
  yield* statics;
}
