/**
 * A transaction of which nobody knows whether it happened: the member that it was sent to was lost before it answered, and
 * may do it still. It can be sent again when it cannot happen twice, since one of its compares does not hold any more once
 * it has. When the compares do not hold, what its keys hold may tell: its own values, of one revision later than anything that
 * was known when it was sent, are its doing; what has stood in the way since before that kept it from happening. Where others have
 * been there since, etcd's history tells: all that happened since then, up to what stands in the way now. Pure.
 */
import type { KeyValue } from '../../gen/etcd/kv.ts';
import type { TxnRequest, TxnResponse } from '../../gen/etcd/rpc.ts';
import type { Compare, TxnResult, Write } from '../../ports/store.ts';
import type { PastEvent } from './history.ts';
import { deletedBy, encodeCompare, encodeGet, encodeWrite, MAX_TXN_OPERATIONS, type StoreEvent } from './request.ts';

export interface Doubted {
  readonly compares: readonly Compare[];
  readonly writes: readonly Write[];
  /** The highest revision that was known before it was sent first; 0: none. */
  readonly after: number;
}

/** The transaction once more, with the question. Undefined: it might happen twice. */
export function askAgain({ compares, writes }: Pick<Doubted, 'compares' | 'writes'>): TxnRequest | undefined {
  if (!compares.some((compare) => isUndoneBy(compare, writes))) return undefined;
  return {
    compare: compares.map(encodeCompare),
    success: writes.map(encodeWrite),
    failure: askedKeys(compares, writes).map((key) => ({ request: { $case: 'requestRange', value: encodeGet(key) } })),
  };
}

/** What came of it; undefined: that answer does not tell. */
export function whatHappened(answer: TxnResponse, { compares, writes, after }: Doubted): TxnResult | undefined {
  const now = answer.header?.revision ?? 0;
  if (answer.succeeded) return { succeeded: true, revision: now, deleted: deletedBy(answer) };
  if (after === 0) return undefined;
  const held = heldKeys(answer, { compares, writes });
  if (compares.some((compare) => failedAllAlong(compare, held, after))) return notDone(now);
  // Which keys went with a prefix only history tells.
  if (writes.some(({ kind }) => kind === 'delete-prefix')) return undefined;
  const puts = putsOf(writes);
  const revision = held.get(puts[0]?.key ?? '')?.modRevision ?? 0;
  const isOwn = puts.every(({ key, value }) => {
    const entry = held.get(key);
    return entry?.value.toString('utf8') === value && entry.modRevision === revision;
  });
  return isOwn && revision > after ? { succeeded: true, revision, deleted: [] } : undefined;
}

/** What of etcd's history has to be known. */
export interface LookBack {
  /** Of all keys in question. */
  readonly prefix: string;
  /** It happened at that event or before, if it did. */
  readonly isLast: (event: StoreEvent) => boolean;
}

/** Undefined: history does not tell either, as nobody knows up to where it would have to be read. */
export function lookBack(answer: TxnResponse, { compares, writes, after }: Doubted): LookBack | undefined {
  // What only has to be there may go and come again and again.
  const isOnce = compares.some((compare) => compare.kind !== 'exists' && isUndoneBy(compare, writes));
  if (after === 0 || !isOnce) return undefined;
  const held = heldKeys(answer, { compares, writes });
  const ends = compares.flatMap((compare) => endOf(compare, held, after) ?? []);
  // One that is gone may have been gone before: there would be nothing to wait for.
  const end = ends.find(({ isGone }) => !isGone) ?? ends[0];
  if (end === undefined) return undefined;
  const { key, revision, isGone } = end;
  const isLast = (event: StoreEvent) =>
    event.key === key && event.revision >= revision && (!isGone || event.value === undefined);
  const all = writes.map((write) => (write.kind === 'delete-prefix' ? write.prefix : write.key));
  return { prefix: commonPrefix([key, ...all]), isLast };
}

/** What came of it, by `events`: all that happened since, as far as {@link lookBack} asks for. */
export function whatHistoryTells(
  events: readonly PastEvent[],
  answer: TxnResponse,
  { compares, writes }: Doubted,
): TxnResult {
  const held = heldKeys(answer, { compares, writes });
  const prefixes = writes.flatMap((write) => (write.kind === 'delete-prefix' ? write.prefix : []));
  const isUnder = (key: string) => prefixes.some((prefix) => key.startsWith(prefix));
  for (const [revision, at] of Map.groupBy(events, (event) => event.revision)) {
    const made = new Map(at.map((event) => [event.key, event]));
    const survives = (key: string) => {
      const next = events.find((event) => event.key === key && event.revision > revision);
      return next ? next.replaced > 0 : (held.get(key)?.modRevision ?? revision) < revision;
    };
    const isDone = (write: Write) => {
      if (write.kind === 'delete-prefix') return true;
      const event = made.get(write.key);
      if (write.kind === 'put') return event?.value === write.value;
      return event ? event.value === undefined : !survives(write.key);
    };
    const isOurs = (key: string) => isUnder(key) || writes.some((write) => 'key' in write && write.key === key);
    const couldBe = compares.every((compare) => holdsBefore(compare, revision, events));
    const isUndone = compares.some((compare) => isUndoneBy(compare, writes) && touches(compare, at));
    if (couldBe && isUndone && [...made.keys()].every(isOurs) && writes.every(isDone)) {
      const deleted = at.filter(({ key, value }) => value === undefined && isUnder(key)).map(({ key }) => key);
      return { succeeded: true, revision, deleted };
    }
  }
  return notDone(answer.header?.revision ?? 0);
}

