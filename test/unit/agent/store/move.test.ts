import { expect, test } from 'vitest';
import { moveStore } from '../../../../src/agent/store/move.ts';
import {
  decodeCluster,
  decodeNode,
  decodeStoreGate,
  decodeStoreMoved,
  encodeRecord,
} from '../../../../src/core/record-codec.ts';
import { keys } from '../../../../src/core/records.ts';
import { API, recordsOf, StoreFixture, WEB } from './store-fixture.ts';

const URL = 'https://192.0.2.7:2379';
const THEIRS = { endpoints: [URL], caCertificate: 'ca', certificate: 'c', key: 'k' };
const move = (fixture: StoreFixture, to: typeof THEIRS | 'here' = THEIRS) =>
  moveStore(fixture.deps(), to === 'here' ? undefined : to, () => undefined);
const epochOf = (records: ReadonlyMap<string, string>) => decodeCluster(records.get(keys.cluster) ?? '')?.epoch;

test('all records go to an etcd of the user’s, and the store that is left says where they are', async () => {
  const fixture = new StoreFixture(WEB, API);
  const { store } = await move(fixture);
  expect(store).toEqual({ ...THEIRS, bundled: false });
  const held = fixture.held(fixture.other(URL));
  for (const [key, value] of recordsOf(WEB, API)) expect(held.get(key)).toBe(value);
  expect(epochOf(held)).toMatch(/^2-/);
  expect([keys.storeGate, keys.storeMoved, keys.storeKeepers].filter((key) => held.has(key))).toEqual([]);
  expect(decodeNode(held.get(keys.node('h1'))!)!.holdsStore).toBeUndefined();
  const left = fixture.held();
  expect(decodeStoreMoved(left.get(keys.storeMoved)!)).toEqual({ ...THEIRS, epoch: epochOf(held) });
  expect(decodeStoreGate(left.get(keys.storeGate)!)).toMatchObject({ kind: 'move', leaving: true, by: 'h1' });
});

test('all records go to an etcd of this host, which keeps the store alone then', async () => {
  const fixture = new StoreFixture(WEB, API);
  const { store } = await move(fixture, 'here');
  expect(store).toMatchObject({ endpoints: ['https://192.0.2.1:2379'], bundled: true });
  const held = fixture.held(fixture.other('https://192.0.2.1:2379'));
  expect(held.get(keys.storeKeepers)).toBe('{"nodeIds":["h1"]}');
  expect(decodeNode(held.get(keys.node('h1'))!)!.holdsStore).toBe(true);
});

test('there and back again, over what was left', async () => {
  const fixture = new StoreFixture(WEB, API);
  await move(fixture);
  const back = new StoreFixture();
  for (const key of back.held().keys()) back.etcd.txn([], [{ kind: 'delete', key }]);
  back.put(back.etcd, [...fixture.held(fixture.other(URL))]);
  back.others.set(URL, fixture.etcd);
  await move(back);
  expect(fixture.held().has(keys.storeMoved)).toBe(false);
  expect(epochOf(fixture.held())).toMatch(/^3-/);
});

test('back into a store that another host has left, which is there still', async () => {
  const fixture = new StoreFixture(WEB);
  const epoch = '0-00000000000000e0';
  const gate = { kind: 'move', by: 'h2', startedAt: 1, epoch, leaving: true };
  fixture.put(fixture.other(URL), [
    [keys.cluster, fixture.held().get(keys.cluster)!],
    [keys.storeGate, encodeRecord(gate)],
    [keys.storeMoved, encodeRecord({ epoch, endpoints: [], caCertificate: '', certificate: '', key: '' })],
  ]);
  await move(fixture);
  const held = fixture.held(fixture.other(URL));
  expect([keys.storeGate, keys.storeMoved].filter((key) => held.has(key))).toEqual([]);
  expect(fixture.held().has(keys.storeMoved)).toBe(true);
});

test('a store that another host is restoring is let be', async () => {
  const fixture = new StoreFixture(WEB);
  const gate = { kind: 'restore', by: 'h2', startedAt: 1, epoch: '0-00000000000000e0' };
  fixture.put(fixture.other(URL), [
    [keys.cluster, fixture.held().get(keys.cluster)!],
    [keys.storeGate, encodeRecord(gate)],
  ]);
  await expect(move(fixture)).rejects.toMatchObject({ code: 'conflict' });
  expect(fixture.held().has(keys.storeGate)).toBe(false);
});

test('an etcd that holds something else is not written to', async () => {
  const fixture = new StoreFixture(WEB);
  fixture.put(fixture.other(URL), [[keys.cluster, fixture.held().get(keys.cluster)!.replace('"c1"', '"c9"')]]);
  await expect(move(fixture)).rejects.toThrow(/holds cluster c9 already.*etcdctl del --prefix \/overlayd\/v2\//);
  expect(fixture.held().has(keys.storeGate)).toBe(false);
  await expect(move(fixture, { ...THEIRS, endpoints: ['https://192.0.2.9:2379'] })).rejects.toThrow('is there already');
});
