/** Users known by their certificates, roles, and material that is replaced, with a real etcd behind mutual TLS. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createBundledEtcd } from '../../../src/adapters/etcd/server.ts';
import { createEtcdStore, type EtcdStore } from '../../../src/adapters/etcd/store.ts';
import { createPki } from '../../../src/adapters/pki/pki.ts';
import type { EtcdServer, EtcdServerSettings } from '../../../src/ports/store.ts';
import { realClock } from '../../contract/store-clock.ts';
import { until } from '../../lab/until.ts';
import { freePort } from './etcd-process.ts';
import { silentLogger } from './open-store.ts';

const ADDRESS = '127.0.0.1';
const [KEEPER, MEMBER, STRANGER] = ['a'.repeat(32), 'b'.repeat(32), 'c'.repeat(32)] as const;
const pki = createPki();

let dataDir: string;
let server: EtcdServer;
let stores: EtcdStore[];
let ca: { readonly certificate: string; readonly key: string };
let endpoints: readonly string[];

beforeEach(async () => {
  stores = [];
  dataDir = await mkdtemp(join(tmpdir(), 'overlayd-users-'));
  ca = await pki.createCa('c1', Date.now());
  const run = async () => ({ code: 0, stderr: '' });
  const ports = { client: await freePort(), peer: await freePort() };
  server = createBundledEtcd({ run, clock: realClock, logger: silentLogger }, { dataDir, ports });
  ({ endpoints } = await server.ensure(await settingsAs(KEEPER)));
});
afterEach(async () => {
  for (const store of stores) store.close();
  await server.remove();
  await rm(dataDir, { recursive: true, force: true });
});

async function issue(nodeId: string, authority = ca, keeper = nodeId === KEEPER) {
  const key = await pki.createKey();
  const csr = await pki.createCsr(key);
  const cert = await pki.issue(
    authority,
    { csr, nodeId, address: ADDRESS, keeper },
    { now: Date.now(), lifetimeMs: 3_600_000 },
  );
  return { ca: authority.certificate, cert, key };
}

/** Of the server, which asks itself how it is as that node. */
async function settingsAs(nodeId: string): Promise<EtcdServerSettings> {
  const { ca: caCertificate, cert: certificate, key } = await issue(nodeId, ca, true);
  const material = { caCertificate, certificate, key };
  return { name: KEEPER, advertiseAddress: ADDRESS, listenAddress: ADDRESS, material, begin: 'alone' };
}

function open(tls: Awaited<ReturnType<typeof issue>>): EtcdStore {
  const store = createEtcdStore({ logger: silentLogger, clock: realClock }, { endpoints, tls });
  stores.push(store);
  return store;
}

const put = (store: EtcdStore, key: string) => store.txn([], [{ kind: 'put', key, value: '' }]);

test('users and roles are brought in line, again without a change, and etcd then keeps to them', async () => {
  const keeper = open(await issue(KEEPER));
  const { users } = keeper;
  const inLine = async () => {
    await users.ensureRole('root', []);
    await users.ensureRole('member', [
      { may: 'read', key: '/p/', prefix: true },
      { may: 'write', key: '/p/shared/', prefix: true },
    ]);
    await users.ensureRole('own', [
      { may: 'read', key: '/p/own' },
      { may: 'write', key: '/p/own' },
    ]);
    await users.ensureUser('root', ['root']);
    await users.ensureUser(KEEPER, ['root']);
    await users.ensureUser(MEMBER, ['member', 'own']);
    await users.enable();
  };
  await inLine();
  await inLine();
  expect([...(await users.users())].sort()).toEqual([KEEPER, MEMBER, 'root'].sort());
  expect([...(await users.roles())].sort()).toEqual(['member', 'own', 'root']);

  const member = open(await issue(MEMBER));
  await put(keeper, '/p/others');
  await put(member, '/p/shared/a');
  await put(member, '/p/own');
  expect(await member.get('/p/others')).toBeDefined();
  await expect(put(member, '/p/others')).rejects.toThrow('refuses our credentials (permission denied)');
  await expect(member.get('/q')).rejects.toMatchObject({ code: 'store-failed' });
  await expect(open(await issue(STRANGER)).get('/p/own')).rejects.toThrow('refuses our credentials');
  await expect(member.users.ensureUser(MEMBER, ['root'])).rejects.toMatchObject({ code: 'store-failed' });

  // A role that changed, on a connection that stands.
  await users.ensureRole('own', [{ may: 'read', key: '/p/own' }]);
  await expect(put(member, '/p/own')).rejects.toThrow('permission denied');
  expect(await member.get('/p/own')).toBeDefined();
  await users.ensureUser(MEMBER, ['own']);
  await expect(put(member, '/p/shared/a')).rejects.toThrow('permission denied');
  await users.removeUser(MEMBER);
  await users.removeUser(MEMBER);
  await expect(member.get('/p/own')).rejects.toThrow('refuses our credentials');
  await users.removeRole('own');
  await users.removeRole('own');
  await users.disable();
  await users.disable();
  expect(await member.get('/p/own')).toBeDefined();
});

test('a server is ready once users are in force, also for a node that is no root, and for one that is nobody', async () => {
  const { users } = open(await issue(KEEPER));
  await users.ensureRole('root', []);
  await users.ensureRole('member', [{ may: 'read', key: '/p/', prefix: true }]);
  for (const name of ['root', KEEPER]) await users.ensureUser(name, ['root']);
  await users.ensureUser(MEMBER, ['member']);
  await users.enable();
  for (const nodeId of [KEEPER, MEMBER, STRANGER]) {
    await server.stop();
    await server.ensure(await settingsAs(nodeId));
    expect(await open(await issue(MEMBER)).get('/p/own'), nodeId).toBeUndefined();
  }
});

test('other material is used for new connections, and streams go on with the old one', async () => {
  const store = open(await issue(MEMBER));
  await put(store, '/a');
  const stop = new AbortController();
  const updates = store.watch('/', stop.signal)[Symbol.asyncIterator]();
  expect((await updates.next()).value.kind).toBe('snapshot');
  // Of a CA that the server does not know: whatever is connected anew would be refused.
  store.setTls(await issue(MEMBER, await pki.createCa('c2', Date.now())));
  const { revision } = await put(store, '/b');
  expect((await updates.next()).value).toMatchObject({ kind: 'events', revision });
  stop.abort();
  store.setEndpoints([...endpoints, 'https://127.0.0.1:1']);
  store.setEndpoints(['https://127.0.0.1:1']);
  await expect(put(store, '/c')).rejects.toMatchObject({ code: 'store-unavailable' });
  store.setEndpoints(endpoints);
  await expect(put(store, '/c')).rejects.toThrow('cannot be trusted over TLS');
  store.setTls(await issue(STRANGER));
  await until('the new material', () =>
    put(store, '/c').then(
      () => true,
      () => false,
    ),
  );
});
