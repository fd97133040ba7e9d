/** What only a real connection and a real event loop can show. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EtcdClient } from '../../../src/adapters/etcd/client.ts';
import { EtcdConnection } from '../../../src/adapters/etcd/connection.ts';
import { keepLive } from '../../../src/adapters/etcd/lease-keeper.ts';
import type { EtcdStore } from '../../../src/adapters/etcd/store.ts';
import { AlarmRequest_AlarmAction as Action, AlarmType, MaintenanceService } from '../../../src/gen/etcd/rpc.ts';
import type { WatchUpdate } from '../../../src/ports/store.ts';
import { createFastClock, realClock } from '../../contract/store-clock.ts';
import { until } from '../../lab/until.ts';
import { EtcdProcess, freePort } from './etcd-process.ts';
import { openStore, silentLogger } from './open-store.ts';
import { TcpLink } from './tcp-link.ts';

let etcd: EtcdProcess;
let direct: EtcdStore;

beforeAll(async () => {
  etcd = await EtcdProcess.create();
  direct = openStore([etcd.url]);
});
afterAll(async () => {
  direct.close();
  await etcd.close();
});

const readUntil = async (updates: AsyncIterator<WatchUpdate>, matches: (update: WatchUpdate) => boolean) => {
  while (true) {
    const { value, done } = await updates.next();
    if (done) throw new Error('the watch ended');
    if (matches(value)) return value;
  }
};

const hasKey = (key: string) => (update: WatchUpdate) =>
  (update.kind === 'events' && update.events.some((event) => event.key === key)) ||
  (update.kind === 'snapshot' && update.entries.some((entry) => entry.key === key));

const wasDeleted = (key: string) => (update: WatchUpdate) =>
  update.kind === 'events' && update.events.some((event) => event.key === key && event.value === undefined);

const block = (ms: number) => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

test('an event loop that is blocked for half the lease does not lose it, and blames nobody', async () => {
  const [key, other] = ['/outage/live', '/outage/live-other'];
  const ttlSeconds = 6;
  const warnings: string[] = [];
  const logger = { ...silentLogger, warn: (_: object, text: string) => warnings.push(text) };
  const [stop, stopWatching] = [new AbortController(), new AbortController()];
  const updates = direct.watch('/outage/live', stopWatching.signal)[Symbol.asyncIterator]();
  let blocked = false;
  const clock = {
    ...realClock,
    // A word to the server has just gone, and its answer comes meanwhile.
    sleep: (ms: number, signal?: AbortSignal) => {
      const slept = realClock.sleep(ms, signal);
      if (!blocked) block((ttlSeconds / 2) * 1_000);
      blocked = true;
      return slept;
    },
  };
  const connection = new EtcdConnection({ clock: realClock, logger }, { endpoints: [etcd.url] });
  const kept = keepLive({ connection, clock, logger }, { key, value: 'me', ttlSeconds }, stop.signal);
  await readUntil(updates, hasKey(key));
  const before = await direct.get(key);
  expect(blocked).toBe(true);
  // Another lease of the same length ends meanwhile.
  const lease = await direct.grantLease(ttlSeconds);
  await direct.txn([], [{ kind: 'put', key: other, value: '', lease }]);
  await readUntil(updates, wasDeleted(other));
  expect(await direct.get(key)).toEqual(before);
  expect(warnings).toEqual([]);
  stop.abort();
  await kept;
  connection.close();
  await readUntil(updates, wasDeleted(key));
  stopWatching.abort();
});

test('one that is blocked for longer than the lease gets it back at once', async () => {
  const key = '/outage/late';
  const [stop, stopWatching] = [new AbortController(), new AbortController()];
  const updates = direct.watch(key, stopWatching.signal)[Symbol.asyncIterator]();
  const kept = direct.keepLive(key, 'me', 2, stop.signal);
  await readUntil(updates, hasKey(key));
  block(5_000);
  await readUntil(updates, wasDeleted(key));
  await readUntil(updates, hasKey(key));
  stop.abort();
  await kept;
  await readUntil(updates, wasDeleted(key));
  stopWatching.abort();
});

test('a connection refused is said at once, with what to look at', async () => {
  const url = `http://127.0.0.1:${await freePort()}`;
  const store = openStore([url]);
  await expect(store.get('/x')).rejects.toMatchObject({
    code: 'store-unavailable',
    retryable: true,
    message: `etcd at ${url} does not answer: connection refused; is it running, is port ${url.split(':')[2]} open?`,
  });
  expect(store.status()).toEqual({
    reachable: false,
    endpoints: [url],
    revision: 0,
    refusal: undefined,
    clockProblem: undefined,
  });
  store.close();
});

test('with a dead endpoint in the list, calls and watches use the living one', async () => {
  const store = openStore([`http://127.0.0.1:${await freePort()}`, etcd.url]);
  const stop = new AbortController();
  const updates = store.watch('/outage/failover/', stop.signal)[Symbol.asyncIterator]();
  await readUntil(updates, ({ kind }) => kind === 'snapshot');
  const { revision } = await store.txn([], [{ kind: 'put', key: '/outage/failover/a', value: '' }]);
  await readUntil(updates, hasKey('/outage/failover/a'));
  expect(store.status()).toMatchObject({ reachable: true, revision });
  stop.abort();
  store.close();
});

test('when an endpoint goes silent, watch and calls move to the other', async () => {
  const link = await TcpLink.create(etcd.port);
  const store = openStore([link.url, etcd.url], createFastClock(2));
  const stop = new AbortController();
  const updates = store.watch('/outage/silent/', stop.signal)[Symbol.asyncIterator]();
  await readUntil(updates, ({ kind }) => kind === 'snapshot');
  link.cut();
  await direct.txn([], [{ kind: 'put', key: '/outage/silent/a', value: '' }]);
  await readUntil(updates, hasKey('/outage/silent/a'));
  expect(await store.get('/outage/silent/a')).toBeDefined();
  stop.abort();
  store.close();
  link.close();
});

test('a watch of a store in which nothing happens is not taken for lost', async () => {
  await direct.txn([], [{ kind: 'put', key: '/outage/quiet/a', value: '' }]);
  const fast = createFastClock(2);
  let waits = 0;
  const clock = {
    ...fast,
    sleep: (ms: number, signal?: AbortSignal) => fast.sleep(ms, signal).then(() => void waits++),
  };
  const store = openStore([etcd.url], clock);
  const stop = new AbortController();
  const updates = store.watch('/outage/quiet/', stop.signal)[Symbol.asyncIterator]();
  await readUntil(updates, ({ kind }) => kind === 'snapshot');
  const next = updates.next();
  await until('four questions on the watch', () => waits >= 4);
  expect(store.status().reachable).toBe(true);
  const { revision } = await direct.txn([], [{ kind: 'put', key: '/outage/quiet/b', value: '' }]);
  expect(await next).toMatchObject({ value: { kind: 'events', revision, events: [{ key: '/outage/quiet/b' }] } });
  stop.abort();
  store.close();
});

test('a failed call leaves a running watch alone', async () => {
  const stop = new AbortController();
  const updates = direct.watch('/outage/calls/', stop.signal)[Symbol.asyncIterator]();
  await readUntil(updates, ({ kind }) => kind === 'snapshot');
  await expect(direct.txn([], [{ kind: 'put', key: '', value: '' }])).rejects.toMatchObject({ code: 'store-failed' });
  await direct.txn([], [{ kind: 'put', key: '/outage/calls/a', value: '' }]);
  expect(await readUntil(updates, () => true)).toMatchObject({ kind: 'events', events: [{ key: '/outage/calls/a' }] });
  stop.abort();
});

test('a store out of space says so and is not retried', async () => {
  const admin = new EtcdClient({}, etcd.url);
  const { header } = await admin.call(MaintenanceService.status, {});
  const alarm = { alarm: AlarmType.NOSPACE, memberID: header!.memberId };
  await admin.call(MaintenanceService.alarm, { action: Action.ACTIVATE, ...alarm });
  try {
    await expect(direct.txn([], [{ kind: 'put', key: '/outage/x', value: '' }])).rejects.toMatchObject({
      code: 'store-failed',
      retryable: false,
      message: expect.stringContaining('NOSPACE'),
    });
  } finally {
    await direct.maintenance.disarm();
    admin.close();
  }
});
