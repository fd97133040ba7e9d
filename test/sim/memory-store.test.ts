import { expect, test } from 'vitest';
import { describeStore, type StoreHarness } from '../contract/store.ts';
import { MemoryEtcd } from './memory-store.ts';
import { VirtualClock } from './virtual-clock.ts';

function createHarness(): StoreHarness {
  const clock = new VirtualClock();
  const etcd = new MemoryEtcd({ clock });
  let nodes = 0;
  return {
    open() {
      const store = etcd.store(`n${++nodes}`);
      return { store, cut: () => store.cut(), heal: () => store.heal() };
    },
    compact: async (revision) => etcd.compact(revision),
    revokeLeaseOf: async (key) => etcd.revokeLease(etcd.leaseOf(key)!),
    kill: async () => etcd.stop('refusing'),
    start: async () => etcd.start(),
    freeze: async () => etcd.stop('silent'),
    thaw: () => etcd.start(),
    settle: (promise) => clock.until(promise),
    close: async () => undefined,
  };
}

describeStore('etcd in memory', async () => createHarness());

test('a call whose answer is lost has happened', async () => {
  const clock = new VirtualClock();
  const etcd = new MemoryEtcd({ clock });
  const store = etcd.store('n1');
  store.loseReplies();
  const call = clock.until(store.txn([], [{ kind: 'put', key: '/k', value: 'v' }]));
  await expect(call).rejects.toMatchObject({ code: 'store-unavailable', retryable: true });
  expect(await store.get('/k')).toMatchObject({ value: 'v' });

  store.cut();
  await expect(clock.until(store.txn([], [{ kind: 'put', key: '/other', value: 'v' }]))).rejects.toMatchObject({
    code: 'store-unavailable',
  });
  expect(etcd.entries('/other')).toEqual([]);
});

test('with delays, requests of two nodes interleave and one still wins', async () => {
  const clock = new VirtualClock();
  let turn = 0;
  const etcd = new MemoryEtcd({ clock }, { delayMs: () => (turn++ * 7) % 5 });
  const claims = ['n1', 'n2', 'n3'].map((node) =>
    etcd.store(node).txn([{ kind: 'absent', key: '/k' }], [{ kind: 'put', key: '/k', value: node }]),
  );
  const results = await clock.until(Promise.all(claims));
  expect(results.filter((result) => result.succeeded)).toHaveLength(1);
});
