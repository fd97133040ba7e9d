/** Names with records of their own, whatever containers there are: what is known of them, and the answers. */
import { bytesOf, canonicalIp, parseIp } from '../ip.ts';
import type { StaticSet } from '../records.ts';
import { DOMAIN } from './domain.ts';
import { MOST_LINKS } from './static-names.ts';
import {
  encodeName,
  encodeRecord,
  encodeRecordsReply,
  HEADER_BYTES,
  putUint16,
  type Query,
  RCODE,
  TYPE,
} from './wire.ts';
import type { Named, Pointer, Zone } from './zone.ts';

/** By number of the type. */
export type Fixed = ReadonlyMap<number, StaticSet>;

const TYPES: ReadonlyMap<string, number> = new Map(
  (['A', 'AAAA', 'CNAME', 'TXT', 'SRV'] as const).map((name) => [name, TYPE[name]]),
);

/** By name. Types of a newer version, which nobody here knows, are left out. */
export function fixedNames(sets: readonly StaticSet[]): Map<string, Named> {
  const known = sets.filter(({ type, values }) => TYPES.has(type) && values.length > 0);
  const byName = Map.groupBy(known, ({ name }) => name);
  return new Map(
    [...byName].map(([name, each]) => {
      const fixed: Fixed = new Map(each.map((set) => [TYPES.get(set.type)!, set]));
      return [name, { kind: 'fixed', addresses: [], fixed }];
    }),
  );
}

/** What addresses are called that one name alone has. */
export function fixedPointers(sets: readonly StaticSet[], network: string): Map<string, Pointer> {
  const pointers = new Map<string, Pointer>();
  const several = new Set<string>();
  for (const { name, type, values } of sets) {
    if (type !== 'A' && type !== 'AAAA') continue;
    for (const value of values) {
      const address = canonicalIp(value);
      if (address === undefined) continue;
      if (pointers.has(address)) several.add(address);
      else pointers.set(address, { name, network });
    }
  }
  for (const address of several) pointers.delete(address);
  return pointers;
}

export interface FixedAnswer {
  readonly zone: Zone;
  /** What the question's name is. */
  readonly named: Named;
  /** In [0, 1). */
  readonly random: number;
  /** Bytes. */
  readonly limit: number;
  /** For an answer that has nothing of the type. */
  readonly soa: () => Uint8Array;
}

/** With the aliases on the way; where the last of them leads nowhere, there is no such name (RFC 6604). */
export function replyFixed(query: Query, { zone, named, random, limit, soa }: FixedAnswer): Uint8Array {
  const suffix = suffixOf(zone, query.name);
  const chain: Uint8Array[] = [];
  let owner = HEADER_BYTES;
  let end = query.questionEnd;
  let last: Named | undefined = named;
  for (
    let alias = aliasOf(last, query);
    alias !== undefined && chain.length <= MOST_LINKS;
    alias = aliasOf(last, query)
  ) {
    const target = alias.values[0]!;
    const data = encodeName(`${target}${suffix}`) ?? encodeName(target);
    if (data === undefined) break;
    const record = encodeRecord(owner, TYPE.CNAME, ttlOf(alias, zone), data);
    chain.push(record);
    owner = end + record.length - data.length;
    end += record.length;
    last = zone.names.get(target);
  }
  const exists = last?.kind === 'resolves' || last?.kind === 'fixed';
  const records = exists ? recordsAt(owner, last!, { query, zone, suffix }) : [];
  if (records.length === 0) {
    return encodeRecordsReply(
      query,
      exists ? RCODE.NOERROR : RCODE.NXDOMAIN,
      { answers: chain, authority: soa() },
      limit,
    );
  }
  const start = isAddress(query.type) ? Math.floor(random * records.length) : 0;
  return encodeRecordsReply(
    query,
    RCODE.NOERROR,
    { answers: [...chain, ...records.slice(start), ...records.slice(0, start)] },
    limit,
  );
}

/** Who asks for the alias itself gets it, and nothing behind it. */
function aliasOf(named: Named | undefined, { type }: Query): StaticSet | undefined {
  return type === TYPE.CNAME ? undefined : named?.fixed?.get(TYPE.CNAME);
}

function isAddress(type: number): boolean {
  return type === TYPE.A || type === TYPE.AAAA;
}

interface Asked {
  readonly query: Query;
  readonly zone: Zone;
  readonly suffix: string;
}

function recordsAt(owner: number, named: Named, { query: { type }, zone, suffix }: Asked): Uint8Array[] {
  const set = named.fixed?.get(type);
  const values = set?.values ?? (isAddress(type) ? named.addresses : []);
  const ttlSeconds = set === undefined ? zone.ttlSeconds : ttlOf(set, zone);
  return values.flatMap((value) => {
    const data = encodeValue(type, value, suffix);
    return data === undefined ? [] : [encodeRecord(owner, type, ttlSeconds, data)];
  });
}

function ttlOf({ ttlSeconds }: StaticSet, zone: Zone): number {
  return ttlSeconds ?? zone.ttlSeconds;
}

/** Undefined for what is no value of that type: somebody else wrote it, or it is an address of the other family. */
function encodeValue(type: number, value: string, suffix: string): Uint8Array | undefined {
  switch (type) {
    case TYPE.A:
    case TYPE.AAAA: {
      const ip = parseIp(value);
      return ip?.family === (type === TYPE.A ? 4 : 6) ? bytesOf(ip) : undefined;
    }
    case TYPE.CNAME:
      return encodeName(`${value}${suffix}`) ?? encodeName(value);
    case TYPE.TXT:
      return encodeText(value);
    default:
      return encodeService(value, suffix);
  }
}

const STRING_BYTES = 255;

/** Strings of at most 255 bytes, one after the other (RFC 1035, 3.3.14). */
function encodeText(text: string): Uint8Array {
  const strings = Math.max(1, Math.ceil(text.length / STRING_BYTES));
  const out = new Uint8Array(text.length + strings);
  let at = 0;
  for (let start = 0; start === 0 || start < text.length; start += STRING_BYTES) {
    const part = text.slice(start, start + STRING_BYTES);
    out[at++] = part.length;
    for (let i = 0; i < part.length; i++) out[at++] = part.charCodeAt(i);
  }
  return out;
}

/** RFC 2782. A host of one label is one of the network. */
function encodeService(value: string, suffix: string): Uint8Array | undefined {
  const [priority, weight, port, host = ''] = value.split(' ');
  const numbers = [priority, weight, port].map(Number);
  const own = host.includes('.') ? undefined : encodeName(`${host}${suffix}`);
  const target = host === '.' ? new Uint8Array(1) : (own ?? encodeName(host));
  if (target === undefined || !numbers.every((each) => Number.isInteger(each) && each >= 0 && each <= 65_535))
    return undefined;
  return encodeServiceData(numbers, target);
}

/** Priority, weight and port, and an encoded name (RFC 2782). */
export function encodeServiceData(numbers: readonly number[], target: Uint8Array): Uint8Array {
  const out = new Uint8Array(6 + target.length);
  numbers.forEach((each, i) => {
    putUint16(out, 2 * i, each);
  });
  out.set(target, 6);
  return out;
}

/** What stood behind the name in the question stands behind the names in the answer: who asks so can ask for those so. */
export function suffixOf(zone: Zone, name: string): string {
  if (zone.names.has(name)) return '';
  const short = `.${zone.network}`;
  const long = `${short}.${DOMAIN}`;
  return name.endsWith(long) ? long : name.endsWith(short) ? short : '';
}
