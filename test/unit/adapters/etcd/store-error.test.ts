import { expect, test } from 'vitest';
import { asStoreError, isCompacted, wasNeverSent } from '../../../../src/adapters/etcd/store-error.ts';

const refused = '14 UNAVAILABLE: No connection established. Last error: Error: connect ECONNREFUSED 10.0.0.1:2379.';

test.each([
  [`${refused} Resolution note: `, 'store-unavailable', 'connection refused; is it running, is port 2379 open?'],
  ['4 DEADLINE_EXCEEDED: Deadline exceeded after 3.000s', 'store-unavailable', 'did not answer in time'],
  ['14 UNAVAILABLE: etcdserver: no leader', 'store-unavailable', 'cannot serve now (no leader)'],
  ['14 UNAVAILABLE: read ECONNRESET', 'store-unavailable', 'does not answer: read ECONNRESET'],
  ['13 INTERNAL: Received RST_STREAM with code 2', 'store-unavailable', 'RST_STREAM'],
  ['8 RESOURCE_EXHAUSTED: etcdserver: mvcc: database space exceeded', 'store-failed', 'out of space (alarm NOSPACE)'],
  ['7 PERMISSION_DENIED: etcdserver: permission denied', 'store-failed', 'refuses our credentials'],
  [
    '3 INVALID_ARGUMENT: etcdserver: user name is empty',
    'store-failed',
    'refuses our credentials (user name is empty)',
  ],
  [
    'rpc error: code = InvalidArgument desc = etcdserver: user name is empty',
    'store-failed',
    "refuses our credentials (user name is empty): give this cluster's user",
  ],
  ['rpc error: code = Unavailable desc = etcdserver: no leader', 'store-unavailable', 'cannot serve now (no leader)'],
  ['rpc error: code = Unavailable desc = transport is closing', 'store-unavailable', 'answer: transport is closing;'],
  ['rpc error: code = OutOfRange desc = etcdserver: what', 'store-failed', 'refused the request: what'],
  ['8 RESOURCE_EXHAUSTED: etcdserver: too many requests', 'store-unavailable', 'cannot serve now (too many requests)'],
  [
    '8 RESOURCE_EXHAUSTED: grpc: received message larger than max (3000008 vs. 2097152)',
    'store-failed',
    'refused the request: grpc: received message larger than max',
  ],
  [
    '14 UNAVAILABLE: No connection established. Last error: Error: self-signed certificate in certificate chain. Resolution note: ',
    'store-failed',
    'cannot be trusted over TLS (self-signed certificate in certificate chain)',
  ],
  [
    '14 UNAVAILABLE: ssl3_read_bytes:tlsv1 alert bad certificate:SSL alert number 42',
    'store-failed',
    'does not accept',
  ],
  [
    '14 UNAVAILABLE: No connection established. Last error: Error: certificate is not yet valid. Resolution note: ',
    'clock-skew',
    'not valid by the clock of this host or of that one',
  ],
  ['14 UNAVAILABLE: No connection established. Last error: Error: certificate has expired.', 'clock-skew', 'date -u'],
  [
    '14 UNAVAILABLE: ssl/tls alert certificate expired:SSL alert number 45',
    'clock-skew',
    'set the clock that is wrong (NTP)',
  ],
  ['3 INVALID_ARGUMENT: etcdserver: duplicate key given in txn request', 'store-failed', 'refused the request: dup'],
])('%s', (text, code, message) => {
  const error = asStoreError(new Error(text), 'https://10.0.0.1:2379');
  expect(error).toMatchObject({ code, retryable: code !== 'store-failed' });
  expect(error.message).toContain('etcd at https://10.0.0.1:2379');
  expect(error.message).toContain(message);
});

test('a lease that is gone and a revision that was compacted away are told from other refusals', () => {
  const gone = 'Lease 5 NOT_FOUND: etcdserver: requested lease not found is expired or revoked';
  const error = asStoreError(new Error(gone), 'https://10.0.0.1:2379');
  expect(error).toMatchObject({ code: 'store-failed', retryable: true });
  expect(error.message).toContain('no longer knows the lease');
  expect(isCompacted(new Error('11 OUT_OF_RANGE: etcdserver: mvcc: required revision has been compacted'))).toBe(true);
  expect(isCompacted(new Error('11 OUT_OF_RANGE: etcdserver: mvcc: required revision is a future revision'))).toBe(
    false,
  );
});

test('only what certainly did not leave this host may be sent again', () => {
  expect(wasNeverSent(new Error(refused))).toBe(true);
  expect(wasNeverSent(new Error('14 UNAVAILABLE: read ECONNRESET'))).toBe(false);
  expect(wasNeverSent(new Error('4 DEADLINE_EXCEEDED: Deadline exceeded'))).toBe(false);
});
