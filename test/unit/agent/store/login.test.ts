import { expect, test } from 'vitest';
import { sharedAccessOf } from '../../../../src/agent/cluster/store-access.ts';
import { logIn } from '../../../../src/agent/store/login.ts';
import type { StoreChangeDeps } from '../../../../src/agent/store/restore.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import { encodeRecord } from '../../../../src/core/record-codec.ts';
import { keys } from '../../../../src/core/records.ts';
import type { StoreAccess } from '../../../../src/ports/store.ts';
import { CLUSTER, StoreFixture } from './store-fixture.ts';

const ALL = { endpoints: ['https://192.0.2.9:2379'], caCertificate: 'ca', certificate: 'of all', key: 'key of all' };
const OWN = { etcdCa: '', etcdCert: 'own', etcdKey: 'own key' };

function fixture(store: StoreChangeDeps['identity']['store'] = { ...ALL, bundled: false }) {
  const made = new StoreFixture();
  const { identity } = made.deps();
  const opened: StoreAccess[] = [];
  const deps = {
    identity: { ...identity, store },
    openStore: (access: StoreAccess) => {
      opened.push(access);
      return { store: made.store(made.etcd), close: () => undefined };
    },
  };
  return { deps, made, opened, log: (options = OWN) => logIn(deps, options, () => undefined) };
}

test('it is tried, and others go on being told the one that all had', async () => {
  const { log, made, opened } = fixture();
  const before = made.held().get(keys.node('h1'));
  const { store } = await log();
  expect(opened).toEqual([{ ...ALL, certificate: 'own', key: 'own key' }]);
  expect(store).toEqual({
    ...{ ...ALL, certificate: 'own', key: 'own key', bundled: false },
    shared: { certificate: 'of all', key: 'key of all' },
  });
  expect(sharedAccessOf({ store: store! })).toEqual(ALL);
  expect(made.held().get(keys.node('h1'))).toBe(before);
});

test('a second one leaves what others are told', async () => {
  const shared = { certificate: 'of all', key: 'key of all' };
  const { log } = fixture({ ...ALL, certificate: 'own', key: 'own key', bundled: false, shared });
  const { store } = await log({ etcdCa: 'other ca', etcdCert: 'next', etcdKey: 'next key' });
  expect(store).toEqual({
    ...{ ...ALL, caCertificate: 'other ca', certificate: 'next', key: 'next key', bundled: false },
    shared,
  });
});

test.each([
  ['another cluster', [keys.cluster, encodeRecord({ ...CLUSTER, id: 'other' })]],
  ['a cluster without this node', [keys.node('h1'), undefined]],
] as const)('what shows %s is refused', async (_, [key, value]) => {
  const { log, made } = fixture();
  made.etcd.txn([], [value === undefined ? { kind: 'delete', key } : { kind: 'put', key, value }]);
  await expect(log()).rejects.toMatchObject({ code: 'store-failed' });
});

test('what etcd does not let it write is refused', async () => {
  const { deps, made } = fixture();
  const denied = new OverlaydError('store-failed', 'permission denied');
  const txn = async () => Promise.reject(denied);
  const openStore = () => ({ store: Object.assign(made.store(made.etcd), { txn }), close: () => undefined });
  await expect(logIn({ ...deps, openStore }, OWN, () => undefined)).rejects.toBe(denied);
});

test.each([
  [
    { endpoints: ['https://192.0.2.9:2379'], caCertificate: '', certificate: '', key: '', bundled: false },
    'knows each host',
  ],
  [
    { endpoints: ['http://192.0.2.9:2379'], caCertificate: '', certificate: '', key: '', bundled: false },
    'without TLS',
  ],
])('there is nothing to be replaced where %j', async (store, words) => {
  const { log, opened } = fixture(store);
  await expect(log()).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining(words) });
  expect(opened).toEqual([]);
});
