/**
 * What one network's responder knows: every name of every endpoint. Names of an endpoint are its name, its aliases and
 * its short id, dots and all; `name.network` and `tasks.name` are derived when asked. A suspect member's names stay known
 * but have no address: they do not resolve, and they do not leak to an upstream server either.
 *
 * Answers are encoded at the first question for a name and reused until the name changes (`zones.ts`).
 */
import { type Cidr, contains, containsCidr } from '../cidr.ts';
import { type Family, type Ip, requireIp } from '../ip.ts';
import type { Fixed } from './fixed.ts';
import type { ZoneServices } from './names-protocol.ts';
import { type SplitService, splitService } from './service-name.ts';
import { encodeAddresses, encodeName } from './wire.ts';

export interface Zone {
  readonly networkId: string;
  /** The network's name in lower case. */
  readonly network: string;
  readonly internal: boolean;
  readonly subnets: readonly Cidr[];
  /** Name servers of its own; empty: the host's. */
  readonly upstreams: readonly string[];
  readonly ttlSeconds: number;
  /** By name in lower case. */
  readonly names: ReadonlyMap<string, Named>;
  /** Of them, those that are answered with addresses of their own; all that go by them are `tasks.NAME`. */
  readonly services: ReadonlyMap<string, Named>;
  /** By address. */
  readonly pointers: ReadonlyMap<string, Pointer>;
  /** The same of static names. */
  readonly fixedPointers: ReadonlyMap<string, Pointer>;
}

/** What an address is called. */
export interface Pointer {
  readonly name: string;
  readonly network: string;
  /** Encoded, by the first question. */
  target?: Uint8Array | undefined;
}

/**
 * A name of ours: with addresses it resolves; without, it is `hidden` or only the `parent` of names. Static ones are `fixed`.
 * A `service` is that of a name that resolves; it does not exist when nobody offers it.
 */
export interface Named {
  readonly kind: 'resolves' | 'fixed' | 'hidden' | 'parent' | 'service';
  /** Of both families, in ascending order. */
  readonly addresses: readonly string[];
  /** A and AAAA records, made by the first question. */
  records?: Uint8Array | undefined;
  records6?: Uint8Array | undefined;
  /** Of a fixed one: all that it has. */
  readonly fixed?: Fixed | undefined;
  /** Of the endpoints that go by it; of a service, what is asked for alone. Absent: none. */
  readonly offers?: readonly Offer[] | undefined;
}

/** `name` is what its endpoint is called. */
export interface Offer extends ZoneServices {
  readonly name: string;
}

export const HIDDEN: Named = { kind: 'hidden', addresses: [] };
const PARENT: Named = { kind: 'parent', addresses: [] };

/** What this network knows of a name; undefined when the name is not one of its own. */
export function lookUp(zone: Zone, name: string): Named | undefined {
  const found = zone.services.get(name) ?? zone.names.get(name) ?? lookUpTasks(zone, name);
  if (found !== undefined) return found;
  const service = lookUpService(zone, name);
  if (service?.kind === 'service' && !service.offers) return lookUpQualified(zone, name) ?? service;
  return service ?? lookUpQualified(zone, name);
}

/** The same of names that end in the network's own, and of no others. */
export function lookUpQualified(zone: Zone, name: string): Named | undefined {
  if (name === zone.network) return PARENT;
  const inner = innerName(zone, name);
  if (inner === undefined) return undefined;
  const found = zone.services.get(inner) ?? zone.names.get(inner);
  return found ?? lookUpTasks(zone, inner) ?? lookUpService(zone, inner) ?? HIDDEN;
}

/** `tasks.NAME`: all that go by NAME, as Swarm users write it. There is none behind a service that nobody goes by. */
function lookUpTasks(zone: Zone, name: string): Named | undefined {
  if (!name.startsWith('tasks')) return undefined;
  if (name.length === 5) return PARENT;
  if (name[5] !== '.') return undefined;
  const of = name.slice(6);
  return zone.names.get(of) ?? (zone.services.has(of) ? HIDDEN : undefined);
}

/** `_service._proto.NAME`, and `_proto.NAME` as what services are below of (RFC 8020). */
function lookUpService(zone: Zone, name: string): Named | undefined {
  const split = splitService(name);
  const host = split && (zone.names.get(split.host) ?? lookUpTasks(zone, split.host));
  if (host?.kind !== 'resolves') return undefined;
  const offers = host.offers?.flatMap((offer) => {
    const ports = offer.ports.filter(({ service }) => isOf(service, split!));
    return ports.length === 0 ? [] : { ...offer, ports };
  });
  if (!offers?.length) return { kind: 'service', addresses: [] };
  return split!.service === undefined ? PARENT : { kind: 'service', addresses: [], offers };
}

function isOf(offered: string, { service, protocol }: SplitService): boolean {
  return service === undefined ? offered.endsWith(`.${protocol}`) : offered === `${service}.${protocol}`;
}

function innerName(zone: Zone, name: string): string | undefined {
  const end = name.length - zone.network.length - 1;
  return end > 0 && name[end] === '.' && name.endsWith(zone.network) ? name.slice(0, end) : undefined;
}

/** True when the name is one below the network's. */
export function isBelow(zone: Zone, name: string): boolean {
  return innerName(zone, name) !== undefined;
}

/** Its addresses of that family as `encodeAddressReply` takes them; empty when it has none. */
export function recordsOf(zone: Zone, named: Named, family: Family): Uint8Array {
  if (family === 4) {
    named.records ??= encode(zone, named, 4);
    return named.records;
  }
  named.records6 ??= encode(zone, named, 6);
  return named.records6;
}

function encode({ ttlSeconds }: Zone, { addresses }: Named, family: Family): Uint8Array {
  const ips = addresses.map((address) => requireIp(address, 'address')).filter((ip) => ip.family === family);
  return encodeAddresses(ips, family, ttlSeconds);
}

/** Undefined: the address has no name. */
export function pointerTarget(zone: Zone, address: string): Uint8Array | undefined {
  const pointer = zone.pointers.get(address) ?? servicePointer(zone, address) ?? fixedPointer(zone, address);
  if (pointer === undefined) return undefined;
  const { name, network } = pointer;
  // Bare, should it be too long otherwise.
  pointer.target ??= encodeName(`${name}.${network}`) ?? encodeName(name);
  return pointer.target;
}

/** Few have services, and those few. */
function servicePointer({ services, network }: Zone, address: string): Pointer | undefined {
  for (const [name, { addresses }] of services) if (addresses.includes(address)) return { name, network };
  return undefined;
}

/** A name that a container has taken does not lead there any more. */
function fixedPointer(zone: Zone, address: string): Pointer | undefined {
  const pointer = zone.fixedPointers.get(address);
  return pointer && zone.names.get(pointer.name)?.fixed ? pointer : undefined;
}

/** True when the address may ask this network's responder. */
export function isOnSubnet(zone: Zone, ip: Ip): boolean {
  for (const subnet of zone.subnets) if (contains(subnet, ip)) return true;
  return false;
}

export function ownsBlock(zone: Zone, block: Cidr): boolean {
  return zone.subnets.some((subnet) => containsCidr(subnet, block));
}
