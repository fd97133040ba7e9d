import { status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { type Purpose, purposeOf, Refusal } from '../../../../src/adapters/etcd/refusal.ts';
import { StatusError } from '../../../../src/adapters/etcd/store-error.ts';
import { KVService, LeaseService, MaintenanceService } from '../../../../src/gen/etcd/rpc.ts';

const DENIED = new StatusError(status.PERMISSION_DENIED, 'etcdserver: permission denied');
const FULL = new StatusError(status.RESOURCE_EXHAUSTED, 'etcdserver: mvcc: database space exceeded');

function begun(error: StatusError, ...purposes: readonly Purpose[]) {
  const lines: string[] = [];
  const note = (_: object, text: string) => lines.push(text);
  const refusal = new Refusal({ info: note, error: note } as never);
  for (const purpose of purposes) refusal.begin('no', error, purpose);
  return { refusal, lines };
}

test.each<
  [what: string, error: StatusError, of: readonly Purpose[], ends: readonly Purpose[], not: readonly Purpose[]]
>([
  ['who may not write', DENIED, ['write'], ['write'], ['read', 'alarms', 'other']],
  ['who may not read', DENIED, ['read'], ['read'], ['write', 'alarms', 'other']],
  ['who may do neither', DENIED, ['write', 'read'], ['write'], ['read', 'alarms', 'other']],
  ['an etcd without space', FULL, ['write'], ['write', 'alarms'], ['read', 'other']],
])('%s is refused until that goes well which was refused, and the log says so once', (_, error, of, ends, not) => {
  for (const end of ends) {
    const { refusal, lines } = begun(error, ...of);
    for (const other of not) refusal.wentWell(other);
    expect(refusal.text).toBe('no');
    refusal.wentWell(end);
    refusal.wentWell(end);
    expect(refusal.text).toBeUndefined();
    expect(lines).toEqual(['etcd refuses what is asked of it', 'etcd refuses nothing any more']);
  }
});

test('what a call is for', () => {
  expect(purposeOf(KVService.range.path, true)).toBe('read');
  expect(purposeOf(KVService.txn.path, true)).toBe('read');
  expect(purposeOf(KVService.txn.path, false)).toBe('write');
  expect(purposeOf(KVService.put.path, true)).toBe('write');
  // They go well for who has no rights at all.
  expect(purposeOf(LeaseService.leaseGrant.path, true)).toBe('other');
  expect(purposeOf(MaintenanceService.status.path, true)).toBe('other');
});
