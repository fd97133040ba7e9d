/**
 * Another certificate of this host alone for an etcd of the user's own, by which that knows it (docs/operations.md). It is tried
 * first: what etcd refuses by it changes nothing here.
 */
import { OverlaydError } from '../../core/errors.ts';
import { decodeCluster } from '../../core/record-codec.ts';
import { keys } from '../../core/records.ts';
import type { Compare, StoreAccess } from '../../ports/store.ts';
import { tlsMaterialOf } from '../cluster/identity.ts';
import { accessOf, bundledStoreOf } from '../cluster/store-access.ts';
import type { StoreChangeDeps, StoreChanged } from './restore.ts';

export interface LoginOptions {
  /** Empty: the one that is known. */
  readonly etcdCa: string;
  readonly etcdCert: string;
  readonly etcdKey: string;
}

/** Throws `conflict` (the store is the cluster's own), `invalid-argument`, `store-failed`, and what the store throws. */
export async function logIn(
  { identity, openStore }: Pick<StoreChangeDeps, 'identity' | 'openStore'>,
  { etcdCa, etcdCert: certificate, etcdKey: key }: LoginOptions,
  progress: (text: string) => void,
): Promise<StoreChanged> {
  const { shared, ...before } = identity.store;
  const isSecure = before.endpoints.every((url) => url.startsWith('https:'));
  if (bundledStoreOf(before) !== undefined || !isSecure) {
    const why = isSecure ? "the cluster's own etcd knows each host by its certificate" : 'etcd is asked without TLS';
    throw new OverlaydError('conflict', `${why}: there is no certificate to be replaced`);
  }
  if (certificate === '' || key === '') throw new OverlaydError('invalid-argument', 'give a certificate and its key');
  const access: StoreAccess = {
    ...accessOf(identity),
    ...{ certificate, key },
    ...(etcdCa !== '' && { caCertificate: etcdCa }),
  };
  progress('asking etcd with the new certificate');
  const { store, close } = openStore(access, tlsMaterialOf(identity));
  try {
    const [cluster, self] = await Promise.all([store.get(keys.cluster), store.get(keys.node(identity.nodeId))]);
    const id = cluster && decodeCluster(cluster.value)?.id;
    if (id !== identity.clusterId || !self) {
      throw new OverlaydError(
        'store-failed',
        'what etcd shows with this certificate is not this cluster with this node',
      );
    }
    // What it is to write later, as it is.
    const { key: own, revision, value } = self;
    const asRead: Compare[] = [
      { kind: 'absent', key: keys.storeGate },
      { kind: 'revision', key: own, revision },
    ];
    await store.txn(asRead, [{ kind: 'put', key: own, value }]);
  } finally {
    close();
  }
  const { certificate: formerCertificate, key: formerKey } = before;
  return {
    store: { ...access, bundled: false, shared: shared ?? { certificate: formerCertificate, key: formerKey } },
    warnings: [],
  };
}
