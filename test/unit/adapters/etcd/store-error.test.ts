import { status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import {
  asStoreError,
  didNothing,
  isCompacted,
  isNotFound,
  isStanding,
  isUnanswered,
  isUnfit,
  mostTelling,
  parseCancelReason,
  StatusError,
} from '../../../../src/adapters/etcd/store-error.ts';

const ENDPOINT = 'https://10.0.0.1:2379';
const { UNAVAILABLE } = status;

/** As gRPC says that there is no connection. */
const unconnected = (why: string) => `No connection established. Last error: Error: ${why}. Resolution note: `;

test.each([
  [UNAVAILABLE, unconnected('connect ECONNREFUSED 10.0.0.1:2379'), 'store-unavailable', 'connection refused; is it'],
  [
    UNAVAILABLE,
    unconnected('connect ENETUNREACH'),
    'store-unavailable',
    'no route to host; is it running, is port 2379',
  ],
  [status.DEADLINE_EXCEEDED, 'Deadline exceeded after 3.000s', 'store-unavailable', 'did not answer in time'],
  [UNAVAILABLE, 'etcdserver: no leader', 'store-unavailable', 'overlayd store status'],
  [UNAVAILABLE, 'etcdserver: request timed out', 'store-unavailable', 'cannot serve now (request timed out)'],
  [UNAVAILABLE, 'etcdserver: unhealthy cluster', 'store-unavailable', 'does not change its members now (unhealthy'],
  [UNAVAILABLE, 'read ECONNRESET', 'store-unavailable', 'does not answer: read ECONNRESET'],
  [UNAVAILABLE, 'transport is closing', 'store-unavailable', 'answer: transport is closing;'],
  [status.INTERNAL, 'Received RST_STREAM with code 2', 'store-unavailable', 'RST_STREAM'],
  [
    status.UNKNOWN,
    'Received HTTP status code 200',
    'store-unavailable',
    'not answer: the connection ended in the midst',
  ],
  [status.RESOURCE_EXHAUSTED, 'etcdserver: mvcc: database space exceeded', 'store-failed', 'space (alarm NOSPACE)'],
  [status.DATA_LOSS, 'etcdserver: corrupt cluster', 'store-failed', '(alarm CORRUPT)'],
  [status.PERMISSION_DENIED, 'etcdserver: permission denied', 'store-failed', 'refuses our credentials'],
  [
    status.INVALID_ARGUMENT,
    'etcdserver: user name is empty',
    'store-failed',
    "refuses our credentials (user name is empty): give this cluster's user",
  ],
  [status.FAILED_PRECONDITION, 'etcdserver: user name not found', 'store-failed', 'refuses our credentials (user name'],
  [status.OUT_OF_RANGE, 'etcdserver: what', 'store-failed', 'refused the request: what'],
  [status.RESOURCE_EXHAUSTED, 'etcdserver: too many requests', 'store-unavailable', 'now (too many requests)'],
  // As 3.4 and 3.6 have it.
  [UNAVAILABLE, 'etcdserver: rpc not supported for learner', 'store-unavailable', 'cannot serve now'],
  [status.FAILED_PRECONDITION, 'etcdserver: rpc not supported for learner', 'store-unavailable', 'cannot serve now'],
  [
    status.RESOURCE_EXHAUSTED,
    'grpc: received message larger than max (3000008 vs. 2097152)',
    'store-failed',
    'refused the request: grpc: received message larger than max',
  ],
  [
    UNAVAILABLE,
    unconnected('self-signed certificate in certificate chain'),
    'store-failed',
    'cannot be trusted over TLS (self-signed certificate in certificate chain)',
  ],
  [UNAVAILABLE, 'ssl3_read_bytes:tlsv1 alert bad certificate:SSL alert number 42', 'store-failed', 'does not accept'],
  [
    UNAVAILABLE,
    unconnected('certificate is not yet valid'),
    'clock-skew',
    'not valid by the clock of this host or of that one',
  ],
  [UNAVAILABLE, unconnected('certificate has expired'), 'clock-skew', 'date -u'],
  [UNAVAILABLE, 'ssl/tls alert certificate expired:SSL alert number 45', 'clock-skew', 'set the clock that is wrong'],
  [status.INVALID_ARGUMENT, 'etcdserver: duplicate key given in txn request', 'store-failed', 'request: duplicate'],
])('%i %s', (code, details, ours, message) => {
  const error = asStoreError(new StatusError(code, details), ENDPOINT);
  expect(error).toMatchObject({ code: ours, retryable: ours !== 'store-failed' });
  expect(error.message).toContain(`etcd at ${ENDPOINT}`);
  expect(error.message).toContain(message);
});

test('what a refusal is about is told by the text that etcd has for it, never by words that are alike', () => {
  const error = asStoreError(new StatusError(status.NOT_FOUND, 'etcdserver: requested lease not found'), ENDPOINT);
  expect(error).toMatchObject({ code: 'store-failed', retryable: true });
  expect(error.message).toContain('no longer knows the lease');
  expect(isNotFound(error)).toBe(true);
  const of = (details: string) => new StatusError(status.OUT_OF_RANGE, details);
  expect(isCompacted(of('etcdserver: mvcc: required revision has been compacted'))).toBe(true);
  expect(isCompacted(of('etcdserver: mvcc: required revision is a future revision'))).toBe(false);
  const key = asStoreError(new StatusError(status.INVALID_ARGUMENT, 'the key /certificate is no leader'), ENDPOINT);
  expect(key).toMatchObject({ code: 'store-failed', message: expect.stringContaining('refused the request') });
  expect(isStanding(key)).toBe(false);
});

test('only what certainly did nothing may be sent again, whatever it is', () => {
  const of = (details: string, code = UNAVAILABLE) => new StatusError(code, details);
  const refusals = ['no leader', 'rpc not supported for learner', 'not capable'].map((text) => `etcdserver: ${text}`);
  for (const details of refusals) expect(didNothing(of(details))).toBe(true);
  expect(didNothing(of('etcdserver: too many requests', status.RESOURCE_EXHAUSTED))).toBe(true);
  expect(didNothing(of('etcdserver: revision of auth store is old', status.INVALID_ARGUMENT))).toBe(true);
  for (const details of ['etcdserver: request timed out', 'etcdserver: leader changed', 'read ECONNRESET']) {
    expect(isUnanswered(of(details))).toBe(true);
    expect(didNothing(of(details))).toBe(false);
  }
  expect(isUnanswered(of('etcdserver: permission denied', status.PERMISSION_DENIED))).toBe(false);
});

test('a member that answers is left when it cannot serve, and only then', () => {
  expect(isUnfit(new StatusError(UNAVAILABLE, 'etcdserver: no leader'))).toBe(true);
  expect(isUnfit(new StatusError(status.RESOURCE_EXHAUSTED, 'etcdserver: mvcc: database space exceeded'))).toBe(false);
  expect(isUnfit(new StatusError(status.INVALID_ARGUMENT, 'etcdserver: revision of auth store is old'))).toBe(false);
  expect(isUnfit(new StatusError(UNAVAILABLE, 'etcdserver: unhealthy cluster'))).toBe(false);
});

test('of several endpoints the one without a majority tells most, then what somebody has to mend', () => {
  const of = (details: string, code = UNAVAILABLE) => asStoreError(new StatusError(code, details), ENDPOINT);
  const refused = of(unconnected('connect ECONNREFUSED 10.0.0.1:2379'));
  const untrusted = of(unconnected('self-signed certificate'));
  const leaderless = of('etcdserver: no leader');
  expect(mostTelling([refused, untrusted, leaderless])).toBe(leaderless);
  expect(mostTelling([refused, untrusted])).toBe(untrusted);
  expect(mostTelling([refused, of('read ECONNRESET')])).toBe(refused);
});

test("what ends a watch is read as Go's gRPC prints it", () => {
  expect(parseCancelReason('rpc error: code = PermissionDenied desc = etcdserver: permission denied')).toMatchObject({
    code: status.PERMISSION_DENIED,
    details: 'etcdserver: permission denied',
  });
  expect(parseCancelReason('anything')).toMatchObject({ code: status.UNKNOWN, details: 'anything' });
});

test('alarms, credentials and certificates stand until somebody does something; a refused request does not', () => {
  const standing = (details: string, code: status) =>
    isStanding(asStoreError(new StatusError(code, details), ENDPOINT));
  expect(standing('etcdserver: mvcc: database space exceeded', status.RESOURCE_EXHAUSTED)).toBe(true);
  expect(standing('etcdserver: permission denied', status.PERMISSION_DENIED)).toBe(true);
  expect(standing(unconnected('self-signed certificate'), UNAVAILABLE)).toBe(true);
  expect(standing('etcdserver: duplicate key given in txn request', status.INVALID_ARGUMENT)).toBe(false);
  expect(standing('read ECONNRESET', UNAVAILABLE)).toBe(false);
});
