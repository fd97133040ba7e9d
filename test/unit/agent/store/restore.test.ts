import { expect, test } from 'vitest';
import { backUpStore, restoreStore } from '../../../../src/agent/store/restore.ts';
import { decodeCluster, decodeNode, encodeRecord } from '../../../../src/core/record-codec.ts';
import { keys } from '../../../../src/core/records.ts';
import { EPOCH, endpointRecord, nodeRecord } from '../../../fixtures/records.ts';
import { API, LATER, recordsOf, SHOP, StoreFixture, WEB } from './store-fixture.ts';

const silent = () => undefined;
const restore = (fixture: StoreFixture, backup?: string, newStore = false) =>
  restoreStore(fixture.deps(), { backup, newStore }, silent);
const backUp = async (fixture: StoreFixture) => (await backUpStore(fixture.deps(), false)).text;
const epochOf = (records: ReadonlyMap<string, string>) => decodeCluster(records.get(keys.cluster)!)!.epoch;
const without = (records: Map<string, string>, ...gone: string[]) =>
  new Map([...records].filter(([key]) => !gone.includes(key)));

test('a store that runs gets its networks back, and keeps its hosts and what is connected', async () => {
  const fixture = new StoreFixture(WEB, API);
  const backup = await backUp(fixture);
  for (const [key] of recordsOf(WEB)) fixture.etcd.txn([], [{ kind: 'delete', key }]);
  const token = [keys.token('abcdefgh'), '{}'] as const;
  const third = [keys.node('h3'), encodeRecord(nodeRecord({ id: 'h3' }))] as const;
  fixture.put(fixture.etcd, [...recordsOf(LATER, SHOP), token, third]);
  const { store, warnings } = await restore(fixture, backup);
  expect(store).toBeUndefined();
  expect(warnings).toEqual([expect.stringContaining('has no network later')]);
  const held = fixture.held();
  expect(epochOf(held)).toMatch(/^2-/);
  for (const [key, value] of [...recordsOf(WEB, API, SHOP), token, third]) expect(held.get(key), key).toBe(value);
  for (const [key] of recordsOf(LATER)) expect(held.has(key), key).toBe(false);
  expect(held.has(keys.storeGate)).toBe(false);
});

test('an endpoint of the backup comes back where its host is away and nobody has its address, and not otherwise', async () => {
  const fixture = new StoreFixture(WEB, API, SHOP);
  const backup = await backUp(fixture);
  const other = endpointRecord({ id: 'd'.repeat(64), address: '10.0.1.3' });
  for (const [key] of recordsOf(API, SHOP)) fixture.etcd.txn([], [{ kind: 'delete', key }]);
  fixture.away.add('h2');
  await restore(fixture, backup);
  expect(fixture.held().has(keys.endpoint(API))).toBe(false);
  for (const [key, value] of recordsOf(SHOP)) expect(fixture.held().get(key)).toBe(value);
  for (const [key] of recordsOf(SHOP)) fixture.etcd.txn([], [{ kind: 'delete', key }]);
  fixture.put(fixture.etcd, recordsOf(other));
  await restore(fixture, backup);
  expect(fixture.held().has(keys.endpoint(SHOP))).toBe(false);
  for (const [key, value] of recordsOf(other)) expect(fixture.held().get(key)).toBe(value);
});

test('the level does not fall, and the CA is the one of now', async () => {
  const fixture = new StoreFixture(WEB);
  const backup = await backUp(fixture);
  const now = { ...decodeCluster(fixture.held().get(keys.cluster)!)!, level: 5, caCertificate: 'newer', pools: [] };
  fixture.put(fixture.etcd, [[keys.cluster, encodeRecord(now)]]);
  await restore(fixture, backup);
  const cluster = decodeCluster(fixture.held().get(keys.cluster)!)!;
  expect(cluster).toMatchObject({ level: 5, caCertificate: 'newer', pools: [{ base: '10.0.0.0/8', prefix: 24 }] });
});

