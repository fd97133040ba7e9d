import { expect, test } from 'vitest';
import { asStoreError, wasNeverSent } from '../../../../src/adapters/etcd/store-error.ts';

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
    '14 UNAVAILABLE: No connection established. Last error: Error: self-signed certificate in certificate chain. Resolution note: ',
    'store-failed',
    'cannot be trusted over TLS (self-signed certificate in certificate chain)',
  ],
  [
    '14 UNAVAILABLE: ssl3_read_bytes:tlsv1 alert bad certificate:SSL alert number 42',
    'store-failed',
    'does not accept',
  ],
  ['3 INVALID_ARGUMENT: etcdserver: duplicate key given in txn request', 'store-failed', 'refused the request: dup'],
])('%s', (text, code, message) => {
  const error = asStoreError(new Error(text), 'https://10.0.0.1:2379');
  expect(error).toMatchObject({ code, retryable: code === 'store-unavailable' });
  expect(error.message).toContain('etcd at https://10.0.0.1:2379');
  expect(error.message).toContain(message);
});

test('only what certainly did not leave this host may be sent again', () => {
  expect(wasNeverSent(new Error(refused))).toBe(true);
  expect(wasNeverSent(new Error('14 UNAVAILABLE: read ECONNRESET'))).toBe(false);
  expect(wasNeverSent(new Error('4 DEADLINE_EXCEEDED: Deadline exceeded'))).toBe(false);
});
