/**
 * The decision for one question: an answer from our own zones, a refusal, or leave to ask an upstream server.
 *
 * Guarantees: names of the client's networks, names of our domain and addresses of any network never leave; a single
 * label never leaves; a client whose networks are all internal, and that has no way out through one of somebody else's,
 * never has anything forwarded; who is not on the asked network gets no answer. The network asked comes first, then the client's other networks in the order given.
 *
 * Endpoints are given names with dots, too, such as `db.example.com`. What ends in our domain, or in the name of one of
 * the client's networks, belongs to that domain or network: no name given on another network stands in its way.
 */
import { type Cidr, isSingle } from '../cidr.ts';
import { formatIp, parseIp } from '../ip.ts';
import { DOMAIN, withinDomain } from './domain.ts';
import { replyFixed } from './fixed.ts';
import { parseReverse, type ReverseName } from './reverse.ts';
import { splitService } from './service-name.ts';
import { replyService } from './services.ts';
import {
  CLASS_IN,
  decodeQuery,
  encodeAddressReply,
  encodeFailure,
  encodeMinimalAny,
  encodePointer,
  encodeReply,
  encodeSoa,
  type Query,
  RCODE,
  replyLimit,
  TYPE,
} from './wire.ts';
import {
  isBelow,
  isOnSubnet,
  lookUp,
  lookUpQualified,
  type Named,
  ownsBlock,
  pointerTarget,
  recordsOf,
  type Zone,
} from './zone.ts';

export interface Asker {
  readonly address: string;
  readonly transport: 'udp' | 'tcp';
  /** The network that was asked, then the client's others in the order of their names. */
  readonly zones: readonly [Zone, ...Zone[]];
  /** What none of the zones has is asked of somebody who knows more names, whatever it is. */
  readonly othersKnow?: boolean;
  /** Whether there is a way out besides those of the zones. */
  readonly hasWayOut?: () => boolean;
  /** True for a block inside any network of the cluster, the client's or not; without it only the zones count. */
  readonly isOverlay?: (block: Cidr) => boolean;
}

/** Bytes: the reply. A query: an upstream server is to be asked. Undefined: no answer. */
export type Resolution = Uint8Array | Query | undefined;

/** `random` in [0, 1) chooses the address that comes first. */
export function resolve(message: Uint8Array, asker: Asker, random: () => number): Resolution {
  const { zones } = asker;
  const ip = parseIp(asker.address);
  if (ip === undefined || !isOnSubnet(zones[0], ip)) return undefined;
  const query = readQuestion(message);
  if (query === undefined || query instanceof Uint8Array) return query;
  const own = resolveOwn(query, asker, random);
  if (own !== undefined) return own;
  return asker.othersKnow || mayForward(zones) || asker.hasWayOut?.() ? query : encodeReply(query, RCODE.REFUSED);
}

export interface ForeignAsker {
  readonly ttlSeconds: number;
  /** As of {@link Asker}. */
  readonly isOverlay: (block: Cidr) => boolean;
}

/** The decision for who is on none of our networks: nothing of ours is told, all else is an upstream server's. */
export function resolveForeign(message: Uint8Array, { ttlSeconds, isOverlay }: ForeignAsker): Resolution {
  const query = readQuestion(message);
  if (query === undefined || query instanceof Uint8Array) return query;
  const inner = withinDomain(query.name);
  if (inner !== undefined) return replyInDomain(query, inner === '', ttlSeconds);
  const reverse = parseReverse(query.name);
  if (reverse === undefined || !isOverlay(reverse.block)) return query;
  return encodeReply(query, RCODE.NXDOMAIN, { authority: encodeSoa(query, reverse.apex, ttlSeconds) });
}

/** Bytes: what the message gets that is not a question to be decided on. */
function readQuestion(message: Uint8Array): Resolution {
  const query = decodeQuery(message);
  if (query === undefined) return undefined;
  if (query.kind === 'malformed') return encodeFailure(message, query.rcode);
  if (query.edns !== undefined && query.edns.version > 0) return encodeReply(query, RCODE.BADVERS);
  if (query.class !== CLASS_IN || query.type === TYPE.AXFR || query.type === TYPE.IXFR) {
    return encodeReply(query, RCODE.REFUSED);
  }
  return query;
}

/** True when what is not ours may be asked of an upstream server. */
function mayForward(zones: readonly Zone[]): boolean {
  for (const zone of zones) if (!zone.internal) return true;
  return false;
}

function resolveOwn(query: Query, asker: Asker, random: () => number): Uint8Array | undefined {
  const { zones } = asker;
  const { name } = query;
  const inner = withinDomain(name);
  if (inner !== undefined) return resolveInDomain(query, inner, asker, random);
  let absent = false;
  let parent = false;
  let isDenied = false;
  for (const zone of responsible(zones, name)) {
    const named = lookUp(zone, name);
    if (named?.kind === 'service') {
      if (named.offers && !isDenied) return replyOffered(query, zone, named, asker, random);
      // Whose service it would be is decided: another network's container of that name is somebody else.
      isDenied = true;
    }
    if (named?.kind === 'resolves') return replyWith(query, zone, named, asker, random);
    if (named?.kind === 'fixed') return replyStatic(query, zone, named, asker, random);
    if (named?.kind === 'parent') parent = true;
    else if (named !== undefined) absent = true;
  }
  if (parent) return replyWithout(query, zones, RCODE.NOERROR);
  if (absent) return replyWithout(query, zones, RCODE.NXDOMAIN);
  const reverse = parseReverse(name);
  if (reverse !== undefined) return resolveReverse(query, asker, reverse);
  return !asker.othersKnow && isPrivate(name, zones) ? replyWithout(query, zones, RCODE.NXDOMAIN) : undefined;
}

