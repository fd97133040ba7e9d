/** A real etcd that answers and refuses. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import type { EtcdStore } from '../../../src/adapters/etcd/store.ts';
import { until } from '../../lab/until.ts';
import { EtcdProcess } from './etcd-process.ts';
import { openStore } from './open-store.ts';

const run = promisify(execFile);
let etcd: EtcdProcess;
let store: EtcdStore;

const start = async (further: readonly string[] = []) => {
  etcd = await EtcdProcess.create(further);
  store = openStore([etcd.url]);
};
const etcdctl = (...args: string[]) =>
  run('etcdctl', ['--endpoints', etcd.url, ...args], { env: { ...process.env, ETCDCTL_API: '3' } });

afterEach(async () => {
  store.close();
  await etcd.close();
});

test('an etcd that is out of space says so before anybody writes, until it is mended', async () => {
  await start(['--quota-backend-bytes', String(16 * 2 ** 20)]);
  expect(await store.alarms()).toEqual([]);
  const value = 'x'.repeat(2 ** 20);
  const fill = async () => {
    for (let i = 0; i < 40; i++) await store.txn([], [{ kind: 'put', key: '/fill', value }]);
  };
  await expect(fill()).rejects.toThrow('alarm NOSPACE');
  expect(store.status()).toMatchObject({ reachable: true, refusal: expect.stringContaining('alarm NOSPACE') });
  const other = openStore([etcd.url]);
  await until('the alarm', async () => (await other.alarms()).length > 0);
  expect(await other.alarms()).toEqual([expect.stringMatching(/out of space \(alarm NOSPACE\).*etcdctl alarm disarm/)]);
  // Reads go on.
  expect(await store.get('/fill')).toBeDefined();
  const { revision } = (await store.get('/fill'))!;
  await etcdctl('compaction', String(revision));
  await etcdctl('defrag');
  await etcdctl('alarm', 'disarm');
  expect(await other.alarms()).toEqual([]);
  await store.txn([], [{ kind: 'put', key: '/after', value: '' }]);
  expect(store.status().refusal).toBeUndefined();
  other.close();
});

test('an etcd that wants a user is not said to be away', async () => {
  await start();
  await store.txn([], [{ kind: 'put', key: '/a', value: '' }]);
  await etcdctl('user', 'add', 'root:secret');
  await etcdctl('user', 'grant-role', 'root', 'root').catch(() => undefined);
  await etcdctl('auth', 'enable');
  await expect(store.txn([], [{ kind: 'put', key: '/a', value: '' }])).rejects.toThrow('refuses our credentials');
  expect(store.status().refusal).toContain('refuses our credentials');
  // Whoever asks how things are does not make them well.
  await store.alarms().catch(() => []);
  expect(store.status().refusal).toContain('refuses our credentials');
  await etcdctl('--user', 'root:secret', 'auth', 'disable');
  await store.txn([], [{ kind: 'put', key: '/a', value: '' }]);
  expect(store.status().refusal).toBeUndefined();
});