test('whoever is interrupted does it again, at whatever transaction', async () => {
  const fresh = () => {
    const fixture = new StoreFixture(WEB, API);
    fixture.known = undefined;
    return fixture;
  };
  const backup = await backUp(fresh());
  const whole = fresh();
  whole.put(whole.etcd, recordsOf(LATER));
  await restore(whole, backup);
  for (let dies = 0; dies < 3; dies++) {
    const fixture = fresh();
    fixture.put(fixture.etcd, recordsOf(LATER));
    fixture.dies = dies;
    await expect(restore(fixture, backup)).rejects.toThrow('the agent is dead');
    // Until then everybody sees what was, or that nothing is to be believed.
    expect(epochOf(fixture.held())).toBe(EPOCH);
    expect(fixture.held().has(keys.storeGate)).toBe(dies > 0);
    fixture.dies = Number.POSITIVE_INFINITY;
    await restore(fixture, backup);
    const [a, b] = [fixture.held(), whole.held()].map((held) => without(held, keys.cluster));
    expect(a).toEqual(b);
  }
});

test('two hosts do not restore at once, unless the one is away', async () => {
  const fixture = new StoreFixture(WEB);
  const backup = await backUp(fixture);
  const gate = { kind: 'restore', by: 'h2', startedAt: 1, epoch: '2-00000000000000e2' };
  fixture.put(fixture.etcd, [[keys.storeGate, encodeRecord(gate)]]);
  await expect(restore(fixture, backup)).rejects.toThrow(expect.objectContaining({ code: 'conflict' }));
  fixture.away.add('h2');
  await restore(fixture, backup);
  expect(epochOf(fixture.held())).toMatch(/^2-/);
});

test('a store that does not answer is not replaced unless that is asked for', async () => {
  const fixture = new StoreFixture(WEB, API);
  fixture.known = fixture.held();
  fixture.etcd.stop('refusing');
  await expect(restore(fixture)).rejects.toThrow(/If it comes back, wait for it.*--new-store/);
  const { store } = await restore(fixture, undefined, true);
  expect(store).toEqual({
    ...{ endpoints: ['https://192.0.2.1:2379'], caCertificate: '', certificate: '', key: '' },
    bundled: true,
  });
  const held = fixture.held(fixture.other('https://192.0.2.1:2379'));
  expect(epochOf(held)).toMatch(/^2-/);
  const changed = [keys.cluster, keys.node('h1'), keys.node('h2'), keys.storeKeepers];
  expect(without(held, ...changed)).toEqual(without(fixture.known, ...changed));
  expect(decodeNode(held.get(keys.node('h1'))!)!.holdsStore).toBe(true);
  expect(decodeNode(held.get(keys.node('h2'))!)!.holdsStore).toBeUndefined();
  expect(held.get(keys.storeKeepers)).toBe('{"nodeIds":["h1"]}');
});

test('a host that is no keeper begins one with another CA, where no keeper is left', async () => {
  const fixture = new StoreFixture(WEB, API);
  const cluster = { ...decodeCluster(fixture.held().get(keys.cluster)!)!, level: 5, nextCaCertificate: 'next' };
  fixture.put(fixture.etcd, [[keys.cluster, encodeRecord(cluster)]]);
  fixture.known = fixture.held();
  fixture.holds = { certificate: 'node h1 by ca' };
  fixture.keepers = ['h2'];
  fixture.etcd.stop('refusing');
  await expect(restore(fixture, undefined, true)).rejects.toMatchObject({ code: 'conflict' });
  expect(fixture.held(fixture.other('https://192.0.2.1:2379')).size).toBe(0);
  fixture.away.add('h2');
  const { adopt, store, warnings } = await restore(fixture, undefined, true);
  expect(warnings).toEqual([expect.stringContaining('follow when each is told')]);
  expect(store).toMatchObject({ bundled: true });
  const other = `another CA of ${cluster.id}`;
  const before = fixture.deps().identity;
  expect(adopt!({ ...before, next: { caCertificate: 'next' } })).toEqual({
    ...before,
    ...{ certificate: `keeper h1 by ${other}`, caCertificate: other, caKey: 'another key' },
    revoked: { serials: [], list: 'list of ', signedBy: `digest of ${other}` },
  });
  const held = fixture.held(fixture.other('https://192.0.2.1:2379'));
  const record = decodeCluster(held.get(keys.cluster)!)!;
  expect(record).toMatchObject({ id: cluster.id, level: 5, caCertificate: other });
  expect(record).not.toHaveProperty('nextCaCertificate');
  for (const [key, value] of recordsOf(WEB, API)) expect(held.get(key)).toBe(value);
});

