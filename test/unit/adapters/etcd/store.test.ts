import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createEtcdStore, type EtcdStore } from '../../../../src/adapters/etcd/store.ts';
import { Event_EventType } from '../../../../src/gen/etcd/kv.ts';
import { TxnResponse, WatchResponse } from '../../../../src/gen/etcd/rpc.ts';
import type { Compare, Write } from '../../../../src/ports/store.ts';
import { realClock } from '../../../contract/store-clock.ts';
import { recordingLogger } from '../../agent/cluster/cluster-fixture.ts';
import { ScriptedEtcd } from './scripted-etcd.ts';

const WHEN: readonly Compare[] = [{ kind: 'absent', key: '/a' }];
const THEN: readonly Write[] = [{ kind: 'put', key: '/a', value: 'own' }];

let first: ScriptedEtcd;
let second: ScriptedEtcd;
let store: EtcdStore;

beforeEach(async () => {
  [first, second] = [await ScriptedEtcd.start(), await ScriptedEtcd.start()];
  const endpoints = [first.url, second.url];
  store = createEtcdStore({ logger: recordingLogger([]), clock: realClock }, { endpoints });
  // It may have happened, who knows.
  first.refuse(status.UNAVAILABLE, 'etcdserver: request timed out');
});
afterEach(() => {
  store.close();
  first.stop();
  second.stop();
});

/** Since that revision. */
const holds = (value: string, revision: number, created = revision) => {
  const of = { modRevision: revision, createRevision: created };
  const kvs = [{ key: Buffer.from('/a'), value: Buffer.from(value), ...of }];
  const responses = [{ response: { $case: 'responseRange' as const, value: { kvs } } }];
  second.onTxn = (answer) => answer(null, TxnResponse.fromPartial({ header: { revision: 9 }, responses }));
};

test('a change that was lost with its member is made by another one', async () => {
  const made = TxnResponse.fromPartial({ header: { revision: 7 }, succeeded: true });
  second.onTxn = (answer) => answer(null, made);
  expect(await store.txn(WHEN, THEN)).toEqual({ succeeded: true, revision: 7, deleted: [] });
  expect([first.txns, second.txns]).toEqual([1, 1]);
});

test('one that happened before its member was lost is told as it happened', async () => {
  holds('own', 5);
  expect(await store.txn(WHEN, THEN)).toEqual({ succeeded: true, revision: 5, deleted: [] });
});

/** What etcd remembers, each of one revision: whose value the key had. */
const remembers = (...values: [value: string, revision: number][]) => {
  const events = values.map(([value, modRevision]) => ({
    type: Event_EventType.PUT,
    kv: { key: Buffer.from('/a'), value: Buffer.from(value), modRevision },
  }));
  second.onWatch = () => WatchResponse.fromPartial({ header: { revision: 9 }, events });
};

test('where another has been there since, etcd’s history tells that it happened', async () => {
  holds('another', 6, 5);
  remembers(['own', 5], ['another', 6]);
  expect(await store.txn(WHEN, THEN)).toEqual({ succeeded: true, revision: 5, deleted: [] });
});

test('where another was there first, etcd’s history tells that it did not happen', async () => {
  holds('another', 6);
  remembers(['another', 6]);
  expect(await store.txn(WHEN, THEN)).toEqual({ succeeded: false, revision: 9, deleted: [] });
});

test('what etcd’s history does not tell any more nobody can tell, and the caller is told so', async () => {
  holds('another', 5);
  second.onWatch = () => WatchResponse.fromPartial({ canceled: true, compactRevision: 8 });
  await expect(store.txn(WHEN, THEN)).rejects.toMatchObject({ code: 'store-unavailable', retryable: true });
  expect(second.txns).toBe(1);
});

test('what another one has held since before did not happen, so that the caller may choose anew', async () => {
  first.revision = 4;
  holds('another', 3);
  expect(await store.txn(WHEN, THEN)).toEqual({ succeeded: false, revision: 9, deleted: [] });
});

test('where most members are gone nobody can tell, and nobody is asked', async () => {
  const endpoints = ['http://127.0.0.1:1', 'http://127.0.0.1:2', second.url];
  const few = createEtcdStore({ logger: recordingLogger([]), clock: realClock }, { endpoints });
  second.onTxn = () => undefined;
  await expect(few.txn(WHEN, THEN)).rejects.toThrow('no other member answers');
  expect(second.txns).toBe(1);
  few.close();
});

test('what might happen twice is not sent again', async () => {
  await expect(store.txn([], THEN)).rejects.toMatchObject({ code: 'store-unavailable' });
  expect([first.txns, second.txns]).toEqual([1, 0]);
});

test('what never left this host is not asked about', async () => {
  first.leader = '0';
  second.leader = '0';
  await expect(store.txn(WHEN, THEN)).rejects.toThrow('has its cluster a majority');
  expect([first.txns, second.txns]).toEqual([0, 0]);
  expect(second.hellos).toBe(1);
});

test('a watch that is refused is asked for ever more slowly, on the same connection, and passes for no watch', async () => {
  const cancelReason = 'rpc error: code = PermissionDenied desc = etcdserver: permission denied';
  let asked = 0;
  first.onWatch = () => {
    asked += 1;
    return WatchResponse.fromPartial({ header: {}, created: true, canceled: true, cancelReason });
  };
  const over = new AbortController();
  const updates: string[] = [];
  for await (const { kind } of store.watch('/overlayd/', over.signal)) {
    updates.push(kind);
    if (kind === 'stalled') break;
  }
  over.abort();
  expect(updates).toEqual(['snapshot', 'stalled']);
  expect(store.status()).toMatchObject({ reachable: true, refusal: expect.stringContaining('permission denied') });
  // In all the time after which a watch passes for lost: 0.1 s, 0.2 s, 0.4 s, … and not as often as it can.
  expect(asked).toBeLessThan(15);
  expect([first.hellos, second.hellos]).toEqual([1, 0]);
});
