/** A real etcd whose file grows: it is put in order, and one that is full takes writes again. */
import { afterEach, expect, test } from 'vitest';
import type { EtcdStore } from '../../../src/adapters/etcd/store.ts';
import { StoreUpkeep } from '../../../src/agent/store/upkeep.ts';
import { realClock } from '../../contract/store-clock.ts';
import { until } from '../../lab/until.ts';
import { type LogLine, recordingLogger } from '../../unit/agent/cluster/cluster-fixture.ts';
import { EtcdProcess } from './etcd-process.ts';
import { openStore } from './open-store.ts';

const MIB = 1024 ** 2;
let etcd: EtcdProcess;
let store: EtcdStore;
let log: LogLine[];

async function start(quotaMib: number): Promise<StoreUpkeep> {
  etcd = await EtcdProcess.create(['--quota-backend-bytes', String(quotaMib * MIB)]);
  store = openStore([etcd.url]);
  log = [];
  return new StoreUpkeep(
    {
      ...{ selfId: 'default', clock: realClock, logger: recordingLogger(log) },
      membership: { ...store.membership, ...store.maintenance },
      view: { nodes: () => [] },
      revision: () => store.status().revision,
      isFollowed: () => true,
    },
    { quotaBytes: quotaMib * MIB },
  );
}
/** So many writes: to one key, or to another one each. */
const fill = async (count: number, bytes: number, keyOf: (i: number) => string = () => '/fill') => {
  for (let i = 0; i < count; i++) await store.txn([], [{ kind: 'put', key: keyOf(i), value: 'x'.repeat(bytes) }]);
};
const untilQuiet = async (upkeep: StoreUpkeep) => {
  for (let steps = 0; (await upkeep.step()) && steps < 10; steps++);
};

afterEach(async () => {
  store.close();
  await etcd.close();
});

test('an etcd that is full of history makes room by itself, and takes writes again', async () => {
  const upkeep = await start(16);
  await expect(fill(40, MIB)).rejects.toThrow('alarm NOSPACE');
  // What was just written may not be known of yet, and is history a step later.
  await until('the alarm to end', async () => {
    await untilQuiet(upkeep);
    return (await store.alarms()).length === 0;
  });
  // As events tell it.
  const events = log.map(({ fields }) => fields.event);
  expect([...new Set(events)]).toEqual(['store-compact', 'store-defragment', 'store-disarm']);
  await store.txn([], [{ kind: 'put', key: '/after', value: '' }]);
  expect(store.status().refusal).toBeUndefined();
  expect((await store.maintenance.memberStatus(etcd.url)).dbSize).toBeLessThan(8 * MIB);
});

test('an etcd that is full of records stays refused, and says so', async () => {
  const upkeep = await start(16);
  await expect(fill(700, MIB / 32, (i) => `/fill/${i}`)).rejects.toThrow('alarm NOSPACE');
  await untilQuiet(upkeep);
  expect(await store.alarms()).toEqual([expect.stringContaining('alarm NOSPACE')]);
  expect(log.map(({ fields }) => fields.event)).not.toContain('store-disarm');
  // Until somebody has deleted some.
  await store.txn([], [{ kind: 'delete-prefix', prefix: '/fill/1' }]);
});

test('free space goes back to the disk', async () => {
  const upkeep = await start(1024);
  await fill(100, MIB);
  await store.maintenance.compact((await store.get('/fill'))!.revision);
  expect((await store.maintenance.memberStatus(etcd.url)).dbSize).toBeGreaterThan(64 * MIB);
  await until('the file to be put in order', async () => {
    // etcd finds out what is free when it writes.
    await store.txn([], [{ kind: 'put', key: '/tick', value: '' }]);
    await upkeep.step();
    return (await store.maintenance.memberStatus(etcd.url)).dbSize < 8 * MIB;
  });
});
