import { createPrivateKey } from 'node:crypto';
import 'reflect-metadata';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { X509Certificate, X509CrlGenerator } from '@peculiar/x509';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EtcdClient } from '../../../src/adapters/etcd/client.ts';
import { createBundledEtcd } from '../../../src/adapters/etcd/server.ts';
import { findBinary } from '../../../src/adapters/etcd/server-process.ts';
import type { EtcdStore } from '../../../src/adapters/etcd/store.ts';
import { createPki } from '../../../src/adapters/pki/pki.ts';
import { ClusterService } from '../../../src/gen/etcd/rpc.ts';
import type { TlsMaterial } from '../../../src/ports/identity.ts';
import type { EtcdServer, EtcdServerSettings } from '../../../src/ports/store.ts';
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

const settingsOf = (material: TlsMaterial, address = ADDRESS): EtcdServerSettings => ({
  name: 'a'.repeat(32),
  advertiseAddress: address,
  listenAddress: address,
  material,
  begin: 'alone',
});

function open(material?: TlsMaterial): EtcdStore {
  const tls = material && { ca: material.caCertificate, cert: material.certificate, key: material.key };
  const store = openStore([`https://${ADDRESS}:${ports.client}`], realClock, tls);
  stores.push(store);
  return store;
}

async function issueMaterial(now = Date.now(), authority?: { certificate: string; key: string }, keeper = true) {
  const pki = createPki();
  const ca = authority ?? (await pki.createCa('c1', now));
  const key = await pki.createKey();
  const node = { csr: await pki.createCsr(key), nodeId: 'a'.repeat(32), address: ADDRESS, keeper };
  const certificate = await pki.issue(ca, node, { now, lifetimeMs: 3_600_000 });
  return { ca, material: { certificate, key, caCertificate: ca.certificate } };
}

const pidOf = async () => Number((await readFile(join(dataDir, 'etcd', 'etcd.pid'), 'utf8')).split(' ')[0]);

/** A zombie, which Node.js takes away a moment later, does not. */
async function runs(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z');
  return !stat.slice(stat.lastIndexOf(')')).startsWith(') Z');
}

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
  const { endpoints } = await server.ensure(settingsOf(material));
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
  expect(await runs(pid)).toBe(false);
  await server.remove();
  expect(await readdir(dataDir)).toEqual([]);
});

