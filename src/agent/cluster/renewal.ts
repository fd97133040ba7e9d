/**
 * Keeps the node's certificate valid: a new one for the same key a third of its life before the end, signed here with the
 * CA key that every member has, so that it depends on nobody. One that is not valid by the clock as it is now (the host
 * slept, or the clock was wrong when it was made) is renewed at once.
 */

import type { Validity } from '../../core/certificate.ts';
import { asOverlaydError } from '../../core/errors.ts';
import type { JsonFile } from '../../ports/files.ts';
import type { Pki } from '../../ports/identity.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { Identity, IdentityState } from './identity.ts';

export interface RenewalDeps {
  readonly clock: Clock;
  readonly pki: Pki;
  readonly file: JsonFile<IdentityState>;
  readonly logger: Logger;
  /** Told after the new identity was saved: transports and the etcd client take the new certificate. */
  readonly renewed: (identity: Identity) => Promise<void>;
}

/** The clock is looked at so often, because it may jump: until then this node and its peers refuse each other. */
const LOOK_MS = 30_000;
const RETRY_MS = 60_000;

export interface RenewalOptions {
  readonly certificateLifetimeMs: number;
}

/** Ends when the signal aborts. */
export async function keepCertificate(
  deps: RenewalDeps,
  first: Identity,
  options: RenewalOptions,
  signal: AbortSignal,
): Promise<void> {
  const { clock, logger, renewed } = deps;
  let identity = first;
  let due = false;
  let failing: string | undefined;
  for (; !signal.aborted; await clock.sleep(due ? RETRY_MS : LOOK_MS, signal)) {
    try {
      if (isDue(deps, identity, options)) {
        due = true;
        const next = await renew(deps, identity, options);
        await deps.file.save(next);
        identity = next;
      }
      if (due) await renewed(identity);
      due = false;
      failing = undefined;
    } catch (thrown) {
      const { code, message } = asOverlaydError(thrown);
      // The same again and again is said once.
      logger[message === failing ? 'debug' : 'warn'](
        { code, reason: message },
        'certificate not renewed, trying again',
      );
      failing = message;
    }
  }
}

/** Before the member starts: the node with a certificate that is valid now, whatever the clock said when it last ran. */
export async function withValidCertificate(
  deps: Omit<RenewalDeps, 'renewed'>,
  identity: Identity,
  options: RenewalOptions,
): Promise<Identity> {
  if (!isDue(deps, identity, options)) return identity;
  const next = await renew(deps, identity, options);
  await deps.file.save(next).catch((error: unknown) => deps.logger.warn({ error }, 'the new certificate is not saved'));
  return next;
}

/** A third of its life before the end; or when it begins in the future, because a clock was ahead when it was made. */
function isDue(
  { pki, clock }: Pick<RenewalDeps, 'pki' | 'clock'>,
  { certificate, caCertificate }: Identity,
  { certificateLifetimeMs }: RenewalOptions,
): boolean {
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

/** In words, when by this host's clock the cluster's certificates are not valid; undefined when they are. */
export function clockProblem(
  { pki, clock }: Pick<RenewalDeps, 'pki' | 'clock'>,
  { certificate, caCertificate }: Identity,
): string | undefined {
  const now = clock.now();
  const here = `this host's clock says ${new Date(now).toISOString()}`;
  const authority = pki.validity(caCertificate);
  const own = pki.validity(certificate);
  const isWithin = ({ notBefore, notAfter }: Validity) => now >= notBefore && now <= notAfter;
  const span = ({ notBefore, notAfter }: Validity) =>
    `from ${new Date(notBefore).toISOString()} to ${new Date(notAfter).toISOString()}`;
  if (!isWithin(authority)) return `${here}, but the cluster's CA is valid ${span(authority)}: set the clock (NTP)`;
  if (!isWithin(own))
    return `${here}, but its certificate is valid ${span(own)}: it is being renewed; is the clock right?`;
  return undefined;
}

/** A certificate from now on for the node's key and present address. */
export async function reissue(
  { pki, clock }: { readonly pki: Pki; readonly clock: Pick<Clock, 'now'> },
  { nodeId, advertiseAddress: address, key, caCertificate, caKey }: Identity,
  lifetimeMs: number,
): Promise<string> {
  return pki.issue(
    { certificate: caCertificate, key: caKey },
    { csr: await pki.createCsr(key), nodeId, address },
    { now: clock.now(), lifetimeMs },
  );
}

async function renew(
  deps: Omit<RenewalDeps, 'renewed'>,
  identity: Identity,
  { certificateLifetimeMs }: RenewalOptions,
): Promise<Identity> {
  const certificate = await reissue(deps, identity, certificateLifetimeMs);
  const { notAfter } = deps.pki.validity(certificate);
  deps.logger.info({ nodeId: identity.nodeId, notAfter: new Date(notAfter).toISOString() }, 'certificate renewed');
  return { ...identity, certificate };
}