/** Below a network's name that network alone. A container on one network, which most are, costs nothing. */
function responsible(zones: readonly Zone[], name: string): readonly Zone[] {
  if (zones.length === 1) return zones;
  // A network may be called as a container: `_http._tcp.web` is no name below the network web.
  const host = splitService(name)?.host ?? name;
  const owners = zones.filter((zone) => isBelow(zone, host));
  return owners.length > 0 ? owners : zones;
}

function resolveInDomain(query: Query, inner: string, asker: Asker, random: () => number): Uint8Array {
  const { zones } = asker;
  let parent = inner === '';
  for (const zone of zones) {
    const named = lookUpQualified(zone, inner);
    if (named?.kind === 'resolves') return replyWith(query, zone, named, asker, random);
    if (named?.kind === 'fixed') return replyStatic(query, zone, named, asker, random);
    if (named?.kind === 'service' && named.offers) return replyOffered(query, zone, named, asker, random);
    if (named?.kind === 'parent') parent = true;
  }
  return replyInDomain(query, parent, zones[0].ttlSeconds);
}

/** The name has no records: it does not exist, or only names below it do. */
function replyInDomain(query: Query, parent: boolean, ttlSeconds: number): Uint8Array {
  const rcode = parent ? RCODE.NOERROR : RCODE.NXDOMAIN;
  return encodeReply(query, rcode, { authority: encodeSoa(query, DOMAIN, ttlSeconds) });
}

function replyWith(query: Query, zone: Zone, named: Named, asker: Asker, random: () => number): Uint8Array {
  if (query.type === TYPE.ANY) {
    return encodeReply(query, RCODE.NOERROR, { answer: encodeMinimalAny(zone.ttlSeconds) });
  }
  if (query.type === TYPE.A || query.type === TYPE.AAAA) {
    const family = query.type === TYPE.A ? 4 : 6;
    const records = recordsOf(zone, named, family);
    if (records.length > 0) {
      return encodeAddressReply(query, records, family, random(), replyLimit(query, asker.transport));
    }
  }
  return replyWithout(query, asker.zones, RCODE.NOERROR);
}

function replyStatic(query: Query, zone: Zone, named: Named, asker: Asker, random: () => number): Uint8Array {
  if (query.type === TYPE.ANY) {
    return encodeReply(query, RCODE.NOERROR, { answer: encodeMinimalAny(zone.ttlSeconds) });
  }
  const soa = () => soaOf(query, asker.zones);
  return replyFixed(query, { zone, named, random: random(), limit: replyLimit(query, asker.transport), soa });
}

function replyOffered(query: Query, zone: Zone, named: Named, asker: Asker, random: () => number): Uint8Array {
  if (query.type === TYPE.ANY) {
    return encodeReply(query, RCODE.NOERROR, { answer: encodeMinimalAny(zone.ttlSeconds) });
  }
  if (query.type !== TYPE.SRV) return replyWithout(query, asker.zones, RCODE.NOERROR);
  return replyService(query, { zone, named, random: random(), limit: replyLimit(query, asker.transport) });
}

/** Single labels, and services (`_http._tcp.web`) of single labels and of names that are ours. */
function isPrivate(name: string, zones: readonly Zone[]): boolean {
  if (name === '') return false;
  let host = name;
  while (host.startsWith('_')) {
    const dot = host.indexOf('.');
    if (dot < 0) return true;
    host = host.slice(dot + 1);
  }
  return !host.includes('.') || zones.some((zone) => lookUp(zone, host) !== undefined);
}

function resolveReverse(query: Query, asker: Asker, reverse: ReverseName): Uint8Array | undefined {
  const { zones, isOverlay } = asker;
  const { apex, below, block } = reverse;
  // Another network's address has no name here, and the outside need not learn of it.
  const owner =
    zones.find((zone) => ownsBlock(zone, block)) ??
    (isOverlay?.(block) === true ? zones[0] : undefined) ??
    (isSingle(block) ? zones.find((zone) => isStaticAddress(zone, block)) : undefined);
  if (owner === undefined) return undefined;
  const { ttlSeconds } = owner;
  const negative = () => ({ authority: encodeSoa(query, apex, ttlSeconds) });
  if (below) return encodeReply(query, RCODE.NXDOMAIN, negative());
  if (!isSingle(block)) return encodeReply(query, RCODE.NOERROR, negative());
  const address = formatIp(block.ip);
  for (const zone of zones) {
    const target = pointerTarget(zone, address);
    if (target === undefined) continue;
    if (query.type === TYPE.ANY) return encodeReply(query, RCODE.NOERROR, { answer: encodeMinimalAny(ttlSeconds) });
    if (query.type !== TYPE.PTR) return encodeReply(query, RCODE.NOERROR, negative());
    return encodeReply(query, RCODE.NOERROR, { answer: encodePointer(target, zone.ttlSeconds) });
  }
  return encodeReply(query, RCODE.NXDOMAIN, negative());
}

/** Whether it is called by a static name, wherever it is. */
function isStaticAddress(zone: Zone, { ip }: Cidr): boolean {
  return zone.fixedPointers.size > 0 && pointerTarget(zone, formatIp(ip)) !== undefined;
}

/** Nothing of this type, or no such name: the SOA bounds how long a cache may believe it. */
function replyWithout(query: Query, zones: Asker['zones'], rcode: number): Uint8Array {
  return encodeReply(query, rcode, { authority: soaOf(query, zones) });
}

function soaOf(query: Query, zones: Asker['zones']): Uint8Array {
  const { name } = query;
  const network = () => zones.find((zone) => zone.network === name || isBelow(zone, name))?.network ?? '';
  const apex = withinDomain(name) === undefined ? network() : DOMAIN;
  return encodeSoa(query, apex, zones[0].ttlSeconds);
}
