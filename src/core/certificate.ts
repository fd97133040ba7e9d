/** What is read from a certificate. Times are milliseconds since the epoch. */

export interface Validity {
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface CertificateFacts extends Validity {
  readonly nodeId: string;
  /** SHA-256 of the public key (SPKI, DER), lower-case hex. */
  readonly fingerprint: string;
}
