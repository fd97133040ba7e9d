/** Answers for services: where the endpoints that go by a name have the port that they call so (RFC 2782). */
import { bytesOf, requireIp } from '../ip.ts';
import { encodeServiceData, suffixOf } from './fixed.ts';
import { splitService } from './service-name.ts';
import { encodeName, encodeRecord, encodeRecordsReply, HEADER_BYTES, type Query, RCODE, TYPE } from './wire.ts';
import type { Named, Offer, Zone } from './zone.ts';

export interface ServiceAnswer {
  readonly zone: Zone;
  /** What the question's name is: a service that is offered. */
  readonly named: Named;
  /** In [0, 1). */
  readonly random: number;
  /** Bytes. */
  readonly limit: number;
}

const RECORD_HEADER_BYTES = 12;
const NUMBERS_BYTES = 6;
/** A name further behind cannot be pointed to (RFC 1035, 4.1.4). */
const FARTHEST = 0x3fff;

/** One record for each endpoint and port, all of one rank, in changing order, and the addresses behind. */
export function replyService(query: Query, { zone, named, random, limit }: ServiceAnswer): Uint8Array {
  const { ttlSeconds } = zone;
  const suffix = suffixOf(zone, splitService(query.name)?.host ?? query.name);
  const ports = new Map<string, { readonly port: number; readonly offer: Offer }>();
  for (const offer of named.offers ?? []) {
    for (const { port } of offer.ports) ports.set(`${port} ${offer.host}`, { port, offer });
  }
  const all = [...ports.values()];
  const start = Math.floor(random * all.length);
  const answers: Uint8Array[] = [];
  const additional: Uint8Array[] = [];
  const told = new Set<string>();
  let at = query.questionEnd;
  for (const { port, offer } of [...all.slice(start), ...all.slice(0, start)]) {
    const name = targetOf(zone, offer);
    const target = encodeName(`${name}${suffix}`) ?? encodeName(name);
    if (target === undefined) continue;
    const record = encodeRecord(HEADER_BYTES, TYPE.SRV, ttlSeconds, encodeServiceData([0, 1, port], target));
    answers.push(record);
    const owner = at + RECORD_HEADER_BYTES + NUMBERS_BYTES;
    at += record.length;
    if (told.has(name) || owner > FARTHEST) continue;
    told.add(name);
    for (const address of zone.names.get(offer.host)?.addresses ?? []) {
      const ip = requireIp(address, 'address');
      additional.push(encodeRecord(owner, ip.family === 4 ? TYPE.A : TYPE.AAAA, ttlSeconds, bytesOf(ip)));
    }
  }
  return encodeRecordsReply(query, RCODE.NOERROR, { answers, additional }, limit);
}

/** The endpoint's name, unless others go by it, too, who may not have that port. */
function targetOf(zone: Zone, { name, host }: Offer): string {
  const known = name.toLowerCase();
  const [shared, own] = [zone.names.get(known), zone.names.get(host)];
  return shared?.addresses.join() === own?.addresses.join() ? known : host;
}
