/**
 * What one network's responder knows: every name of every endpoint, from the cluster view. Names of an endpoint are
 * its name, its aliases and its short id, dots and all; `name.network` and `tasks.name` are derived when asked. A suspect member's
 * names stay known but have no address: they do not resolve, and they do not leak to an upstream server either.
 *
 * Building costs one pass over the network's endpoints; answers are encoded at the first question for a name and
 * reused until the zone is built anew.
 */
import type { ClusterView } from '../cluster-view.ts';
import { type Cidr, canonical, contains, containsCidr, parseAddress, parseCidr } from '../ip.ts';
import type { EndpointRecord } from '../records.ts';
import { encodeAddresses, encodeName } from './wire.ts';

export interface Zone {
  readonly networkId: string;
  /** The network's name in lower case. */
  readonly network: string;
  readonly internal: boolean;
  readonly subnets: readonly Cidr[];
  readonly ttlSeconds: number;
  /** By name in lower case. */
  readonly names: ReadonlyMap<string, Named>;
  /** Encoded PTR targets by address. */
  readonly pointers: ReadonlyMap<number, Uint8Array>;
}

/** A name of ours: with addresses it resolves; without, it is `hidden` or only the `parent` of names. */
export interface Named {
  readonly kind: 'resolves' | 'hidden' | 'parent';
  readonly addresses: number[];
  /** A records, made by the first question. */
  records?: Uint8Array;
}

const HIDDEN: Named = { kind: 'hidden', addresses: [] };
const PARENT: Named = { kind: 'parent', addresses: [] };
const SHORT_ID = 12;

export interface ZoneOptions {
  readonly ttlSeconds: number;
  /** False for an endpoint to which this host does not know the way yet: its name waits. All are reached without it. */
  readonly reaches?: ((endpoint: EndpointRecord) => boolean) | undefined;
}

/** Undefined when there is no such network. `hidden`: ids of the members whose endpoints' names are not given. */
export function buildZone(
  view: ClusterView,
  hidden: ReadonlySet<string>,
  networkId: string,
  options: ZoneOptions,
): Zone | undefined {
  const record = view.network(networkId);
  if (record === undefined) return undefined;
  const network = record.name.toLowerCase();
  const names = new Map<string, Named>();
  const pointers = new Map<number, Uint8Array>();
  for (const endpoint of view.endpoints(networkId).values()) {
    const address = parseAddress(endpoint.address);
    if (address === undefined) continue;
    const shown = !hidden.has(endpoint.nodeId) && (options.reaches?.(endpoint) ?? true);
    for (const name of namesOf(endpoint)) addName(names, name, shown ? address : undefined);
    const target = encodeName(`${endpoint.name}.${record.name}`) ?? encodeName(endpoint.name);
    if (shown && target !== undefined) pointers.set(address, target);
  }
  const subnets = record.subnets.flatMap(({ cidr }) => parseCidr(cidr) ?? []).map(canonical);
  return { networkId, network, internal: record.internal, subnets, ttlSeconds: options.ttlSeconds, names, pointers };
}

function namesOf(endpoint: EndpointRecord): ReadonlySet<string> {
  const names = [endpoint.name, ...endpoint.aliases, endpoint.id.slice(0, SHORT_ID)];
  return new Set(names.map((name) => name.toLowerCase()));
}

function addName(names: Map<string, Named>, name: string, address: number | undefined): void {
  const known = names.get(name);
  if (known?.kind === 'resolves') {
    if (address !== undefined) known.addresses.push(address);
  } else if (address !== undefined) {
    names.set(name, { kind: 'resolves', addresses: [address] });
  } else {
    names.set(name, HIDDEN);
  }
}

/** What this network knows of a name; undefined when the name is not one of its own. */
export function lookUp(zone: Zone, name: string): Named | undefined {
  return zone.names.get(name) ?? lookUpTasks(zone, name) ?? lookUpQualified(zone, name);
}

/** The same of names that end in the network's own, and of no others. */
export function lookUpQualified(zone: Zone, name: string): Named | undefined {
  if (name === zone.network) return PARENT;
  const inner = innerName(zone, name);
  if (inner === undefined) return undefined;
  return zone.names.get(inner) ?? lookUpTasks(zone, inner) ?? HIDDEN;
}

/** `tasks.NAME`: all that go by NAME, as Swarm users write it. */
function lookUpTasks(zone: Zone, name: string): Named | undefined {
  if (!name.startsWith('tasks')) return undefined;
  if (name.length === 5) return PARENT;
  return name[5] === '.' ? zone.names.get(name.slice(6)) : undefined;
}

function innerName(zone: Zone, name: string): string | undefined {
  const end = name.length - zone.network.length - 1;
  return end > 0 && name[end] === '.' && name.endsWith(zone.network) ? name.slice(0, end) : undefined;
}

/** True when the name is one below the network's. */
export function isBelow(zone: Zone, name: string): boolean {
  return innerName(zone, name) !== undefined;
}

export function recordsOf(zone: Zone, named: Named): Uint8Array {
  named.records ??= encodeAddresses(named.addresses, zone.ttlSeconds);
  return named.records;
}

/** True when the address may ask this network's responder. */
export function isOnSubnet(zone: Zone, address: number): boolean {
  for (const subnet of zone.subnets) if (contains(subnet, address)) return true;
  return false;
}

export function ownsBlock(zone: Zone, block: Cidr): boolean {
  return zone.subnets.some((subnet) => containsCidr(subnet, block));
}

export interface Zones {
  /** Undefined when there is no such network. */
  get(networkId: string): Zone | undefined;
  /** The next question builds it anew. */
  invalidate(networkId: string | 'all'): void;
}

/** Zones built when first asked for and kept until told that the view or the hidden members changed. */
export function createZones(
  deps: { readonly view: ClusterView; readonly hidden: () => ReadonlySet<string> },
  options: ZoneOptions,
): Zones {
  const built = new Map<string, Zone>();
  return {
    get(networkId) {
      const known = built.get(networkId);
      if (known !== undefined) return known;
      const zone = buildZone(deps.view, deps.hidden(), networkId, options);
      if (zone !== undefined) built.set(networkId, zone);
      return zone;
    },
    invalidate(networkId) {
      if (networkId === 'all') built.clear();
      else built.delete(networkId);
    },
  };
}
