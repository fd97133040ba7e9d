/**
 * Certificates: a P-256 authority per cluster and a certificate per node that serves as server and client. Names in
 * a node's certificate: `<nodeId>.node.overlayd` proves which node it is, `join.overlayd` and `etcd.overlayd` which
 * services keepers may be (below level 5: every member).
 */
import { createHash, createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import type { CertificateFacts } from '../../core/certificate.ts';
import { OverlaydError } from '../../core/errors.ts';
import type { Pki } from '../../ports/identity.ts';
import { exportKey, generateKeys, KEEPER_NAMES, spkiDigest } from './keys.ts';

export function createPki(): Pki {
  const signing = () => import('./x509.ts');
  return {
    createCa: async (clusterId, now) => (await signing()).createCa(clusterId, now),
    createKey,
    fingerprint,
    createCsr: async (key) => (await signing()).createCsr(key),
    verifyCsr: async (csr) => (await signing()).verifyCsr(csr),
    issue: async (ca, node, validity) => (await signing()).issue(ca, node, validity),
    revocationList: async (ca, serials, now) => (await signing()).createRevocationList(ca, serials, now),
    readCertificate,
    namesAddress: (certificate, address) => parseCertificate(certificate).checkIP(address) !== undefined,
    isSignedBy,
    isKeyOf: (key, certificate) => parseCertificate(certificate).checkPrivateKey(createPrivateKey(key)),
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
    serial: parsed.serialNumber.toLowerCase(),
    isKeepers: KEEPER_NAMES.every((name) => parsed.checkHost(name) !== undefined),
    ...validity(certificate),
  };
}

/** Two CAs of a cluster have one name, so that the signature decides. */
function isSignedBy(certificate: string, caCertificate: string): boolean {
  const [parsed, authority] = [parseCertificate(certificate), parseCertificate(caCertificate)];
  return parsed.checkIssued(authority) && parsed.verify(authority.publicKey);
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

/** By text, the oldest goes first: an agent looks at its own certificate and its CA's again and again. */
const known = new Map<string, X509Certificate>();
const MOST_KNOWN = 16;

function parseCertificate(certificate: string): X509Certificate {
  const found = known.get(certificate);
  if (found) return found;
  try {
    const made = new X509Certificate(certificate);
    if (known.size >= MOST_KNOWN) known.delete(known.keys().next().value!);
    known.set(certificate, made);
    return made;
  } catch (cause) {
    throw new OverlaydError('invalid-argument', 'the certificate is malformed', { cause });
  }
}
