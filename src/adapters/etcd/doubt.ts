/**
 * A transaction of which nobody knows whether it happened: the member that it was sent to was lost before it answered, and
 * may do it still. It can be sent again when it cannot happen twice, since one of its compares does not hold any more once
 * it has. When the compares do not hold, what its keys hold may tell. Its own values, of one revision later than anything that
 * was known when it was sent, are its doing. What has stood in the way since before that kept it from happening. Whatever else
 * they hold tells nothing, as others may have been there since. Pure.
 */
import type { KeyValue } from '../../gen/etcd/kv.ts';
import type { TxnRequest, TxnResponse } from '../../gen/etcd/rpc.ts';
import type { Compare, Write } from '../../ports/store.ts';
import { encodeCompare, encodeGet, encodeWrite, MAX_TXN_OPERATIONS } from './request.ts';

/** The transaction once more, with the question. Undefined: it might happen twice, or its outcome is more than its puts. */
export function askAgain(compares: readonly Compare[], writes: readonly Write[]): TxnRequest | undefined {
  const puts = putsOf(writes);
  if (puts.length === 0 || writes.some(({ kind }) => kind === 'delete-prefix')) return undefined;
  if (!compares.some((compare) => isUndoneBy(compare, writes))) return undefined;
  return {
    compare: compares.map(encodeCompare),
    success: writes.map(encodeWrite),
    failure: askedKeys(compares, writes).map((key) => ({ request: { $case: 'requestRange', value: encodeGet(key) } })),
  };
}

/**
 * What came of it; undefined: nobody can tell.
 *
 * @param after - the highest revision that was known before it was sent first; 0: none.
 */
export function whatHappened(
  answer: TxnResponse,
  { compares, writes, after }: { compares: readonly Compare[]; writes: readonly Write[]; after: number },
): { readonly succeeded: boolean; readonly revision: number } | undefined {
  const now = answer.header?.revision ?? 0;
  if (answer.succeeded) return { succeeded: true, revision: now };
  if (after === 0) return undefined;
  const held = heldKeys(answer, askedKeys(compares, writes));
  const puts = putsOf(writes);
  const revision = held.get(puts[0]!.key)?.modRevision ?? 0;
  const isOwn = puts.every(({ key, value }) => {
    const entry = held.get(key);
    return entry?.value.toString('utf8') === value && entry.modRevision === revision;
  });
  if (isOwn && revision > after) return { succeeded: true, revision };
  return compares.some((compare) => failedAllAlong(compare, held, after))
    ? { succeeded: false, revision: now }
    : undefined;
}

/** Puts first: they are never too many, compares might be. */
function askedKeys(compares: readonly Compare[], writes: readonly Write[]): readonly string[] {
  const compared = compares.flatMap((compare) => (compare.kind === 'empty' ? [] : [compare.key]));
  return [...new Set([...putsOf(writes).map(({ key }) => key), ...compared])].slice(0, MAX_TXN_OPERATIONS);
}

function heldKeys({ responses }: TxnResponse, asked: readonly string[]): ReadonlyMap<string, KeyValue | undefined> {
  return new Map(
    asked.map((key, i) => {
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

function putsOf(writes: readonly Write[]) {
  return writes.filter((write) => write.kind === 'put');
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
