/** What is read from a certificate. Times are milliseconds since the epoch. */

export interface Validity {
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface CertificateFacts extends Validity {
  readonly nodeId: string;
  /** SHA-256 of the public key (SPKI, DER), lower-case hex. */
  readonly fingerprint: string;
  /** Hexadecimal, lower case. */
  readonly serial: string;
  /** It has the names by which keepers are the store, and let hosts in. */
  readonly isKeepers: boolean;
}
