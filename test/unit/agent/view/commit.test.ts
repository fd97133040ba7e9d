import { expect, test } from 'vitest';
import { type Change, committing } from '../../../../src/agent/view/commit.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import type { GossipRecord } from '../../../../src/core/gossip/message.ts';
import { encodeRecord } from '../../../../src/core/record-codec.ts';
import { keys, type StoreGate } from '../../../../src/core/records.ts';
import type { ClusterStore } from '../../../../src/ports/store.ts';
import { MemoryEtcd } from '../../../sim/memory-store.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

function make(override: Partial<ClusterStore> = {}) {
  const clock = new VirtualClock();
  const etcd = new MemoryEtcd({ clock });
  const steps: [what: string, records: readonly GossipRecord[]][] = [];
  const push = Promise.withResolvers<void>();
  const commit = committing({
    store: {
      get: async (key) => etcd.entries(key)[0],
      txn: override.txn ?? (async (compares, writes) => etcd.txn(compares, writes)),
    },
    learn: (records) => void steps.push(['learn', records]),
    push: (records) => {
      steps.push(['push', records]);
      return push.promise;
    },
  });
  return { commit, etcd, push, steps };
}

const changes: Change[] = [
  { kind: 'put', key: '/a', record: { id: 'a' } },
  { kind: 'put', key: '/name', record: 'a' },
  { kind: 'delete', key: '/old' },
  { kind: 'delete-prefix', prefix: '/below/' },
];

test('what a transaction wrote is known here and told, whole, and what a prefix held by the word of the store', async () => {
  const { commit, etcd, steps } = make();
  for (const key of ['/old', '/below/1', '/below/2']) etcd.txn([], [{ kind: 'put', key, value: 'x' }]);
  const committed = await commit([{ kind: 'absent', key: '/a' }], changes);
  const { revision } = etcd;
  expect(committed).toMatchObject({ revision });
  const records = [
    { key: '/a', value: '{"id":"a"}', revision },
    { key: '/name', value: 'a', revision },
    { key: '/old', revision },
    { key: '/below/1', revision },
    { key: '/below/2', revision },
  ];
  expect(steps).toEqual([
    ['learn', records],
    ['push', records],
  ]);
  expect(
    etcd
      .changedAt(revision)!
      .map(({ key }) => key)
      .sort(),
  ).toEqual(records.map(({ key }) => key).sort());
});

test('nobody waits for the peers who does not want to', async () => {
  const { commit, push } = make();
  const { told } = (await commit([], changes))!;
  let heard = false;
  void told.then(() => {
    heard = true;
  });
  await Promise.resolve();
  expect(heard).toBe(false);
  push.resolve();
  await told;
  expect(heard).toBe(true);
});

test('a transaction that did not happen, or may have, is neither known nor told', async () => {
  const refused = make();
  expect(await refused.commit([{ kind: 'exists', key: '/a' }], changes)).toBeUndefined();
  const error = new OverlaydError('store-unavailable', 'etcd does not answer', { retryable: true });
  const silent = make({ txn: () => Promise.reject(error) });
  await expect(silent.commit([], changes)).rejects.toBe(error);
  expect([...refused.steps, ...silent.steps]).toEqual([]);
});

test('nothing is written while records are copied, and the caller is told by whom and since when', async () => {
  const { commit, etcd } = make();
  const gate: StoreGate = { kind: 'move', by: 'n7', startedAt: 0, epoch: '2-00000000000000e2' };
  etcd.txn([], [{ kind: 'put', key: keys.storeGate, value: encodeRecord(gate) }]);
  await expect(commit([], changes)).rejects.toMatchObject({
    ...{ code: 'store-unavailable', retryable: true },
    message: expect.stringMatching(/being moved by node n7 since 1970-01-01.*overlayd store move/),
  });
  etcd.txn([], [{ kind: 'delete', key: keys.storeGate }]);
  expect(await commit([{ kind: 'exists', key: '/nothing' }], changes)).toBeUndefined();
});
