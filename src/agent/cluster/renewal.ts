/**
 * Keeps the node's certificate valid: a new one for the same key at two thirds of its life, signed here with the CA
 * key that every member has, so that it depends on nobody. An expired one (the host slept) is renewed at once.
 */
import { asOverlaydError } from '../../core/errors.ts';
import type { CertificateFacts, Clock, JsonFile, Logger, Pki } from '../../ports.ts';
import type { Identity, IdentityState } from './identity.ts';

export interface RenewalDeps {
  readonly clock: Clock;
  readonly pki: Pki;
  readonly file: JsonFile<IdentityState>;
  readonly logger: Logger;
  /** Told after the new identity was saved: transports and the etcd client take the new certificate. */
  readonly renewed: (identity: Identity) => Promise<void>;
}

/** The clock is looked at so often, because it may jump. */
const LOOK_MS = 3_600_000;
const RETRY_MS = 60_000;

export async function keepCertificate(
  deps: RenewalDeps,
  first: Identity,
  options: { readonly certificateLifetimeMs: number },
  signal: AbortSignal,
): Promise<void> {
  let identity = first;
  while (!signal.aborted) {
    const waitMs = renewalTime(deps.pki.readCertificate(identity.certificate)) - deps.clock.now();
    if (waitMs > 0) {
      await deps.clock.sleep(Math.min(waitMs, LOOK_MS), signal);
      continue;
    }
    try {
      identity = await renewCertificate(deps, identity, options.certificateLifetimeMs);
    } catch (thrown) {
      const { code, message } = asOverlaydError(thrown);
      deps.logger.warn({ code, reason: message }, 'certificate not renewed, trying again');
    }
    // Also after success: near the end of the CA's own life every certificate is old from the start.
    await deps.clock.sleep(RETRY_MS, signal);
  }
}

export function renewalTime({ notBefore, notAfter }: Pick<CertificateFacts, 'notBefore' | 'notAfter'>): number {
  return notBefore + ((notAfter - notBefore) * 2) / 3;
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

async function renewCertificate(deps: RenewalDeps, identity: Identity, lifetimeMs: number): Promise<Identity> {
  const { nodeId } = identity;
  const certificate = await reissue(deps, identity, lifetimeMs);
  const next = { ...identity, certificate };
  await deps.file.save(next);
  await deps.renewed(next);
  const { notAfter } = deps.pki.readCertificate(certificate);
  deps.logger.info({ nodeId, notAfter: new Date(notAfter).toISOString() }, 'certificate renewed');
  return next;
}
