/**
 * When a node needs another certificate, and the making of one where the CA's key is. One that is not valid by the clock as it
 * is now (the host slept, or the clock was wrong when it was made) is due at once. Who asks whom, and when: `certification.ts`.
 */
import { type CaPhase, shownCertificate } from '../../core/ca-rotation.ts';
import type { Validity } from '../../core/certificate.ts';
import { type Found, found } from '../../core/finding.ts';
import type { Pki } from '../../ports/identity.ts';
import type { CaKey } from '../../ports/keepers.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { Identity } from './identity.ts';
import type { OwnIdentity } from './own-identity.ts';
import { keptList } from './revocation.ts';

export interface RenewalDeps {
  readonly clock: Pick<Clock, 'now'>;
  readonly pki: Pki;
}

export interface RenewalOptions {
  readonly certificateLifetimeMs: number;
}

export const CERTIFICATE_LIFETIME_MS = 90 * 24 * 3_600_000;

/** Of the CA in use, or the one that comes. */
export interface Issued {
  readonly certificate: string;
  readonly caCertificate: string;
}

/**
 * A third of its life before the end; or when it begins in the future, because a clock was ahead when it was made; or with an
 * address that is not the node's now; or of a CA that goes; or with the names of keepers on a node that is none, or without them
 * (`keeper`; undefined: it is not known now).
 */
export function isCertificateDue(
  { pki, clock }: RenewalDeps,
  identity: Identity,
  phase: CaPhase | undefined,
  { certificateLifetimeMs }: RenewalOptions,
  keeper?: boolean,
): boolean {
  const { certificate, caCertificate } = shownCertificate(identity);
  const { advertiseAddress, next } = identity;
  if (phase === 'certify' && next && next.certificate === undefined) return true;
  if (!pki.namesAddress(certificate, advertiseAddress)) return true;
  if (keeper !== undefined && pki.readCertificate(certificate).isKeepers !== keeper) return true;
  const own = pki.validity(certificate);
  const authority = pki.validity(caCertificate);
  const now = clock.now();
  // Beyond the authority's own time a new one would be no better.
  if (now < own.notBefore) return own.notBefore > authority.notBefore;
  return now >= renewalTime(own, certificateLifetimeMs) && own.notAfter < authority.notAfter;
}

export function renewalTime({ notAfter }: Pick<Validity, 'notAfter'>, lifetimeMs: number): number {
  return notAfter - lifetimeMs / 3;
}

/** The CA's key that certificates are made with now, if it is here. */
export function signingKeyOf({ caCertificate, caKey, next }: Identity, phase: CaPhase | undefined): CaKey | undefined {
  const isNext = next !== undefined && (phase === 'certify' || phase === 'retire');
  const [certificate, key] = isNext ? [next.caCertificate, next.caKey] : [caCertificate, caKey];
  return key === undefined ? undefined : { certificate, key };
}

/** The node with that certificate. Throws `Error` when it is not for its key, or of a CA that it does not trust. */
export function withIssued(pki: Pki, identity: Identity, { certificate, caCertificate }: Issued): Identity {
  const { nodeId, key, next } = identity;
  const facts = pki.readCertificate(certificate);
  const isOwn = facts.nodeId === nodeId && facts.fingerprint === pki.fingerprint(key);
  if (!isOwn || !pki.isSignedBy(certificate, caCertificate)) throw new Error('the certificate is not for this node');
  if (caCertificate === identity.caCertificate) return { ...identity, certificate };
  if (caCertificate === next?.caCertificate) return { ...identity, next: { ...next, certificate } };
  throw new Error('the certificate is of a CA that this node was not told of');
}

/** A certificate from now on for the node's key and present address, made here. `keeper` absent: with the names that it has. */
export async function reissue(
  { pki, clock }: RenewalDeps,
  ca: CaKey,
  identity: Identity,
  lifetimeMs: number,
  keeper = pki.readCertificate(shownCertificate(identity).certificate).isKeepers,
): Promise<Issued> {
  const { nodeId, advertiseAddress: address, key } = identity;
  const node = { csr: await pki.createCsr(key), nodeId, address, keeper };
  return {
    certificate: await pki.issue(ca, node, { now: clock.now(), lifetimeMs }),
    caCertificate: ca.certificate,
  };
}

/**
 * Before the member starts: the node with a certificate that is valid now, whatever the clock said when it last ran. As it
 * was, where the CA's key is not here: keepers are asked when it runs.
 */
