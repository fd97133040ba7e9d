/**
 * Certificates: a P-256 authority per cluster and a certificate per node that serves as server and client. Names in
 * a node's certificate: `<nodeId>.node.overlayd` proves which node it is, `join.overlayd` and `etcd.overlayd` which
 * services every member may be. Source: RFC 5280.
 */
import 'reflect-metadata';
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  X509Certificate as NodeCertificate,
  webcrypto,
} from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonGeneralName,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { OverlaydError } from '../../core/errors.ts';
import type { CertificateFacts, Pki } from '../../ports.ts';

const CA_LIFETIME_MS = 10 * 365 * 24 * 3_600_000;
/** Certificates are valid from before they are made, so that a host whose clock is behind accepts them. */
const BACKDATE_MS = 3_600_000;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

type CryptoKey = webcrypto.CryptoKey;

export function createPki(): Pki {
  return { createCa, createKey, fingerprint, createCsr, verifyCsr, issue, readCertificate, digest, sha256 };
}

async function createCa(clusterId: string, now: number): Promise<{ certificate: string; key: string }> {
  const keys = await generateKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [`overlayd CA ${clusterId}`] }],
    keys,
    signingAlgorithm: ALGORITHM,
    notBefore: wholeSecond(now - BACKDATE_MS),
    notAfter: wholeSecond(now + CA_LIFETIME_MS),
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: pem(certificate), key: await exportKey(keys.privateKey) };
}

async function createKey(): Promise<string> {
  return exportKey((await generateKeys()).privateKey);
}

function fingerprint(key: string): string {
  return spkiDigest(createPublicKey(createPrivateKey(key)).export({ type: 'spki', format: 'der' }));
}

async function createCsr(key: string): Promise<string> {
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: ['overlayd node'] }],
    keys: await importKeys(key),
    signingAlgorithm: ALGORITHM,
  });
  return `${request.toString('pem')}\n`;
}

async function verifyCsr(csr: string): Promise<string> {
  try {
    const request = new Pkcs10CertificateRequest(csr);
    const algorithm = request.publicKey.algorithm as { name: string; namedCurve?: string };
    if (algorithm.name === 'ECDSA' && algorithm.namedCurve === 'P-256' && (await request.verify())) {
      return spkiDigest(request.publicKey.rawData);
    }
  } catch (cause) {
    throw new OverlaydError('invalid-argument', 'the certificate request is malformed', { cause });
  }
  throw new OverlaydError('invalid-argument', 'the certificate request does not prove a P-256 key');
}

async function issue(
  ca: { certificate: string; key: string },
  node: { csr: string; nodeId: string; address: string },
  validity: { now: number; lifetimeMs: number },
): Promise<string> {
  const authority = new X509Certificate(ca.certificate);
  const request = new Pkcs10CertificateRequest(node.csr);
  const names: JsonGeneralName[] = [
    { type: 'dns', value: `${node.nodeId}.node.overlayd` },
    { type: 'dns', value: 'join.overlayd' },
    { type: 'dns', value: 'etcd.overlayd' },
    ...[...new Set([node.address, '127.0.0.1'])].map((value) => ({ type: 'ip', value }) as const),
  ];
  const certificate = await X509CertificateGenerator.create({
    subject: [{ CN: [node.nodeId] }],
    issuer: authority.subject,
    publicKey: request.publicKey,
    signingKey: (await importKeys(ca.key)).privateKey,
    signingAlgorithm: ALGORITHM,
    notBefore: wholeSecond(validity.now - BACKDATE_MS),
    notAfter: wholeSecond(Math.min(validity.now + validity.lifetimeMs, authority.notAfter.getTime())),
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      new SubjectAlternativeNameExtension(names),
      await SubjectKeyIdentifierExtension.create(request.publicKey),
      await AuthorityKeyIdentifierExtension.create(authority),
    ],
  });
  return pem(certificate);
}

function readCertificate(certificate: string): CertificateFacts {
  const parsed = parseCertificate(certificate);
  const nodeId = /^CN=([0-9a-z]+)$/.exec(parsed.subject)?.[1];
  if (nodeId === undefined) throw new OverlaydError('invalid-argument', `not a node certificate: ${parsed.subject}`);
  return {
    nodeId,
    fingerprint: spkiDigest(parsed.publicKey.export({ type: 'spki', format: 'der' })),
    notBefore: parsed.validFromDate.getTime(),
    notAfter: parsed.validToDate.getTime(),
  };
}

function digest(certificate: string): string {
  return createHash('sha256').update(parseCertificate(certificate).raw).digest('hex');
}

function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}

function parseCertificate(certificate: string): NodeCertificate {
  try {
    return new NodeCertificate(certificate);
  } catch (cause) {
    throw new OverlaydError('invalid-argument', 'the certificate is malformed', { cause });
  }
}

function spkiDigest(spki: Uint8Array | ArrayBuffer): string {
  return createHash('sha256').update(new Uint8Array(spki)).digest('hex');
}

async function generateKeys() {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

async function exportKey(key: CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({
    type: 'pkcs8',
    format: 'pem',
  }) as string;
}

async function importKeys(key: string): Promise<{ privateKey: CryptoKey; publicKey: CryptoKey }> {
  const secret = createPrivateKey(key);
  const { subtle } = webcrypto;
  const pkcs8 = secret.export({ type: 'pkcs8', format: 'der' });
  const spki = createPublicKey(secret).export({ type: 'spki', format: 'der' });
  return {
    privateKey: await subtle.importKey('pkcs8', pkcs8, ALGORITHM, false, ['sign']),
    publicKey: await subtle.importKey('spki', spki, ALGORITHM, true, ['verify']),
  };
}

function pem(certificate: X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}

function wholeSecond(ms: number): Date {
  return new Date(Math.floor(ms / 1000) * 1000);
}
