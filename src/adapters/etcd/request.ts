/** What we say to etcd and what it says to us, in both directions. Keys and values are UTF-8; revisions fit a double. */
import type { ICompare, IEvent, IKeyValue, IRequestOp } from 'etcd3';
import type { Compare, StoreEntry, Write } from '../../ports/store.ts';

/** Compares and writes of one transaction, each (`--max-txn-ops` of the server). */
export const MAX_TXN_OPERATIONS = 128;

export function encodeKey(key: string): Buffer {
  return Buffer.from(key, 'utf8');
}

/** The first key after all that begin with `prefix`, as etcd's `range_end` wants it. `\0` means: no end. */
export function encodePrefixEnd(prefix: string): Buffer {
  const end = Buffer.from(prefix, 'utf8');
  for (let length = end.length; length > 0; length--) {
    const last = end[length - 1]!;
    if (last < 0xff) {
      end[length - 1] = last + 1;
      return end.subarray(0, length);
    }
  }
  return Buffer.from([0]);
}

export function encodeCompare(compare: Compare): ICompare {
  switch (compare.kind) {
    case 'absent':
      return { key: encodeKey(compare.key), target: 'Version', result: 'Equal', version: 0 };
    case 'exists':
      return { key: encodeKey(compare.key), target: 'Version', result: 'Greater', version: 0 };
    case 'revision':
      return { key: encodeKey(compare.key), target: 'Mod', result: 'Equal', mod_revision: compare.revision };
    case 'empty':
      // Holds for every key of the range, hence for none: a key that exists has a version above 0.
      return {
        key: encodeKey(compare.prefix),
        range_end: encodePrefixEnd(compare.prefix),
        target: 'Version',
        result: 'Equal',
        version: 0,
      };
  }
}

export function encodeWrite(write: Write): IRequestOp {
  switch (write.kind) {
    case 'put':
      return {
        request_put: {
          key: encodeKey(write.key),
          value: Buffer.from(write.value, 'utf8'),
          ...(write.lease !== undefined && { lease: write.lease }),
        },
      };
    case 'delete':
      return { request_delete_range: { key: encodeKey(write.key) } };
    case 'delete-prefix':
      return {
        request_delete_range: {
          key: encodeKey(write.prefix),
          range_end: encodePrefixEnd(write.prefix),
          // Nobody else can say for certain which keys there were.
          prev_kv: true,
        },
      };
  }
}

export function decodeEntry(kv: IKeyValue): StoreEntry {
  return { key: kv.key.toString('utf8'), value: kv.value.toString('utf8'), revision: Number(kv.mod_revision) };
}

export interface StoreEvent {
  readonly key: string;
  /** Undefined: deleted. */
  readonly value: string | undefined;
  readonly revision: number;
}

export function decodeEvent(event: IEvent): StoreEvent {
  const entry = decodeEntry(event.kv);
  return event.type === 'Delete' ? { ...entry, value: undefined } : entry;
}