/** Whether the compare held right before the revision; true where nobody has touched its key since. */
function holdsBefore(compare: Compare, revision: number, events: readonly PastEvent[]): boolean {
  if (compare.kind === 'empty') return true;
  const own = events.filter(({ key }) => key === compare.key);
  const next = own.find((event) => event.revision >= revision);
  const last = own.findLast((event) => event.revision < revision);
  const was = next?.replaced ?? (last && (last.value === undefined ? 0 : last.revision));
  if (was === undefined) return true;
  if (compare.kind === 'revision') return was === compare.revision;
  return (was === 0) === (compare.kind === 'absent');
}

function notDone(revision: number): TxnResult {
  return { succeeded: false, revision, deleted: [] };
}

/** Puts first: they are never too many, all together might be. */
function askedKeys(compares: readonly Compare[], writes: readonly Write[]): readonly string[] {
  const compared = compares.flatMap((compare) => (compare.kind === 'empty' ? [] : [compare.key]));
  const deleted = writes.flatMap((write) => (write.kind === 'delete' ? [write.key] : []));
  return [...new Set([...putsOf(writes).map(({ key }) => key), ...compared, ...deleted])].slice(0, MAX_TXN_OPERATIONS);
}

function heldKeys(
  { responses }: TxnResponse,
  { compares, writes }: Pick<Doubted, 'compares' | 'writes'>,
): ReadonlyMap<string, KeyValue | undefined> {
  return new Map(
    askedKeys(compares, writes).map((key, i) => {
      const response = responses[i]?.response;
      return [key, response?.$case === 'responseRange' ? response.value.kvs[0] : undefined];
    }),
  );
}

/** Whether it cannot have held at any revision later than `after`, by what its key holds now. */
function failedAllAlong(compare: Compare, held: ReadonlyMap<string, KeyValue | undefined>, after: number): boolean {
  if (compare.kind === 'empty' || compare.kind === 'exists') return false;
  const entry = held.get(compare.key);
  if (entry === undefined) return false;
  if (compare.kind === 'absent') return entry.createRevision <= after;
  return entry.modRevision <= after && entry.modRevision !== compare.revision;
}

/** The change since which the compare does not hold, at the latest; where the key is gone, its deletion at that revision or later. Undefined: it holds, or nobody knows. */
function endOf(
  compare: Compare,
  held: ReadonlyMap<string, KeyValue | undefined>,
  after: number,
): { readonly key: string; readonly revision: number; readonly isGone: boolean } | undefined {
  if (compare.kind === 'empty' || compare.kind === 'exists' || !held.has(compare.key)) return undefined;
  const { key } = compare;
  const entry = held.get(key);
  if (compare.kind === 'absent') return entry && { key, revision: entry.createRevision, isGone: false };
  if (entry === undefined) return { key, revision: compare.revision + 1, isGone: true };
  if (entry.modRevision === compare.revision || entry.modRevision <= after) return undefined;
  return { key, revision: entry.modRevision, isGone: false };
}

function putsOf(writes: readonly Write[]) {
  return writes.filter((write) => write.kind === 'put');
}

function touches(compare: Compare, events: readonly StoreEvent[]): boolean {
  if (compare.kind === 'empty') return events.some(({ key }) => key.startsWith(compare.prefix));
  return events.some(({ key }) => key === compare.key);
}

function commonPrefix(texts: readonly string[]): string {
  return texts.reduce((prefix, text) => {
    let length = 0;
    while (length < prefix.length && prefix[length] === text[length]) length++;
    return prefix.slice(0, length);
  });
}

/** Whether the compare, which held, does not hold any more after the writes. */
function isUndoneBy(compare: Compare, writes: readonly Write[]): boolean {
  return writes.some((write) => {
    if (write.kind === 'delete-prefix') return false;
    if (compare.kind === 'empty') return write.kind === 'put' && write.key.startsWith(compare.prefix);
    if (write.key !== compare.key) return false;
    return compare.kind === 'revision' || write.kind === (compare.kind === 'absent' ? 'put' : 'delete');
  });
}
