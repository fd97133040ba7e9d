import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createBundledEtcd } from '../../../src/adapters/etcd/server.ts';
import { findBinary } from '../../../src/adapters/etcd/server-process.ts';
import type { EtcdStore } from '../../../src/adapters/etcd/store.ts';
import { createPki } from '../../../src/adapters/pki/pki.ts';
import type { TlsMaterial } from '../../../src/ports/identity.ts';
import type { EtcdServer } from '../../../src/ports/store.ts';
import { createFastClock, realClock } from '../../contract/store-clock.ts';
import { freePort } from './etcd-process.ts';
import { openStore, silentLogger } from './open-store.ts';

const ADDRESS = '127.0.0.1';

let dataDir: string;
let ports: { client: number; peer: number };
let servers: EtcdServer[];
let stores: EtcdStore[];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'overlayd-server-'));
  ports = { client: await freePort(), peer: await freePort() };
  servers = [];
  stores = [];
});
afterEach(async () => {
  for (const store of stores) store.close();
  for (const server of servers) await server.stop();
  await rm(dataDir, { recursive: true, force: true });
});

function create(): EtcdServer {
  const run = async () => ({ code: 0, stderr: '' });
  const server = createBundledEtcd({ run, clock: createFastClock(2), logger: silentLogger }, { dataDir, ports });
  servers.push(server);
  return server;
}

function open(material?: TlsMaterial): EtcdStore {
  const tls = material && { ca: material.caCertificate, cert: material.certificate, key: material.key };
  const store = openStore([`https://${ADDRESS}:${ports.client}`], realClock, tls);
  stores.push(store);
  return store;
}

async function issueMaterial(now = Date.now(), authority?: { certificate: string; key: string }) {
  const pki = createPki();
  const ca = authority ?? (await pki.createCa('c1', now));
  const key = await pki.createKey();
  const node = { csr: await pki.createCsr(key), nodeId: 'a'.repeat(32), address: ADDRESS };
  const certificate = await pki.issue(ca, node, { now, lifetimeMs: 3_600_000 });
  return { ca, material: { certificate, key, caCertificate: ca.certificate } };
}

const pidOf = async () => Number((await readFile(join(dataDir, 'etcd', 'etcd.pid'), 'utf8')).split(' ')[0]);

/** Asks until it answers. */
async function eventually<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      if (tries === 200) throw error;
      await realClock.sleep(50);
    }
  }
}

test('serves members over mutual TLS, refuses everybody else, and stops', async () => {
  process.env.ETCD_MAX_TXN_OPS = '1';
  const server = create();
  const { material } = await issueMaterial();
  const { endpoints } = await server.ensure(ADDRESS, material);
  delete process.env.ETCD_MAX_TXN_OPS;
  expect(endpoints).toEqual([`https://${ADDRESS}:${ports.client}`]);
  const pid = await pidOf();
  expect(await readFile(`/proc/${pid}/environ`, 'utf8')).not.toContain('ETCD_');
  expect((await stat(join(dataDir, 'etcd', 'server-key.pem'))).mode & 0o777).toBe(0o600);

  const member = open(material);
  const write = await member.txn([], [{ kind: 'put', key: '/k', value: 'v' }]);
  expect(write.succeeded).toBe(true);

  // A certificate of another CA: it neither trusts nor is trusted.
  const { material: foreign } = await issueMaterial();
  await expect(open(foreign).get('/k')).rejects.toMatchObject({
    code: 'store-failed',
    message: expect.stringContaining('cannot be trusted over TLS'),
  });
  await expect(open({ ...foreign, caCertificate: material.caCertificate }).get('/k')).rejects.toMatchObject({
    code: 'store-failed',
    message: expect.stringContaining('does not accept our TLS certificate'),
  });
  for (const port of [ports.client, ports.peer]) {
    const answer = await new Promise((resolve) => {
      const socket = connect({ host: ADDRESS, port, ca: material.caCertificate, ALPNProtocols: ['h2'] });
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code));
      socket.on('data', () => resolve('an answer'));
    });
    expect(answer).not.toBe('an answer');
  }

  await server.stop();
  expect(await readdir('/proc')).not.toContain(String(pid));
  await server.remove();
  expect(await readdir(dataDir)).toEqual([]);
});

