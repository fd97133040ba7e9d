/**
 * Replacing the cluster's CA (docs/adr/0024-a-node-writes-what-is-its-own.md). The cluster's record has the CA in use and, while it
 * is replaced, the next one. What is done next follows from that and from what every member says of itself:
 *
 * 1. `trust`: every member trusts both. A keeper says so only when it has the next one's key as well, so that no loss of one
 *    host leaves a CA that nobody can sign with.
 * 2. `certify`: as all trust it, every member has a certificate of the next one.
 * 3. `retire`: as all have one, a keeper makes the next one the CA; members trust the former no more.
 *
 * No step is undone, and each can be done twice. A member that is away holds up the step; one that joins meanwhile is told of
 * both. CAs are known by their digests (SHA-256 of the certificate, hex). Pure.
 */
import type { NodeRecord } from './records.ts';

export type CaPhase = 'trust' | 'certify' | 'retire';

export interface CaDigests {
  readonly current: string;
  /** Undefined: it is not being replaced. */
  readonly next: string | undefined;
}

export interface CaProgress {
  /** Undefined: nothing is under way. */
  readonly phase: CaPhase | undefined;
  /** By name: those that have not left. */
  readonly nodes: readonly CaNodeProgress[];
}

export interface CaNodeProgress {
  readonly node: NodeRecord;
  readonly trustsNext: boolean;
  readonly certifiedByNext: boolean;
  /** It holds up the phase. */
  readonly isAwaited: boolean;
}

export function caProgress({ next }: CaDigests, nodes: Iterable<NodeRecord>): CaProgress {
  const members = [...nodes].filter(({ left }) => !left).sort((a, b) => (a.name < b.name ? -1 : 1));
  const seen = members.map((node) => ({
    node,
    trustsNext: next !== undefined && (node.trusts ?? []).includes(next),
    certifiedByNext: next !== undefined && node.certifiedBy === next,
  }));
  const phase = next === undefined ? undefined : phaseOf(seen);
  const lacks = ({ trustsNext, certifiedByNext }: (typeof seen)[number]) =>
    phase === 'trust' ? !trustsNext : phase === 'certify' && !certifiedByNext;
  return { phase, nodes: seen.map((each) => ({ ...each, isAwaited: lacks(each) })) };
}

function phaseOf(seen: readonly Pick<CaNodeProgress, 'trustsNext' | 'certifiedByNext'>[]): CaPhase {
  if (!seen.every(({ trustsNext }) => trustsNext)) return 'trust';
  return seen.every(({ certifiedByNext }) => certifiedByNext) ? 'retire' : 'certify';
}

/** What a member has of CAs; PEM. */
export interface OwnCas {
  readonly caCertificate: string;
  /** Keepers alone have it. */
  readonly caKey?: string;
  /** This node's, of that CA. */
  readonly certificate: string;
  /** While the CA is replaced. */
  readonly next?: NextCa;
}

export interface NextCa {
  readonly caCertificate: string;
  readonly caKey?: string;
  /** Of this node, as soon as all members trust this CA. It is shown then. */
  readonly certificate?: string;
}

/**
 * What the member has after the cluster's record said so; the same object when nothing is otherwise. Undefined: it knows
 * neither of the CAs that the record names.
 */
export function followCa<T extends OwnCas>(
  own: T,
  said: { readonly caCertificate: string; readonly nextCaCertificate?: string | undefined },
): T | undefined {
  const { next, caKey, ...rest } = own;
  if (said.caCertificate === own.caCertificate) {
    if (said.nextCaCertificate === next?.caCertificate) return own;
    return withNext({ ...rest, ...(caKey !== undefined && { caKey }) } as unknown as T, said.nextCaCertificate);
  }
  if (next === undefined || said.caCertificate !== next.caCertificate) return undefined;
  const shifted = {
    ...rest,
    caCertificate: next.caCertificate,
    certificate: next.certificate ?? own.certificate,
    ...(next.caKey !== undefined && { caKey: next.caKey }),
  };
  return withNext(shifted as unknown as T, said.nextCaCertificate);
}

function withNext<T extends OwnCas>(own: T, nextCaCertificate: string | undefined): T {
  return nextCaCertificate === undefined ? own : { ...own, next: { caCertificate: nextCaCertificate } };
}

/** The certificates of all CAs that it trusts, one after the other. */
export function trustedCas({ caCertificate, next }: Pick<OwnCas, 'caCertificate' | 'next'>): string {
  return next === undefined ? caCertificate : `${caCertificate.trim()}\n${next.caCertificate}`;
}

/** The certificate that it shows, and the CA that signed it. */
export function shownCertificate({ caCertificate, certificate, next }: OwnCas): {
  readonly certificate: string;
  readonly caCertificate: string;
} {
  return next?.certificate === undefined
    ? { certificate, caCertificate }
    : { certificate: next.certificate, caCertificate: next.caCertificate };
}
