import { endpointEntries } from '../../src/agent/claims/endpoint-claims.ts';
import type { EndpointRecord } from '../../src/core/records.ts';
import type { MemoryEtcd } from './memory-store.ts';

/** Somebody takes an endpoint away in etcd, by hand, its record and its claims. */
export function forget(etcd: MemoryEtcd, record: EndpointRecord): void {
  etcd.txn(
    [],
    endpointEntries(record).map(({ key }) => ({ kind: 'delete', key })),
  );
}
