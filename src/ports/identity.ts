/** What proves who somebody is. */
import type { CertificateFacts, Validity } from '../core/certificate.ts';

/** What a TLS end needs to prove itself to members and to check them; PEM. */
export interface TlsMaterial {
  readonly certificate: string;
  /** PKCS #8. */
  readonly key: string;
  readonly caCertificate: string;
}

/** Certificates and digests. Everything is PEM text; times are milliseconds since the epoch. */
export interface Pki {
  createCa(clusterId: string, now: number): Promise<{ readonly certificate: string; readonly key: string }>;
  /** A new P-256 private key, PKCS #8. */
  createKey(): Promise<string>;
  /** SHA-256 of the key's public half (SPKI, DER), lower-case hex. */
  fingerprint(key: string): string;
  /** PKCS #10, proves possession of the key; the names in the certificate are the issuer's choice. */
  createCsr(key: string): Promise<string>;
  /** Fingerprint of the key that the request proves. Throws `invalid-argument` when it is malformed or proves nothing. */
  verifyCsr(csr: string): Promise<string>;
  /** A node certificate for the key of `csr`, which has to be verified before. `keeper`: with the names of one. */
  issue(
    ca: { readonly certificate: string; readonly key: string },
    node: { readonly csr: string; readonly nodeId: string; readonly address: string; readonly keeper?: boolean },
    validity: { readonly now: number; readonly lifetimeMs: number },
  ): Promise<string>;
  /** A revocation list of certificates with these serials (RFC 5280, section 5), PEM. It is good for as long as the CA is. */
  revocationList(
    ca: { readonly certificate: string; readonly key: string },
    serials: readonly string[],
    now: number,
  ): Promise<string>;
  /** Throws `invalid-argument` when the text is not a node certificate. */
  readCertificate(certificate: string): CertificateFacts;
  /** Whether this address stands in the certificate. */
  namesAddress(certificate: string, address: string): boolean;
  /** Whether this CA signed the certificate. */
  isSignedBy(certificate: string, caCertificate: string): boolean;
  /** Whether the private key belongs to the certificate. */
  isKeyOf(key: string, certificate: string): boolean;
  /** Of any certificate. Throws `invalid-argument` when the text is none. */
  validity(certificate: string): Validity;
  /** SHA-256 of the certificate (DER), lower-case hex: what join tokens pin. */
  digest(certificate: string): string;
  /** SHA-256 of UTF-8 text, lower-case hex. */
  sha256(text: string): string;
}
