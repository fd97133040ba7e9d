import { status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { ALARMS, type Asked, askedOf, askedOfPrefix, OTHER, Refusal } from '../../../../src/adapters/etcd/refusal.ts';
import { encodeCompare, encodeGet, encodePut, encodeWrite } from '../../../../src/adapters/etcd/request.ts';
import { StatusError } from '../../../../src/adapters/etcd/store-error.ts';
import { keys, PREFIX } from '../../../../src/core/records.ts';
import { KVService, LeaseService, MaintenanceService, TxnRequest } from '../../../../src/gen/etcd/rpc.ts';

const DENIED = new StatusError(status.PERMISSION_DENIED, 'etcdserver: permission denied');
const UNTRUSTED = new StatusError(status.UNAVAILABLE, 'unable to verify the first certificate');
const FULL = new StatusError(status.RESOURCE_EXHAUSTED, 'etcdserver: mvcc: database space exceeded');
const [BEGUN, ENDED] = ['etcd refuses what is asked of it', 'etcd refuses nothing any more'];

const read = (...areas: string[]): Asked => ({ purpose: 'read', areas });
const write = (...areas: string[]): Asked => ({ purpose: 'write', areas });

function fixture() {
  const lines: string[] = [];
  const note = (_: object, text: string) => lines.push(text);
  const clock = { ms: 0, elapsed: () => clock.ms };
  const refusal = new Refusal({ logger: { info: note, error: note } as never, clock });
  return { clock, lines, refusal };
}

test.each<[what: string, error: StatusError, of: readonly Asked[], ends: readonly Asked[], not: readonly Asked[]]>([
  ['who may not write', DENIED, [write('a')], [write('a')], [read('a'), ALARMS, OTHER]],
  ['who may not read', DENIED, [read('a')], [read('a')], [write('a'), ALARMS, OTHER]],
  ['who may write some keys', DENIED, [write('a')], [write('a', 'b')], [write('b')]],
  ['who may write one of two together', DENIED, [write('a', 'b')], [write('a')], [write('b'), write('c')]],
  ['who may read some keys', DENIED, [read('a')], [read('a')], [read('b'), read('')]],
  // A member that only reads, and is not told of alarms, has nothing else by which it could end.
  ['a certificate that was not good', UNTRUSTED, [write('a')], [read('b'), write('b'), ALARMS, OTHER], []],
  ['an etcd without space', FULL, [write('a')], [write('b'), ALARMS], [read('a'), OTHER]],
])('%s is refused until that goes well which was refused, and the log says so once', (_, error, of, ends, not) => {
  for (const end of ends) {
    const { lines, refusal } = fixture();
    for (const each of of) refusal.begin('no', error, each);
    for (const other of not) refusal.wentWell(other);
    expect(refusal.text).toBe('no');
    refusal.wentWell(end);
    refusal.wentWell(end);
    expect(refusal.text).toBeUndefined();
    expect(lines).toEqual([BEGUN, ENDED]);
  }
});

test('where rights differ between keys, the log says once that something is refused, and once that nothing is', () => {
  const { lines, refusal } = fixture();
  for (let round = 0; round < 5; round++) {
    refusal.begin('no watch', DENIED, read('tokens'));
    refusal.wentWell(read('nodes'));
    refusal.begin('no change', DENIED, write('addresses/', 'endpoints/one'));
    refusal.wentWell(write('endpoints/one'));
    refusal.wentWell(read('endpoints/'));
  }
  expect(refusal.text).toBe('no change');
  refusal.wentWell(write('addresses/', 'endpoints/two'));
  expect(refusal.text).toBe('no watch');
  expect(lines).toEqual([BEGUN]);
  refusal.wentWell(read('tokens'));
  expect(lines).toEqual([BEGUN, ENDED]);
});

test('what is refused again is refused as a whole', () => {
  const { refusal } = fixture();
  refusal.begin('no', DENIED, write('a', 'b'));
  refusal.wentWell(write('a'));
  refusal.begin('no', DENIED, write('a', 'b'));
  refusal.wentWell(write('b'));
  expect(refusal.text).toBe('no');
});

test('what nobody has asked for any more is forgotten, and many things are not kept', () => {
  const { clock, lines, refusal } = fixture();
  refusal.begin('no', DENIED, write('nodes/a'));
  clock.ms = 599_000;
  expect(refusal.text).toBe('no');
  clock.ms = 600_000;
  expect(refusal.text).toBeUndefined();
  expect(lines).toEqual([BEGUN, ENDED]);
  for (let nth = 0; nth < 100; nth++) refusal.begin('no', DENIED, write(`${nth}`));
  for (let nth = 36; nth < 100; nth++) refusal.wentWell(write(`${nth}`));
  expect(refusal.text).toBeUndefined();
});

test.each<[what: string, error: StatusError, asked: Asked, forMs: number]>([
  ['of users and members', DENIED, OTHER, 30_000],
  ['of certificates', DENIED, write('certificates/n1'), 30_000],
  ['of space', FULL, OTHER, 600_000],
  ['of what others write as well', DENIED, write('addresses/', 'cluster'), 600_000],
  ['of what all read', DENIED, read('cluster'), 600_000],
])('what a host asked while it was a keeper is soon forgotten: %s', (_, error, asked, forMs) => {
  const { clock, refusal } = fixture();
  refusal.begin('no', error, asked);
  clock.ms = forMs - 1;
  expect(refusal.text).toBe('no');
  clock.ms = forMs;
  expect(refusal.text).toBeUndefined();
});

test('what a call is for', () => {
  const endpoint = { nodeId: 'n1', id: 'e1' };
  const txn = TxnRequest.fromPartial({
    compare: [encodeCompare({ kind: 'absent', key: keys.address('net', '10.0.0.1') })],
    success: [encodeWrite({ kind: 'put', key: keys.endpoint(endpoint), value: '' })],
    failure: [{ request: { $case: 'requestRange', value: encodeGet(keys.cluster) } }],
  });
  const areas = ['addresses/', 'cluster', 'endpoints/n1'];
  expect(askedOf(KVService.txn.path, txn, true)).toEqual({ purpose: 'read', areas });
  expect(askedOf(KVService.txn.path, txn, false)).toEqual({ purpose: 'write', areas });
  expect(askedOf(KVService.range.path, encodeGet(keys.endpoints), true)).toEqual(read('endpoints/'));
  expect(askedOf(KVService.put.path, encodePut(keys.live('n1'), ''), true)).toEqual(write('live/n1'));
  expect([askedOfPrefix(PREFIX), askedOfPrefix(keys.endpointsOf('n1'))]).toEqual([read(''), read('endpoints/n1')]);
  // They go well for who has no rights at all.
  expect(askedOf(LeaseService.leaseGrant.path, {}, true)).toEqual(OTHER);
  expect(askedOf(MaintenanceService.status.path, {}, true)).toEqual(OTHER);
});