test('a store that answers is not replaced, and one that lost everything is filled', async () => {
  const fixture = new StoreFixture(WEB, API);
  await expect(restore(fixture, undefined, true)).rejects.toThrow('the store answers');
  fixture.known = fixture.held();
  fixture.etcd.wipe();
  await restore(fixture);
  for (const [key, value] of recordsOf(WEB, API)) expect(fixture.held().get(key)).toBe(value);
  expect(epochOf(fixture.held())).toMatch(/^2-/);
});

test('what is of another cluster, or of none, is refused', async () => {
  const fixture = new StoreFixture(WEB);
  const backup = await backUp(fixture);
  const other = { ...decodeCluster(fixture.held().get(keys.cluster)!)!, id: 'c2' };
  fixture.put(fixture.etcd, [[keys.cluster, encodeRecord(other)]]);
  const theirs = await backUp(fixture);
  await expect(restore(fixture, theirs)).rejects.toThrow(/of cluster c2.*init --from-backup/);
  await expect(restore(fixture, backup)).rejects.toThrow(/of cluster c2/);
  fixture.etcd.wipe();
  await expect(backUp(fixture)).rejects.toThrow('holds no cluster');
  fixture.known = new Map();
  await expect(restore(fixture)).rejects.toThrow('has heard nothing of the cluster');
});

test('a cluster of an older level is not restored into', async () => {
  const fixture = new StoreFixture(WEB);
  const backup = await backUp(fixture);
  const older = { ...decodeCluster(fixture.held().get(keys.cluster)!)!, level: 3, epoch: undefined };
  fixture.put(fixture.etcd, [[keys.cluster, encodeRecord(older)]]);
  await expect(restore(fixture, backup)).rejects.toThrow(/restoring the store.* level 4 on every host/);
  expect(fixture.held().has(keys.storeGate)).toBe(false);
});

test('a host that may not write all of the store says who may', async () => {
  const fixture = new StoreFixture(WEB);
  const backup = await backUp(fixture);
  fixture.keepers = ['h2', 'h3'];
  await expect(restore(fixture, backup)).rejects.toThrow(
    expect.objectContaining({ code: 'permission-denied', message: expect.stringContaining('on host-h2, host-h3') }),
  );
  // Where the store is lost nobody may.
  fixture.known = fixture.held();
  fixture.etcd.stop('refusing');
  expect((await restore(fixture, backup, true)).store?.bundled).toBe(true);
});

test('of a store that is lost, hosts are as this one knows them and networks as the backup says', async () => {
  const fixture = new StoreFixture(WEB, API);
  const backup = await backUp(fixture);
  const third = [keys.node('h3'), encodeRecord(nodeRecord({ id: 'h3', name: 'h3' }))] as const;
  fixture.put(fixture.etcd, [...recordsOf(LATER, SHOP), third]);
  fixture.etcd.txn([], [{ kind: 'delete', key: keys.node('h2') }]);
  fixture.known = fixture.held();
  fixture.etcd.stop('refusing');
  await restore(fixture, backup, true);
  const held = fixture.held(fixture.other('https://192.0.2.1:2379'));
  for (const [key, value] of [...recordsOf(WEB, API, SHOP), third]) expect(held.get(key), key).toBe(value);
  for (const key of [keys.node('h2'), keys.network(LATER.id)]) expect(held.has(key), key).toBe(false);
});

test('a host that knows nothing yet puts back a lost store from a backup as it is', async () => {
  const fixture = new StoreFixture(WEB, API, SHOP);
  const backup = await backUp(fixture);
  fixture.known = new Map();
  fixture.etcd.stop('refusing');
  await restore(fixture, backup, true);
  const held = fixture.held(fixture.other('https://192.0.2.1:2379'));
  for (const [key, value] of recordsOf(WEB, API, SHOP)) expect(held.get(key), key).toBe(value);
  expect(held.has(keys.node('h2'))).toBe(true);
});
