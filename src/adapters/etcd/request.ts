/** What we say to etcd and what it says to us, in both directions. Keys and values are UTF-8; revisions fit a double. */
import { type Event, Event_EventType, type KeyValue } from '../../gen/etcd/kv.ts';
import {
  PutRequest,
  RangeRequest,
  type RequestOp,
  Compare_CompareResult as Result,
  Compare_CompareTarget as Target,
  type TxnResponse,
  type Compare as WireCompare,
} from '../../gen/etcd/rpc.ts';
import type { Compare, StoreEntry, Write } from '../../ports/store.ts';

/** Compares and writes of one transaction, each (`--max-txn-ops` of the server). */
export const MAX_TXN_OPERATIONS = 128;

const NOTHING = Buffer.alloc(0);

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

export function encodeCompare(compare: Compare): WireCompare {
  const of = (key: string, result: Result, value: WireCompare['targetUnion'], rangeEnd: Buffer = NOTHING) => ({
    key: encodeKey(key),
    target: value?.$case === 'modRevision' ? Target.MOD : Target.VERSION,
    result,
    targetUnion: value,
    rangeEnd,
  });
  const never = { $case: 'version', value: 0 } as const;
  switch (compare.kind) {
    case 'absent':
      return of(compare.key, Result.EQUAL, never);
    case 'exists':
      return of(compare.key, Result.GREATER, never);
    case 'revision':
      return of(compare.key, Result.EQUAL, { $case: 'modRevision', value: compare.revision });
    case 'empty': {
      // Has to hold for every key of the range. One that exists was written at a revision above 0.
      const written = { $case: 'modRevision', value: (compare.after ?? 0) + 1 } as const;
      return of(compare.prefix, Result.LESS, written, encodePrefixEnd(compare.prefix));
    }
  }
}

export function encodePut(key: string, value: string, lease = '0'): PutRequest {
  return PutRequest.fromPartial({ key: encodeKey(key), value: Buffer.from(value, 'utf8'), lease });
}

export function encodeWrite(write: Write): RequestOp {
  switch (write.kind) {
    case 'put':
      return { request: { $case: 'requestPut', value: encodePut(write.key, write.value, write.lease) } };
    case 'delete':
      return {
        request: {
          $case: 'requestDeleteRange',
          value: { key: encodeKey(write.key), rangeEnd: NOTHING, prevKv: false },
        },
      };
    case 'delete-prefix': {
      const { prefix } = write;
      // Nobody else can say for certain which keys there were.
      const value = { key: encodeKey(prefix), rangeEnd: encodePrefixEnd(prefix), prevKv: true };
      return { request: { $case: 'requestDeleteRange', value } };
    }
  }
}

export function encodeGet(key: string): RangeRequest {
  return RangeRequest.fromPartial({ key: encodeKey(key) });
}

/** Needs nobody but the member itself, also one that learns; its answer says which one that is. */
export function encodeLocalRead(key: string): RangeRequest {
  return RangeRequest.fromPartial({ key: encodeKey(key), serializable: true, countOnly: true });
}

export function decodeEntry(kv: KeyValue): StoreEntry {
  return { key: kv.key.toString('utf8'), value: kv.value.toString('utf8'), revision: kv.modRevision };
}

export interface StoreEvent {
  readonly key: string;
  /** Undefined: deleted. */
  readonly value: string | undefined;
  readonly revision: number;
}

export function decodeEvent(event: Event): StoreEvent {
  const entry = decodeEntry(event.kv!);
  return event.type === Event_EventType.DELETE ? { ...entry, value: undefined } : entry;
}

/** Keys that a transaction deleted by their prefix. */
export function deletedBy({ responses }: TxnResponse): string[] {
  const entries = responses.flatMap(({ response }) =>
    response?.$case === 'responseDeleteRange' ? response.value.prevKvs : [],
  );
  return entries.map(({ key }) => key.toString('utf8'));
}
