/** How the agent reaches the cluster's etcd. */
import type { EtcdTarget } from './adapters/etcd/target.ts';
import type { TlsMaterial } from './ports/identity.ts';
import type { StoreAccess } from './ports/store.ts';

export function storeTarget(access: StoreAccess, material: TlsMaterial): EtcdTarget {
  const { endpoints, caCertificate, certificate, key } = access;
  const secure = endpoints.some((endpoint) => endpoint.startsWith('https:'));
  const own = { ca: material.caCertificate, cert: material.certificate, key: material.key };
  if (!secure) return { endpoints };
  // A bundled etcd has the node's certificate, whatever address it is reached by.
  const tls = certificate === '' ? own : { ca: caCertificate, cert: certificate, key };
  const name = certificate === '' ? { targetName: 'etcd.overlayd' } : {};
  return { endpoints, tls, ...name };
}
