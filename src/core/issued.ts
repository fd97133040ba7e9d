/**
 * Which certificates were made for a node, by their serials: those of one that is removed open nothing from then on
 * (docs/adr/0024-a-node-writes-what-is-its-own.md). A record per node, which keepers alone write, from level 5 on; it outlives the
 * node for as long as one of the certificates could be shown. Pure.
 */
import type { CertificateFacts } from './certificate.ts';

export interface CertificatesRecord {
  readonly issued: readonly IssuedCertificate[];
}

export interface IssuedCertificate {
  /** Hexadecimal, lower case. */
  readonly serial: string;
  readonly notAfter: number;
  readonly revoked?: boolean;
}

/** A certificate that has run out by the clock of one host may be good by that of another. */
const GRACE_MS = 30 * 24 * 3_600_000;

/** With that certificate, and without those that nobody takes any more; the same object when nothing is otherwise. */
export function withIssuedOne(
  held: CertificatesRecord | undefined,
  { serial, notAfter }: Pick<CertificateFacts, 'serial' | 'notAfter'>,
  now: number,
): CertificatesRecord {
  if (held?.issued.some((each) => each.serial === serial)) return held;
  return { ...held, issued: [...usable(held, now), { serial, notAfter }] };
}

/** As the node is removed. Undefined: there is nothing to remember. */
export function revokedAll(held: CertificatesRecord, now: number): CertificatesRecord | undefined {
  const issued = usable(held, now);
  if (issued.length === 0) return undefined;
  if (issued.length === held.issued.length && issued.every(({ revoked }) => revoked)) return held;
  return { ...held, issued: issued.map((each) => ({ ...each, revoked: true })) };
}

/** In order. */
export function revokedSerials(records: Iterable<CertificatesRecord>, now: number): readonly string[] {
  const serials = [...records].flatMap((record) =>
    usable(record, now).flatMap(({ serial, revoked }) => (revoked ? [serial] : [])),
  );
  return [...new Set(serials)].sort();
}

function usable(held: CertificatesRecord | undefined, now: number): readonly IssuedCertificate[] {
  return (held?.issued ?? []).filter(({ notAfter }) => now < notAfter + GRACE_MS);
}
