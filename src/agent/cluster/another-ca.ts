/**
 * A cluster whose keepers are all lost goes on with another CA: nobody else can be the store, or let hosts in, by the former one
 * (docs/adr/0024-a-node-writes-what-is-its-own.md). The host that begins its store anew makes that CA; every other host is told by a
 * token, which pins it, by somebody who is root there (`overlayd join`). Hosts stay the nodes that they are.
 */
import { OverlaydError } from '../../core/errors.ts';
import { KEEPER_NAMES_LEVEL } from '../../core/levels.ts';
import type { Pki } from '../../ports/identity.ts';
import type { JoinResponse } from '../../ports/join.ts';
import type { Clock } from '../../ports/runtime.ts';
import type { Identity } from './identity.ts';
import { CERTIFICATE_LIFETIME_MS } from './renewal.ts';

export interface AnotherCaDeps {
  readonly pki: Pick<Pki, 'createCa' | 'createCsr' | 'digest' | 'issue' | 'readCertificate' | 'revocationList'>;
  readonly clock: Pick<Clock, 'now'>;
}

/** What becomes of the identity; everything else in it stays as it is then. */
export type Adopt = (before: Identity) => Identity;

/**
 * For a host that begins the cluster's store: undefined where the others take its etcd for the store as it is. `living`: names
 * of keepers that are heard. Throws `conflict` where one of them could do it.
 */
export async function adoptForStore(
  { pki, clock }: AnotherCaDeps,
  identity: Identity,
  level: number,
  living: readonly string[],
): Promise<Adopt | undefined> {
  const { clusterId, nodeId, advertiseAddress: address, key } = identity;
  const isKeepers = pki.readCertificate(identity.certificate).isKeepers;
  if (level < KEEPER_NAMES_LEVEL || (identity.caKey !== undefined && isKeepers)) return undefined;
  if (identity.caKey === undefined && living.length > 0) {
    throw new OverlaydError(
      'conflict',
      `this host is no keeper, and hosts would follow it only when each is told: run it on ${living.join(' or ')}, which is, and which they follow by themselves`,
    );
  }
  const now = clock.now();
  const ca =
    identity.caKey === undefined
      ? await pki.createCa(clusterId, now)
      : { certificate: identity.caCertificate, key: identity.caKey };
  const node = { csr: await pki.createCsr(key), nodeId, address, keeper: true };
  const certificate = await pki.issue(ca, node, { now, lifetimeMs: CERTIFICATE_LIFETIME_MS });
  const list = await pki.revocationList(ca, [], now);
  const revoked = { serials: [], list, signedBy: pki.digest(ca.certificate) };
  return ({ next, ...before }) => ({
    ...before,
    ...{ certificate, caCertificate: ca.certificate, caKey: ca.key, revoked },
    // What is under way goes on with the CA that it began with.
    ...(next && ca.certificate === before.caCertificate && { next }),
  });
}

/** Of a host that was told: what it had of the former CA goes, its key too. */
export function adoptResponse({
  caCertificate,
  certificate,
  nextCaCertificate,
}: Pick<JoinResponse, 'caCertificate' | 'certificate' | 'nextCaCertificate'>): Adopt {
  return ({ caKey: _, next: __, revoked: ___, ...before }) => ({
    ...before,
    ...{ caCertificate, certificate },
    ...(nextCaCertificate !== '' && { next: { caCertificate: nextCaCertificate } }),
  });
}
