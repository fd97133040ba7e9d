/**
 * What a session has to be told of the networks' names, as differences of the cluster view from what it was told before.
 *
 * A network is compared endpoint by endpoint whether the record is still the same object and whether it is still
 * shown, so it does not matter what changed, nor how often. So a change costs one pass of plain comparisons (about a
 * millisecond for 10,000 endpoints) and no name but its own is sent.
 */
import type { ClusterView } from '../cluster-view.ts';
import { networkSettings } from '../network-options.ts';
import type { EndpointRecord, NetworkRecord } from '../records.ts';
import { type NamesNews, type ZoneEntry, type ZoneNetwork, zoneEntry } from './names-protocol.ts';

export interface ZoneSources {
  readonly view: Pick<ClusterView, 'network' | 'endpoints'>;
  /** Ids of the members whose endpoints' names are not given. */
  readonly hidden: () => ReadonlySet<string>;
  /** False for an endpoint to which this host does not know the way yet: its name waits. All are reached without it. */
  readonly reaches?: ((endpoint: EndpointRecord) => boolean) | undefined;
  /** Of an endpoint that the view has no more: whether that proves that it is gone. It does without it. */
  readonly isGone?: ((endpoint: EndpointRecord) => boolean) | undefined;
}

interface Told {
  network: NetworkRecord;
  /** By address as the view has it. */
  readonly entries: Map<string, { readonly record: EndpointRecord; readonly shown: boolean }>;
}

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
   * for sure; what is not shown then is not told of, unless this session has shown it.
   */
  take(networkId: string, certain: boolean): NamesNews[] {
    const network = this.#sources.view.network(networkId);
    if (network === undefined) return [];
    const former = this.#told.get(networkId);
    const told = former ?? { network, entries: new Map() };
    this.#told.set(networkId, told);
    const set: ZoneEntry[] = [];
    const removed: string[] = [];
    const current = this.#sources.view.endpoints(networkId);
    const hidden = this.#sources.hidden();
    const { entries } = told;
    const known = entries.size;
    let present = 0;
    for (const record of current.values()) {
      const { address } = record;
      const before = entries.get(address);
      if (before !== undefined) present += 1;
      const shown = !hidden.has(record.nodeId) && (this.#sources.reaches?.(record) ?? true);
      if (before === undefined ? !shown && !certain : before.record === record && before.shown === shown) continue;
      entries.set(address, { record, shown });
      set.push(zoneEntry(record, shown));
    }
    if (present < known) {
      for (const [address, { record }] of entries) {
        if (current.has(address) || this.#sources.isGone?.(record) === false) continue;
        entries.delete(address);
        removed.push(address);
      }
    }
    const sameNetwork = former?.network === network;
    told.network = network;
    if (sameNetwork && set.length === 0 && removed.length === 0) return [];
    return inParts(networkId, zoneNetwork(network), set, removed);
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

function inParts(networkId: string, network: ZoneNetwork, set: readonly ZoneEntry[], removed: readonly string[]) {
  const parts: NamesNews[] = [];
  for (let at = 0; at === 0 || at < set.length; at += ENTRIES_PER_MESSAGE) {
    const part = set.slice(at, at + ENTRIES_PER_MESSAGE);
    parts.push({ kind: 'zone', networkId, network, set: part, removed: at === 0 ? removed : [] });
  }
  return parts;
}
