/**
 * The decision for one question: an answer from our own zones, a refusal, or leave to ask an upstream server.
 *
 * Guarantees: names of the client's networks and addresses of any network never leave; a single label never leaves; a
 * client whose networks are all internal never has anything forwarded; who is not on the asked network gets no answer.
 * The network asked comes first, then the client's other networks in the order given.
 */
import { type Cidr, parseAddress } from '../ip.ts';
import { parseReverse, REVERSE_SUFFIX, type ReverseName } from './reverse.ts';
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
import { isOnSubnet, isWithin, lookUp, ownsBlock, recordsOf, type Zone } from './zone.ts';

export interface Asker {
  readonly address: string;
  readonly transport: 'udp' | 'tcp';
  /** The network that was asked, then the client's others in the order of their names. */
  readonly zones: readonly [Zone, ...Zone[]];
  /** True for a block inside any network of the cluster, the client's or not; without it only the zones count. */
  readonly isOverlay?: (block: Cidr) => boolean;
}

/** Bytes: the reply. A query: an upstream server is to be asked. Undefined: no answer. */
export type Resolution = Uint8Array | Query | undefined;

/** `random` in [0, 1) chooses the address that comes first. */
export function resolve(message: Uint8Array, asker: Asker, random: () => number): Resolution {
  const { zones } = asker;
  const address = parseAddress(asker.address);
  if (address === undefined || !isOnSubnet(zones[0], address)) return undefined;
  const query = decodeQuery(message);
  if (query === undefined) return undefined;
  if (query.kind === 'malformed') return encodeFailure(message, query.rcode);
  if (query.edns !== undefined && query.edns.version > 0) return encodeReply(query, RCODE.BADVERS);
  if (query.class !== CLASS_IN || query.type === TYPE.AXFR || query.type === TYPE.IXFR) {
    return encodeReply(query, RCODE.REFUSED);
  }
  return resolveOwn(query, asker, random) ?? (mayForward(zones) ? query : encodeReply(query, RCODE.REFUSED));
}

/** True when what is not ours may be asked of an upstream server. */
export function mayForward(zones: readonly Zone[]): boolean {
  for (const zone of zones) if (!zone.internal) return true;
  return false;
}

function resolveOwn(query: Query, asker: Asker, random: () => number): Uint8Array | undefined {
  const { zones, transport } = asker;
  const { name } = query;
  let absent = false;
  for (const zone of zones) {
    const named = lookUp(zone, name);
    if (named?.kind === 'resolves') {
      if (query.type === TYPE.ANY) {
        return encodeReply(query, RCODE.NOERROR, { answer: encodeMinimalAny(zone.ttlSeconds) });
      }
      if (query.type !== TYPE.A) return replyWithout(query, zones, RCODE.NOERROR);
      const start = Math.floor(random() * named.addresses.length);
      return encodeAddressReply(query, recordsOf(zone, named), start, replyLimit(query, transport));
    }
    if (named?.kind === 'parent') return replyWithout(query, zones, RCODE.NOERROR);
    if (named !== undefined) absent = true;
  }
  if (absent) return replyWithout(query, zones, RCODE.NXDOMAIN);
  const reverse = parseReverse(name);
  if (reverse !== undefined) return resolveReverse(query, asker, reverse);
  return isPrivate(name, zones) ? replyWithout(query, zones, RCODE.NXDOMAIN) : undefined;
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
  const { block, below } = reverse;
  // Another network's address has no name here, and the outside need not learn of it.
  const owner = zones.find((zone) => ownsBlock(zone, block)) ?? (isOverlay?.(block) === true ? zones[0] : undefined);
  if (owner === undefined) return undefined;
  const { ttlSeconds } = owner;
  const negative = { authority: encodeSoa(query, REVERSE_SUFFIX, ttlSeconds) };
  if (below) return encodeReply(query, RCODE.NXDOMAIN, negative);
  if (block.prefix < 32) return encodeReply(query, RCODE.NOERROR, negative);
  for (const zone of zones) {
    const target = zone.pointers.get(block.address);
    if (target === undefined) continue;
    if (query.type === TYPE.ANY) return encodeReply(query, RCODE.NOERROR, { answer: encodeMinimalAny(ttlSeconds) });
    if (query.type !== TYPE.PTR) return encodeReply(query, RCODE.NOERROR, negative);
    return encodeReply(query, RCODE.NOERROR, { answer: encodePointer(target, zone.ttlSeconds) });
  }
  return encodeReply(query, RCODE.NXDOMAIN, negative);
}

/** Nothing of this type, or no such name: the SOA bounds how long a cache may believe it. */
function replyWithout(query: Query, zones: Asker['zones'], rcode: number): Uint8Array {
  const apex = zones.find((zone) => isWithin(zone, query.name))?.network ?? '';
  return encodeReply(query, rcode, { authority: encodeSoa(query, apex, zones[0].ttlSeconds) });
}
