/**
 * Making and signing certificates. Source: RFC 5280. What it needs takes a tenth of the agent's start to load, and most
 * agents never sign: `pki.ts` loads it when it is needed.
 */
import 'reflect-metadata';
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
  X509CrlGenerator,
} from '@peculiar/x509';
import { OverlaydError } from '../../core/errors.ts';
import { ALGORITHM, exportKey, generateKeys, importKeys, KEEPER_NAMES, spkiDigest } from './keys.ts';

const CA_LIFETIME_MS = 10 * 365 * 24 * 3_600_000;
/**
 * An authority is valid since long before it was made, and what it signs since the authority is: the beginning of a
 * certificate protects nothing, and one that was made while a clock was ahead, or is read by a host whose clock is
 * behind, would shut the node out.
 */
const BACKDATE_MS = CA_LIFETIME_MS;

export async function createCa(clusterId: string, now: number): Promise<{ certificate: string; key: string }> {
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

export async function createCsr(key: string): Promise<string> {
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: ['overlayd node'] }],
    keys: await importKeys(key),
    signingAlgorithm: ALGORITHM,
  });
  return `${request.toString('pem')}\n`;
}

export async function verifyCsr(csr: string): Promise<string> {
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

export async function issue(
  ca: { certificate: string; key: string },
  node: { csr: string; nodeId: string; address: string; keeper?: boolean },
  validity: { now: number; lifetimeMs: number },
): Promise<string> {
  const authority = new X509Certificate(ca.certificate);
  const request = new Pkcs10CertificateRequest(node.csr);
  const names: JsonGeneralName[] = [
    { type: 'dns', value: `${node.nodeId}.node.overlayd` },
    ...(node.keeper ? KEEPER_NAMES.map((value) => ({ type: 'dns', value }) as const) : []),
    ...[...new Set([node.address, '127.0.0.1'])].map((value) => ({ type: 'ip', value }) as const),
  ];
  const certificate = await X509CertificateGenerator.create({
    subject: [{ CN: [node.nodeId] }],
    issuer: authority.subject,
    publicKey: request.publicKey,
    signingKey: (await importKeys(ca.key)).privateKey,
    signingAlgorithm: ALGORITHM,
    notBefore: wholeSecond(Math.min(validity.now, authority.notBefore.getTime())),
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

/** PEM. Serials are hexadecimal, without a sign. */
export async function createRevocationList(
  ca: { certificate: string; key: string },
  serials: readonly string[],
  now: number,
): Promise<string> {
  const authority = new X509Certificate(ca.certificate);
  const revocationDate = wholeSecond(Math.max(now, authority.notBefore.getTime()));
  const list = await X509CrlGenerator.create({
    issuer: authority.subject,
    thisUpdate: authority.notBefore,
    // Readers look into the file at each connection: what is newer is there already.
    nextUpdate: authority.notAfter,
    entries: serials.map((serial) => ({ serialNumber: positive(serial), revocationDate })),
    signingAlgorithm: ALGORITHM,
    signingKey: (await importKeys(ca.key)).privateKey,
  });
  // RFC 7468, section 6: the library has a label of its own.
  return `${list.toString('pem').replaceAll('CRL-----', 'X509 CRL-----')}\n`;
}

/** The number's bytes as DER has them: a first bit that is set would make it negative. */
function positive(serial: string): string {
  const even = serial.length % 2 === 0 ? serial : `0${serial}`;
  return Number.parseInt(even.slice(0, 2), 16) < 0x80 ? even : `00${even}`;
}

function pem(certificate: X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}

function wholeSecond(ms: number): Date {
  return new Date(Math.floor(ms / 1000) * 1000);
}