export async function withValidCertificate(
  deps: RenewalDeps & { readonly own: OwnIdentity; readonly logger: Logger },
  options: RenewalOptions,
): Promise<Identity> {
  const { clock, logger, own, pki } = deps;
  const ca = signingKeyOf(own.current, own.current.next?.certificate === undefined ? undefined : 'certify');
  if (ca === undefined) return own.current;
  const isDue = isCertificateDue(deps, own.current, undefined, options);
  // Agents of before kept no list: etcd would begin without one, and once more with it.
  const lacksList = own.current.store.bundled && own.current.revoked === undefined;
  if (!isDue && !lacksList) return own.current;
  return own.change(
    async (before) => {
      const after = isDue ? await renewed(deps, ca, before, options) : before;
      if (!after.store.bundled) return after;
      const revoked = await keptList(pki, after, undefined, clock.now());
      return { ...after, ...(revoked && { revoked }) };
    },
    { unsaved: (error) => logger.warn({ error }, 'the new certificate is not saved') },
  );
}

async function renewed(
  deps: RenewalDeps & { readonly logger: Logger },
  ca: CaKey,
  before: Identity,
  options: RenewalOptions,
): Promise<Identity> {
  const { logger, pki } = deps;
  const issued = await reissue(deps, ca, before, options.certificateLifetimeMs);
  const { notAfter } = pki.validity(issued.certificate);
  const event = {
    event: 'certificate-renewed',
    nodeId: before.nodeId,
    notAfter: new Date(notAfter).toISOString(),
  } as const;
  logger.info(event, 'certificate renewed');
  return withIssued(pki, before, issued);
}

/** What {@link clockProblem} and {@link endProblems} tell. */
export function certificateFindings(deps: RenewalDeps, identity: Identity, options: RenewalOptions): readonly Found[] {
  return [
    ...found('clock-skew', [clockProblem(deps, identity) ?? []].flat()),
    ...found('certificate-ending', endProblems(deps, identity, options)),
  ];
}

const DAY_MS = 24 * 3_600_000;
const CA_WARNING_MS = 30 * DAY_MS;

/**
 * In words, when the cluster's CA comes to its end, and nobody replaces it; or this node's certificate does, which should have been
 * renewed at two thirds of its life. What is not valid any more {@link clockProblem} tells.
 */
export function endProblems(
  { pki, clock }: RenewalDeps,
  identity: Identity,
  { certificateLifetimeMs }: RenewalOptions,
): readonly string[] {
  const now = clock.now();
  const { certificate, caCertificate } = shownCertificate(identity);
  const [own, authority] = [certificate, caCertificate].map((each) => pki.validity(each).notAfter);
  const ending = (notAfter: number) =>
    `ends at ${new Date(notAfter).toISOString()}, in ${Math.max(0, Math.floor((notAfter - now) / DAY_MS))} days`;
  const isNear = (notAfter: number, withinMs: number) => now <= notAfter && now > notAfter - withinMs;
  const problems: string[] = [];
  if (identity.next === undefined && isNear(authority!, CA_WARNING_MS)) {
    const then = 'after that no host speaks with another one, and changes are refused; existing networks go on';
    problems.push(`the cluster's CA ${ending(authority!)}: replace it, \`overlayd ca rotate\` on any host; ${then}`);
  }
  // A week of a certificate of ninety days is for keepers that are away.
  if (own! < authority! && isNear(own!, (certificateLifetimeMs * 23) / 90)) {
    problems.push(
      `this host's certificate ${ending(own!)}, and no keeper has renewed it: bring one of the hosts back that \`overlayd node ls\` shows as keepers`,
    );
  }
  return problems;
}

/** In words, when by this host's clock the cluster's certificates are not valid; undefined when they are. */
export function clockProblem({ pki, clock }: RenewalDeps, identity: Identity): string | undefined {
  const { certificate, caCertificate } = shownCertificate(identity);
  const now = clock.now();
  const here = `this host's clock says ${new Date(now).toISOString()}`;
  const authority = pki.validity(caCertificate);
  const own = pki.validity(certificate);
  const isWithin = ({ notBefore, notAfter }: Validity) => now >= notBefore && now <= notAfter;
  const span = ({ notBefore, notAfter }: Validity) =>
    `from ${new Date(notBefore).toISOString()} to ${new Date(notAfter).toISOString()}`;
  if (!isWithin(authority)) return `${here}, but the cluster's CA is valid ${span(authority)}: set the clock (NTP)`;
  if (isWithin(own)) return undefined;
  const problem = `${here}, but its certificate is valid ${span(own)}`;
  if (identity.caKey !== undefined) return `${problem}: it is being renewed; is the clock right?`;
  return `${problem}. Is the clock right? If it is, \`overlayd token create\` on another host prints the line that lets this one in again (overlayd join --token …); existing networks go on`;
}
