/**
 * Certificates: a P-256 authority per cluster and a certificate per node that serves as server and client. Names in
 * a node's certificate: `<nodeId>.node.overlayd` proves which node it is, `join.overlayd` and `etcd.overlayd` which
 * services every member may be.
 */
import { createHash, createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import type { CertificateFacts } from '../../core/certificate.ts';
import { OverlaydError } from '../../core/errors.ts';
import type { Pki } from '../../ports/identity.ts';
import { exportKey, generateKeys, spkiDigest } from './keys.ts';

export function createPki(): Pki {
  const signing = () => import('./x509.ts');
  return {
    createCa: async (clusterId, now) => (await signing()).createCa(clusterId, now),
    createKey,
    fingerprint,
    createCsr: async (key) => (await signing()).createCsr(key),
    verifyCsr: async (csr) => (await signing()).verifyCsr(csr),
    issue: async (ca, node, validity) => (await signing()).issue(ca, node, validity),
    readCertificate,
    validity,
    digest,
    sha256,
  };
}

async function createKey(): Promise<string> {
  return exportKey((await generateKeys()).privateKey);
}

function fingerprint(key: string): string {
  return spkiDigest(createPublicKey(createPrivateKey(key)).export({ type: 'spki', format: 'der' }));
}

function readCertificate(certificate: string): CertificateFacts {
  const parsed = parseCertificate(certificate);
  const nodeId = /^CN=([0-9a-z]+)$/.exec(parsed.subject)?.[1];
  if (nodeId === undefined) throw new OverlaydError('invalid-argument', `not a node certificate: ${parsed.subject}`);
  return {
    nodeId,
    fingerprint: spkiDigest(parsed.publicKey.export({ type: 'spki', format: 'der' })),
    ...validity(certificate),
  };
}

function validity(certificate: string) {
  const { validFromDate, validToDate } = parseCertificate(certificate);
  return { notBefore: validFromDate.getTime(), notAfter: validToDate.getTime() };
}

function digest(certificate: string): string {
  return createHash('sha256').update(parseCertificate(certificate).raw).digest('hex');
}

function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}

function parseCertificate(certificate: string): X509Certificate {
  try {
    return new X509Certificate(certificate);
  } catch (cause) {
    throw new OverlaydError('invalid-argument', 'the certificate is malformed', { cause });
  }
}
