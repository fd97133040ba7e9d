import 'reflect-metadata';
import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { X509Certificate as PeculiarCertificate, X509Crl } from '@peculiar/x509';
import { expect, test } from 'vitest';
import { createPki } from '../../../../src/adapters/pki/pki.ts';

const pki = createPki();
const now = Date.now();
const DAY_MS = 86_400_000;
const nodeId = 'ab12cd34ef56ab12';

const ca = await pki.createCa('c1', now);

async function createNode(authority = ca, at = now, keeper = true) {
  const key = await pki.createKey();
  const csr = await pki.createCsr(key);
  const validity = { now: at, lifetimeMs: 90 * DAY_MS };
  return { key, csr, certificate: await pki.issue(authority, { csr, nodeId, address: '10.0.0.1', keeper }, validity) };
}

/** The error that the client sees when it connects to a server with these; undefined when it accepts. */
async function handshake(server: { certificate: string; key: string }, trusted: string, name: string, client = server) {
  const listener = createServer({ cert: server.certificate, key: server.key, ca: trusted, requestCert: true });
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  const { port } = listener.address() as AddressInfo;
  const accepted = once(listener, 'secureConnection') as Promise<[TLSSocket]>;
  const socket = connect({ port, ca: trusted, servername: name, cert: client.certificate, key: client.key });
  try {
    await once(socket, 'secureConnect');
    expect((await accepted)[0].authorized).toBe(true);
    return undefined;
  } catch (error) {
    accepted.catch(() => undefined);
    return (error as NodeJS.ErrnoException).code;
  } finally {
    socket.destroy();
    listener.close();
  }
}

test('an authority lives ten years, names its cluster and may sign nothing but leaves', () => {
  const certificate = new X509Certificate(ca.certificate);
  expect(certificate.subject).toBe('CN=overlayd CA c1');
  expect(certificate.ca).toBe(true);
  expect(certificate.validToDate.getTime() - now).toBeGreaterThan(3649 * DAY_MS);
});

test('the digest is that of the DER bytes', () => {
  const { raw } = new X509Certificate(ca.certificate);
  expect(pki.digest(ca.certificate)).toBe(createHash('sha256').update(raw).digest('hex'));
});

test('a node certificate proves the node as server and as client, by each of its names', async () => {
  const node = await createNode();
  for (const name of [`${nodeId}.node.overlayd`, 'join.overlayd', 'etcd.overlayd']) {
    expect(await handshake(node, ca.certificate, name)).toBeUndefined();
  }
  const { subjectAltName } = new X509Certificate(node.certificate);
  expect(subjectAltName).toContain('IP Address:10.0.0.1, IP Address:127.0.0.1');
});

test('names of keepers are in certificates of keepers alone', async () => {
  const [keeper, node] = [await createNode(), await createNode(ca, now, false)];
  expect([keeper, node].map(({ certificate }) => pki.readCertificate(certificate).isKeepers)).toEqual([true, false]);
  expect(await handshake(node, ca.certificate, `${nodeId}.node.overlayd`)).toBeUndefined();
  for (const name of ['join.overlayd', 'etcd.overlayd']) {
    expect(await handshake(node, ca.certificate, name)).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
  }
});

test('a revocation list has the serials of certificates as they are, whatever their first bit, and the CA’s signature', async () => {
  const nodes = await Promise.all(Array.from({ length: 8 }, () => createNode()));
  const serials = nodes.map(({ certificate }) => pki.readCertificate(certificate).serial);
  expect(new Set(serials).size).toBe(8);
  const wanted = [...serials.slice(1), 'ff01', '7', '0123'];
  const pem = await pki.revocationList(ca, wanted, now);
  const list = new X509Crl(pem);
  expect(await list.verify({ publicKey: new PeculiarCertificate(ca.certificate) })).toBe(true);
  expect(list.nextUpdate?.getTime()).toBe(pki.validity(ca.certificate).notAfter);
  expect(list.entries.map(({ serialNumber }) => BigInt(`0x${serialNumber}`))).toEqual(
    wanted.map((serial) => BigInt(`0x${serial}`)),
  );
  const text = execFileSync('openssl', ['crl', '-noout', '-text'], { input: pem, encoding: 'utf8' });
  expect(text).toContain('Serial Number: FF01');
  expect(text).not.toContain('Serial Number: -');
  expect(new X509Crl(await pki.revocationList(ca, [], now)).entries).toEqual([]);
});

test("another node's name, another authority and an expired certificate are refused", async () => {
  const node = await createNode();
  expect(await handshake(node, ca.certificate, 'other.node.overlayd')).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
  const other = await pki.createCa('c1', now);
  expect(await handshake(node, other.certificate, 'join.overlayd')).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
  const old = await createNode(ca, now - 91 * DAY_MS);
  expect(await handshake(old, ca.certificate, 'join.overlayd')).toBe('CERT_HAS_EXPIRED');
});

test('what a wrong clock signed, or a wrong clock reads, is valid for the others', async () => {
  const { notBefore } = pki.validity(ca.certificate);
  expect(notBefore).toBeLessThan(now - 3_600 * DAY_MS);
  for (const clock of [now + 61 * DAY_MS, now - 61 * DAY_MS]) {
    const certificate = pki.validity((await createNode(ca, clock)).certificate);
    expect(certificate.notBefore).toBe(notBefore);
  }
  expect(await handshake(await createNode(ca, now + 61 * DAY_MS), ca.certificate, 'join.overlayd')).toBeUndefined();
});

test('what a certificate says is read back, and its fingerprint is that of the key', async () => {
  const node = await createNode();
  const facts = pki.readCertificate(node.certificate);
  expect(facts.nodeId).toBe(nodeId);
  expect(facts.fingerprint).toBe(pki.fingerprint(node.key));
  expect(facts.fingerprint).toBe(await pki.verifyCsr(node.csr));
  expect(facts.notBefore).toBeLessThan(now - 59 * 60_000);
  expect(Math.abs(facts.notAfter - now - 90 * DAY_MS)).toBeLessThan(1000);
});

test('a request that is malformed or signed by another key is refused', async () => {
  await expect(pki.verifyCsr('nonsense')).rejects.toMatchObject({ code: 'invalid-argument' });
  const { csr } = await createNode();
  const lines = csr.trim().split('\n');
  const last = lines.length - 2;
  lines[last] = lines[last]!.replace(/^./, (c) => (c === 'A' ? 'B' : 'A'));
  await expect(pki.verifyCsr(lines.join('\n'))).rejects.toMatchObject({ code: 'invalid-argument' });
});

test('a certificate tells its address, and the one of two CAs of the same name that signed it', async () => {
  const node = await createNode();
  const other = await pki.createCa('c1', now);
  expect(pki.namesAddress(node.certificate, '10.0.0.1')).toBe(true);
  expect(pki.namesAddress(node.certificate, '10.0.0.9')).toBe(false);
  expect(pki.isSignedBy(node.certificate, ca.certificate)).toBe(true);
  expect(pki.isSignedBy(node.certificate, other.certificate)).toBe(false);
  expect(pki.isKeyOf(ca.key, ca.certificate)).toBe(true);
  expect(pki.isKeyOf(other.key, ca.certificate)).toBe(false);
  for (const both of [`${ca.certificate}${other.certificate}`, `${other.certificate}${ca.certificate}`]) {
    expect(await handshake(node, both, 'join.overlayd')).toBeUndefined();
  }
});