test('a new agent adopts the running server, also without the pid file, and starts it again when it died', async () => {
  const { material } = await issueMaterial();
  const first = create();
  await first.ensure(settingsOf(material));
  await open(material).txn([], [{ kind: 'put', key: '/k', value: 'v' }]);
  const pid = await pidOf();
  first.release();

  const second = create();
  await second.ensure(settingsOf(material));
  expect(await pidOf()).toBe(pid);
  await rm(join(dataDir, 'etcd', 'etcd.pid'));
  await second.ensure(settingsOf(material));
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
  await create().ensure(settingsOf(material));
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
  await server.ensure(settingsOf(material));
  const pid = await pidOf();
  const { material: renewed } = await issueMaterial(Date.now(), ca);
  await server.ensure(settingsOf(renewed));
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

test('its peers have certificates of keepers: another member of the cluster is let in as a client alone', async () => {
  const { material, ca } = await issueMaterial();
  const { material: plain } = await issueMaterial(Date.now(), ca, false);
  const server = create();
  await server.ensure(settingsOf(material));
  const answers = async ({ caCertificate, certificate, key }: typeof material, port: number) =>
    new Promise((resolve) => {
      const socket = connect({ host: ADDRESS, port, ca: caCertificate, cert: certificate, key });
      socket.on('error', () => resolve(false));
      socket.on('close', () => resolve(false));
      socket.on('data', () => resolve(true));
      socket.write('GET /version HTTP/1.1\r\nHost: etcd\r\n\r\n');
    });
  expect(await answers(material, ports.peer)).toBe(true);
  expect(await answers(plain, ports.peer)).toBe(false);
  expect(await answers(plain, ports.client)).toBe(true);
});

/** PEM. */
async function revoke(ca: { certificate: string; key: string }, certificates: readonly string[]): Promise<string> {
  const { subtle } = crypto;
  const der = createPrivateKey(ca.key).export({ type: 'pkcs8', format: 'der' });
  const signingKey = await subtle.importKey('pkcs8', der, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']);
  const list = await X509CrlGenerator.create({
    issuer: new X509Certificate(ca.certificate).subject,
    thisUpdate: new Date(Date.now() - 60_000),
    nextUpdate: new Date(Date.now() + 3_600_000),
    entries: certificates.map((pem) => ({ serialNumber: new X509Certificate(pem).serialNumber })),
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    signingKey,
  });
  return list.toString('pem');
}

test('a certificate that is revoked opens nothing from the next connection on, without a restart', async () => {
  const { material, ca } = await issueMaterial();
  const { material: other } = await issueMaterial(Date.now(), ca);
  const server = create();
  await server.ensure({ ...settingsOf(material), revocationList: await revoke(ca, []) });
  const pid = await pidOf();
  await open(other).get('/k');
  await server.ensure({ ...settingsOf(material), revocationList: await revoke(ca, [other.certificate]) });
  expect(await pidOf()).toBe(pid);
  await expect(open(other).get('/k')).rejects.toMatchObject({ code: expect.stringMatching(/^store-/) });
  const { caCertificate, certificate, key } = other;
  for (const port of [ports.client, ports.peer]) {
    const answer = await new Promise((resolve) => {
      const socket = connect({ host: ADDRESS, port, ca: caCertificate, cert: certificate, key });
      socket.on('error', () => resolve('closed'));
      socket.on('close', () => resolve('closed'));
      socket.on('data', () => resolve('an answer'));
      socket.write('GET /version HTTP/1.1\r\nHost: etcd\r\n\r\n');
    });
    expect(answer).toBe('closed');
  }
  await open(material).get('/k');
});

test('while the CA is replaced, certificates of both are good; another CA takes a restart', async () => {
  const { material, ca } = await issueMaterial();
  const next = await issueMaterial();
  const server = create();
  await server.ensure(settingsOf(material));
  const pid = await pidOf();
  const caCertificate = ca.certificate + next.ca.certificate;
  await server.ensure(settingsOf({ ...material, caCertificate }));
  const restarted = await pidOf();
  expect(restarted).not.toBe(pid);
  // An agent that starts, before it asks it anything.
  const another = create();
  await another.endOutdated(settingsOf({ ...material, caCertificate }));
  expect(await runs(restarted)).toBe(true);
  await open({ ...material, caCertificate }).get('/k');
  await open({ ...next.material, caCertificate }).get('/k');
  // Its own of the next one, as any that is renewed.
  await server.ensure(settingsOf({ ...next.material, caCertificate }));
  expect(await pidOf()).toBe(restarted);
  await open(next.material).get('/k');
  await another.endOutdated(settingsOf(material));
  expect(await runs(restarted)).toBe(false);
});

test('a port in use is named with who uses it', async () => {
  const squatter = createServer().listen(ports.client, ADDRESS);
  const { material } = await issueMaterial();
  await expect(create().ensure(settingsOf(material))).rejects.toMatchObject({
    code: 'store-failed',
    message: expect.stringMatching(
      new RegExp(`cannot listen on ${ADDRESS}:${ports.client}: .*\\(pid ${process.pid}\\)`),
    ),
  });
  squatter.close();
});

test('an address that this host does not have is named', async () => {
  const { material } = await issueMaterial();
  await expect(create().ensure(settingsOf(material, '192.0.2.1'))).rejects.toMatchObject({
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

test('etcd’s version is offered while its ports are free, or its own', async () => {
  const server = create();
  expect(await server.version()).toMatch(/^3\.\d+\.\d+$/);
  const squatter = createServer().listen(ports.peer, ADDRESS);
  await eventually(async () => expect(await server.version()).toBeUndefined());
  expect(server.hindrance).toMatch(
    new RegExp(`^port ${ports.peer}/tcp of etcd is in use here by .*pid ${process.pid}`),
  );
  await new Promise((resolve) => squatter.close(resolve));
  const { material } = await issueMaterial();
  await server.ensure(settingsOf(material));
  expect(await server.version()).toBeDefined();
  expect(server.hindrance).toBeUndefined();
});

test('one that waits for a majority that there is not is set aside without waiting with it', async () => {
  const { material } = await issueMaterial();
  const before = create();
  await before.ensure(settingsOf(material));
  const { caCertificate: ca, certificate: cert, key } = material;
  const admin = new EtcdClient({ tls: { ca, cert, key } }, `https://${ADDRESS}:${ports.client}`);
  // With the vote of another one, that never comes, this one is no majority.
  const other = `https://${ADDRESS}:${await freePort()}`;
  await admin.call(ClusterService.memberAdd, { peerURLs: [other], isLearner: false });
  admin.close();
  await before.stop();
  const server = create();
  const { begin: _, ...settings } = settingsOf(material);
  const ensured = server.ensure(settings).catch((error: Error) => error.message);
  await eventually(async () => expect(await readFile(`/proc/${await pidOf()}/comm`, 'utf8')).toBe('etcd\n'));
  await server.setAside();
  expect(await ensured).toContain('is not waited for any more');
  expect(await readdir(dataDir)).toEqual(['etcd.aside']);
});

test('a server that could not start at first is started by a check, once the port is free', async () => {
  const squatter = createServer((socket) => socket.destroy()).listen(ports.client, ADDRESS);
  const { material } = await issueMaterial();
  const server = create();
  await expect(server.ensure(settingsOf(material))).rejects.toMatchObject({ code: 'store-failed' });
  const revived = server.check();
  await new Promise((resolve) => squatter.close(resolve));
  await revived;
  await open(material).txn([], [{ kind: 'put', key: '/k', value: 'v' }]);
});

test('a server that was ensured twice is looked after still', async () => {
  const { material } = await issueMaterial();
  const server = create();
  await server.ensure(settingsOf(material));
  await server.ensure(settingsOf(material));
  const pid = await pidOf();
  process.kill(pid, 'SIGKILL');
  await eventually(async () => expect(await pidOf()).not.toBe(pid));
});
