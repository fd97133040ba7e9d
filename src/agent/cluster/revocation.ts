/** The list by which this host's etcd refuses certificates of nodes that were removed. */
import type { Pki } from '../../ports/identity.ts';
import type { CaKey } from '../../ports/keepers.ts';
import type { Identity, RevokedCertificates } from './identity.ts';

/**
 * What the identity has of it, where that is as it should be: of these serials (undefined: of those that it has), signed by the
 * CA in use, or by the next one where that one's key alone is here. Without a key it stays as it is.
 */
export async function keptList(
  pki: Pick<Pki, 'digest' | 'revocationList'>,
  identity: Identity,
  serials: readonly string[] | undefined,
  now: number,
): Promise<RevokedCertificates | undefined> {
  const { revoked } = identity;
  const ca = signingCa(identity);
  if (ca === undefined) return revoked;
  const wanted = serials ?? revoked?.serials ?? [];
  const signedBy = pki.digest(ca.certificate);
  if (revoked?.signedBy === signedBy && revoked.serials.join() === wanted.join()) return revoked;
  return { serials: wanted, list: await pki.revocationList(ca, wanted, now), signedBy };
}

function signingCa({ caCertificate, caKey, next }: Identity): CaKey | undefined {
  if (caKey !== undefined) return { certificate: caCertificate, key: caKey };
  return next?.caKey === undefined ? undefined : { certificate: next.caCertificate, key: next.caKey };
}
