/**
 * Addresses that stay with a name (`-o sticky=true`, docs/adr/0019-an-address-stays-with-its-name.md). What an endpoint of such
 * a network had goes on resting when the endpoint goes, for its name, by the quarantine records of its addresses: they say
 * so and hang on no lease. The next endpoint of that name on any host takes what one of those before it left, all of it, in
 * the transaction of its claim; so the endpoints of a name and what is kept for it are together never more than were there
 * at once. Nobody else gets it but in need: when nothing else is free. Scales: one look at what rests on the network.
 */
import { compareIps, parseIp } from '../ip.ts';
import type { EndpointRecord, QuarantineRecord } from '../records.ts';

/** What one endpoint left for its name. */
export interface Kept {
  readonly name: string;
  /** Of the one that is gone. */
  readonly endpointId: string;
  /** By family, then in order. */
  readonly addresses: readonly string[];
  readonly releasedAt: number;
  /** Node id of who released it. */
  readonly by: string;
}

/** What rests on a network, by address. */
export type Resting = ReadonlyMap<string, QuarantineRecord>;

/** So many addresses a network keeps: a name that never comes back must not stay for ever in every member's memory. */
export const MOST_KEPT = 4_096;

/** So many a transaction lets go of. */
const MOST_AT_ONCE = 16;

/** Members' clocks agree within it. */
const CLOCKS_DIFFER_MS = 60_000;

/** Of a network, by name, the one first that was let go of first. */
export function keptOn(resting: Resting): Kept[] {
  const ofEndpoints = new Map<string, Kept & { readonly addresses: string[] }>();
  for (const [address, { keptFor, releasedAt, by }] of resting) {
    if (!keptFor) continue;
    const { name, endpointId } = keptFor;
    const known = ofEndpoints.get(endpointId);
    if (known) known.addresses.push(address);
    else ofEndpoints.set(endpointId, { name, endpointId, addresses: [address], releasedAt, by });
  }
  for (const { addresses } of ofEndpoints.values()) addresses.sort(byAddress);
  return [...ofEndpoints.values()].sort(byName);
}

/**
 * What an endpoint of that name gets. Of several: what has the address that it asks for, else what this host let go of, as
 * a host has one endpoint of a name, else what was let go of last.
 */
export function chooseKept(
  resting: Resting,
  { name, selfId, asked }: { readonly name: string; readonly selfId: string; readonly asked: readonly string[] },
): Kept | undefined {
  const own = keptOn(resting).filter((kept) => isSameName(kept.name, name));
  return (
    own.find(({ addresses }) => addresses.some((address) => asked.includes(address))) ??
    own.findLast(({ by }) => by === selfId) ??
    own.at(-1)
  );
}

/** Whether it is kept, and not for that name. */
export function isKeptFromOthers({ keptFor }: QuarantineRecord, name: string | undefined): boolean {
  return keptFor !== undefined && (name === undefined || !isSameName(keptFor.name, name));
}

/** Whether an endpoint of that name may be given it at all. */
export function mayHave(record: QuarantineRecord, name: string | undefined, now: number): boolean {
  return (record.keptFor !== undefined && !isKeptFromOthers(record, name)) || yieldsToNeed(record, now);
}

/** Whether somebody else may have it when nothing else is free. */
export function yieldsToNeed({ clean, keptFor }: QuarantineRecord, now: number): boolean {
  return clean || (keptFor?.restsUntil !== undefined && keptFor.restsUntil <= now);
}

/** For the addresses of an endpoint that goes; undefined: they rest for nobody. */
export function keptRecord(
  endpoint: Pick<EndpointRecord, 'id' | 'name' | 'sticky'> | undefined,
  released: Omit<QuarantineRecord, 'keptFor'>,
  quarantineSeconds: number,
): QuarantineRecord | undefined {
  if (!endpoint?.sticky) return undefined;
  const { id: endpointId, name } = endpoint;
  // No lease says when the time is over of what may still be used.
  const restsUntil = released.releasedAt + quarantineSeconds * 1_000 + CLOCKS_DIFFER_MS;
  return { ...released, keptFor: { name, endpointId, ...(released.clean ? {} : { restsUntil }) } };
}

/** What takes its place when its name is to have it no more; undefined: nothing, it has rested long enough. */
export function forNobody(
  { keptFor: _, ...rest }: QuarantineRecord,
  now: number,
  quarantineSeconds: number,
): QuarantineRecord | undefined {
  return now < rest.releasedAt + quarantineSeconds * 1_000 + CLOCKS_DIFFER_MS ? rest : undefined;
}

/** Which of the kept addresses go when those come, so that there are no more than {@link MOST_KEPT}: the oldest. */
export function surplusOf(resting: Resting, coming: readonly string[]): string[] {
  const kept = [...resting].filter(([address, { keptFor }]) => keptFor && !coming.includes(address));
  const surplus = kept.length + coming.length - MOST_KEPT;
  if (surplus <= 0) return [];
  kept.sort(([, a], [, b]) => a.releasedAt - b.releasedAt);
  return kept.slice(0, Math.min(surplus, MOST_AT_ONCE)).map(([address]) => address);
}

/** As in the DNS. */
export function isSameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

function byName(a: Kept, b: Kept): number {
  const [nameOfA, nameOfB] = [a.name.toLowerCase(), b.name.toLowerCase()];
  if (nameOfA !== nameOfB) return nameOfA < nameOfB ? -1 : 1;
  // Let go of at one moment: the same order on every host.
  return a.releasedAt - b.releasedAt || (a.endpointId < b.endpointId ? -1 : 1);
}

function byAddress(a: string, b: string): number {
  const [ipOfA, ipOfB] = [parseIp(a), parseIp(b)];
  return ipOfA && ipOfB ? compareIps(ipOfA, ipOfB) : Number(a > b) - Number(a < b);
}
