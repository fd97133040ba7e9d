import { STORE_LEVEL } from '../../src/core/levels.ts';
import { encodeRecord } from '../../src/core/record-codec.ts';
import { keys, type NodeRecord } from '../../src/core/records.ts';
import { MEMBER_PERMISSIONS, MEMBER_ROLE, nodePermissions, nodeRole, ROOT } from '../../src/core/store-rights.ts';
import { foundedRecord } from '../fixtures/records.ts';
import type { MemoryEtcd } from './memory-store.ts';

/** Keeps the store, as the only one. */
export const KEEPER = 'node1';

/** Who has which rights is asked from the level on that speaks of it. */
export function foundCluster(etcd: MemoryEtcd, level: number): void {
  const cluster = foundedRecord(level, etcd.clock.now());
  etcd.txn([], [{ kind: 'put', key: keys.cluster, value: encodeRecord(cluster) }]);
  if (level < STORE_LEVEL) return;
  etcd.txn([], [{ kind: 'put', key: keys.storeKeepers, value: encodeRecord({ nodeIds: [KEEPER] }) }]);
  etcd.access.enabled = true;
}

/** What keepers write when a node joins, and the user that it gets. */
export function admitNode(etcd: MemoryEtcd, record: NodeRecord): void {
  const { access } = etcd;
  const { id, name } = record;
  etcd.txn(
    [],
    [
      { kind: 'put', key: keys.node(id), value: encodeRecord(record) },
      { kind: 'put', key: keys.nodeName(name), value: id },
    ],
  );
  access.roles.set(MEMBER_ROLE, MEMBER_PERMISSIONS);
  access.roles.set(nodeRole(id), nodePermissions(record));
  access.users.set(id, new Set([MEMBER_ROLE, nodeRole(id), ...(id === KEEPER ? [ROOT] : [])]));
}