test('a new agent adopts the running server, also without the pid file, and starts it again when it died', async () => {
  const { material } = await issueMaterial();
  const first = create();
  await first.ensure(ADDRESS, material);
  await open(material).txn([], [{ kind: 'put', key: '/k', value: 'v' }]);
  const pid = await pidOf();
  first.release();

  const second = create();
  await second.ensure(ADDRESS, material);
  expect(await pidOf()).toBe(pid);
  await rm(join(dataDir, 'etcd', 'etcd.pid'));
  await second.ensure(ADDRESS, material);
  expect(await pidOf()).toBe(pid);
  await second.check();
  expect(await pidOf()).toBe(pid);

  process.kill(pid, 'SIGKILL');
  await eventually(async () => {
    await second.check();
    expect(await pidOf()).not.toBe(pid);
  });
  expect(await open(material).get('/k')).toMatchObject({ value: 'v' });
});

test('a server that dies under its own agent comes back by itself', async () => {
  const { material } = await issueMaterial();
  await create().ensure(ADDRESS, material);
  const pid = await pidOf();
  const store = open(material);
  await store.txn([], [{ kind: 'put', key: '/k', value: 'v' }]);
  process.kill(pid, 'SIGKILL');
  expect(await eventually(() => store.get('/k'))).toMatchObject({ value: 'v' });
  expect(await pidOf()).not.toBe(pid);
});

test('a renewed certificate is served without a restart', async () => {
  const { material, ca } = await issueMaterial();
  const server = create();
  await server.ensure(ADDRESS, material);
  const pid = await pidOf();
  const { material: renewed } = await issueMaterial(Date.now(), ca);
  await server.ensure(ADDRESS, renewed);
  expect(await pidOf()).toBe(pid);
  const served = await new Promise<string>((resolve, reject) => {
    const { caCertificate, certificate, key } = renewed;
    const socket = connect({ host: ADDRESS, port: ports.client, ca: caCertificate, cert: certificate, key }, () => {
      resolve(socket.getPeerX509Certificate()!.toString());
      socket.destroy();
    });
    socket.on('error', reject);
  });
  expect(served.trim()).toBe(renewed.certificate.trim());
});

test('a port in use is named with who uses it', async () => {
  const squatter = createServer().listen(ports.client, ADDRESS);
  const { material } = await issueMaterial();
  await expect(create().ensure(ADDRESS, material)).rejects.toMatchObject({
    code: 'store-failed',
    message: expect.stringMatching(
      new RegExp(`cannot listen on ${ADDRESS}:${ports.client}: .*\\(pid ${process.pid}\\)`),
    ),
  });
  squatter.close();
});

test('an address that this host does not have is named', async () => {
  const { material } = await issueMaterial();
  await expect(create().ensure('192.0.2.1', material)).rejects.toMatchObject({
    code: 'store-failed',
    message: expect.stringContaining('no interface of this host has that address; check --advertise-addr'),
  });
});

test('without the binary the message says what to install', async () => {
  await expect(findBinary(['/nonexistent'])).rejects.toMatchObject({
    code: 'tool-missing',
    message: expect.stringContaining('install the package etcd-server'),
  });
});

test('a server that could not start at first is started by a check, once the port is free', async () => {
  const squatter = createServer((socket) => socket.destroy()).listen(ports.client, ADDRESS);
  const { material } = await issueMaterial();
  const server = create();
  await expect(server.ensure(ADDRESS, material)).rejects.toMatchObject({ code: 'store-failed' });
  const revived = server.check();
  await new Promise((resolve) => squatter.close(resolve));
  await revived;
  await open(material).txn([], [{ kind: 'put', key: '/k', value: 'v' }]);
});

test('a server that was ensured twice is looked after still', async () => {
  const { material } = await issueMaterial();
  const server = create();
  await server.ensure(ADDRESS, material);
  await server.ensure(ADDRESS, material);
  const pid = await pidOf();
  process.kill(pid, 'SIGKILL');
  await eventually(async () => expect(await pidOf()).not.toBe(pid));
});
