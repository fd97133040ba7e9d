/**
 * A transaction of which nobody knows whether it happened: the member that it was sent to was lost before it answered, and
 * may do it still. It can be sent again when it cannot happen twice, since one of its compares does not hold any more once
 * it has. When the compares do not hold, what its keys hold tells: its own values, of one revision later than anything that
 * was known when it was sent, are its doing. Whatever else they hold tells nothing, as others may have been there since. Pure.
 */
import { RangeResponse, type TxnRequest, type TxnResponse } from '../../gen/etcd/rpc.ts';
import type { Compare, Write } from '../../ports/store.ts';
import { decodeEntry, encodeCompare, encodeGet, encodeWrite } from './request.ts';

/** The transaction once more, with the question. Undefined: it might happen twice, or its outcome is more than its puts. */
export function askAgain(compares: readonly Compare[], writes: readonly Write[]): TxnRequest | undefined {
  const puts = putsOf(writes);
  if (puts.length === 0 || writes.some(({ kind }) => kind === 'delete-prefix')) return undefined;
  if (!compares.some((compare) => isUndoneBy(compare, writes))) return undefined;
  return {
    compare: compares.map(encodeCompare),
    success: writes.map(encodeWrite),
    failure: puts.map(({ key }) => ({ request: { $case: 'requestRange', value: encodeGet(key) } })),
  };
}

/**
 * The revision at which it happened; undefined: nobody can tell.
 *
 * @param after - the highest revision that was known before it was sent first; 0: none.
 */
export function whenItHappened(answer: TxnResponse, writes: readonly Write[], after: number): number | undefined {
  if (answer.succeeded) return answer.header?.revision;
  const puts = putsOf(writes);
  const found = answer.responses.map(({ response }) => {
    const { kvs } = response?.$case === 'responseRange' ? response.value : RangeResponse.fromPartial({});
    return kvs[0] && decodeEntry(kvs[0]);
  });
  const revision = found[0]?.revision ?? 0;
  const own = puts.every(({ value }, i) => found[i]?.value === value && found[i]?.revision === revision);
  return own && after > 0 && revision > after ? revision : undefined;
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
