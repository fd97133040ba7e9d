/**
 * What etcd and gRPC report, and what follows from it. That is decided by gRPC's status, and, where etcd has several refusals
 * for one status, by which of them it is: their texts are part of etcd's protocol (`rpctypes`), and compared whole. Any
 * other word is for people.
 */
import { status } from '@grpc/grpc-js';
import { CLOCK_ADVICE, speaksOfTime } from '../../core/clock-words.ts';
import { OverlaydError } from '../../core/errors.ts';
import { parseHttpUrl } from '../../core/host-port.ts';

/** gRPC's status and what was said with it. */
export class StatusError extends Error {
  readonly code: status;
  readonly details: string;

  constructor(code: status, details: string) {
    super(details);
    this.code = code;
    this.details = details;
  }
}

export const NO_LEADER = 'etcdserver: no leader';
/** Ours: it took what was asked, and has no leader to do it with any more. The leader that is gone may have done it. */
export const LEADER_LOST = 'etcdserver: no leader any more';
/** Ours too: it took what was asked, and none of the others answers. */
export const MAJORITY_LOST = 'etcdserver: no other member answers';
export const LEARNER = 'etcdserver: rpc not supported for learner';
const NO_SPACE = 'etcdserver: mvcc: database space exceeded';
const COMPACTED = 'etcdserver: mvcc: required revision has been compacted';
const LEASE_GONE = 'etcdserver: requested lease not found';
const AUTH_CHANGED = 'etcdserver: revision of auth store is old';
const BUSY = 'etcdserver: too many requests';
const NOT_CAPABLE = 'etcdserver: not capable';
const NO_NAME = 'etcdserver: user name is empty';
/** Of who asks; 3.4 and 3.5.16 say that permission is denied. */
const NO_USER = 'etcdserver: user name not found';
const WRONG_NAME = 'etcdserver: authentication failed, invalid user ID or password';

/** Of changes of the membership alone: not all members have been in touch with each other for five seconds, or have started. */
const UNREADY: readonly string[] = [
  'etcdserver: unhealthy cluster',
  'etcdserver: re-configuration failed due to not enough started members',
];
/** Said before anything was done. */
const NOTHING_DONE: readonly string[] = [NO_LEADER, LEARNER, BUSY, NOT_CAPABLE, AUTH_CHANGED];
/** Another member may do better. */
const UNFIT: readonly string[] = [NO_LEADER, LEARNER, BUSY, NOT_CAPABLE];

/** The connection did not give what was asked: another endpoint, or another time, may. */
const UNANSWERED: readonly status[] = [
  status.UNAVAILABLE,
  status.DEADLINE_EXCEEDED,
  status.CANCELLED,
  status.INTERNAL,
  status.ABORTED,
];
/** What any server may say to what it does not know or allow. It is there. */
const ANSWERS: readonly status[] = [
  status.PERMISSION_DENIED,
  status.UNAUTHENTICATED,
  status.UNIMPLEMENTED,
  status.INVALID_ARGUMENT,
];

/** As grpc-js tells that HTTP/2 did (RFC 9113, 8.7), for the second time: the first time it asks again by itself. Nothing was done. */
const REFUSED_STREAM = 'Stream refused by server';
/** As grpc-js tells, with `UNKNOWN`, that a stream ended before gRPC's own status came: its server went away in the midst. */
const CUT_OFF = 'Received HTTP status code 200';

/** Status of what was thrown, by gRPC or as the cause of one of ours. `UNKNOWN`: it has none. */
export function statusOf(error: unknown): { readonly code: status; readonly details: string } {
  if (error instanceof OverlaydError && error.cause !== undefined) return statusOf(error.cause);
  const { code, details, message } = error as Partial<StatusError>;
  if (code === status.UNKNOWN && details === CUT_OFF) {
    return { code: status.UNAVAILABLE, details: 'the connection ended in the midst of an answer' };
  }
  if (typeof code === 'number') return { code, details: details ?? '' };
  return { code: status.UNKNOWN, details: message ?? String(error) };
}

/** True when it is certain that nothing was done by a call that was sent. */
export function didNothing(error: unknown): boolean {
  const { details } = statusOf(error);
  return NOTHING_DONE.includes(details) || details === REFUSED_STREAM;
}

/** True when asking elsewhere, or again, may go better. */
export function isUnanswered(error: unknown): boolean {
  const { code, details } = statusOf(error);
  return (UNANSWERED.includes(code) && !UNREADY.includes(details)) || NOTHING_DONE.includes(details);
}

/** Users changed while it was asked, as they do again and again while many hosts join: any endpoint does it a moment later. */
export function isAuthChanged(error: unknown): boolean {
  return statusOf(error).details === AUTH_CHANGED;
}

/** True when a call that was sent was not answered, and may have been done or be done yet. */
export function mayHaveHappened(error: unknown): boolean {
  return isUnanswered(error) && !didNothing(error);
}

/** True when nobody can tell now whether a call that was sent has been done. */
export function isMajorityLost(error: unknown): boolean {
  return statusOf(error).details === MAJORITY_LOST;
}

/** True when the connection is of no more use, whatever is asked. */
export function isUnfit(error: unknown): boolean {
  const { code, details } = statusOf(error);
  return (UNANSWERED.includes(code) && !UNREADY.includes(details)) || UNFIT.includes(details);
}

/** True when the server has answered, if only that it does not do this. */
export function isAnswer(error: unknown): boolean {
  return ANSWERS.includes(statusOf(error).code);
}

export function isCompacted(error: unknown): boolean {
  return statusOf(error).details === COMPACTED;
}

/** The lease is not there, or the member that was named. */
export function isNotFound(error: unknown): boolean {
  return statusOf(error).code === status.NOT_FOUND;
}

/** What etcd is asked is not so: it is done already, or cannot be done yet. */
export function isPrecondition(error: unknown): boolean {
  return statusOf(error).code === status.FAILED_PRECONDITION;
}

/** What ends a watch comes as Go prints it: `rpc error: code = PermissionDenied desc = …`. */
export function parseCancelReason(text: string): StatusError {
  const [, name = '', details = text] = /^rpc error: code = (\w+) desc = (.*)$/s.exec(text) ?? [];
  const code = status[name.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase() as keyof typeof status];
  return new StatusError(code ?? status.UNKNOWN, details);
}

/**
 * What etcd or gRPC reported, as ours: `store-unavailable` (retryable) when the endpoint does not answer or has no
 * leader, `store-failed` when repeating the call cannot help until somebody changes something.
 */
export function asStoreError(error: unknown, endpoint: string): OverlaydError {
  if (error instanceof OverlaydError) return error;
  const { code, details } = statusOf(error);
  const store = `etcd at ${endpoint}`;
  const why = reason(details);
  const failed = (message: string) => new OverlaydError('store-failed', message, { cause: error });
  const unavailable = (message: string) =>
    new OverlaydError('store-unavailable', message, { cause: error, retryable: true });

  if (details === NO_SPACE) return failed(describeAlarm('NOSPACE', endpoint));
  if (code === status.DATA_LOSS) return failed(`${describeAlarm('CORRUPT', endpoint)} (${why})`);
  if (isRefusalOfUser(error)) {
    return failed(`${store} refuses our credentials (${why}): give this cluster's user the needed role`);
  }
  if (details === LEASE_GONE) {
    return new OverlaydError('store-failed', `${store} no longer knows the lease: it has expired`, {
      cause: error,
      retryable: true,
    });
  }
  if (UNREADY.includes(details)) {
    return unavailable(`${store} does not change its members now (${why}): are all of them up, for some seconds?`);
  }
  if (NOTHING_DONE.includes(details) || (code === status.UNAVAILABLE && details.startsWith('etcdserver: '))) {
    return unavailable(
      `${store} cannot serve now (${why}): has its cluster a majority of members up? \`overlayd store status\` shows who answers`,
    );
  }
  if (code === status.DEADLINE_EXCEEDED) {
    return unavailable(
      `${store} did not answer in time: is it overloaded, stopped, or cut off by a firewall? \`overlayd store status\` shows who answers`,
    );
  }
  if (!UNANSWERED.includes(code)) return failed(`${store} refused the request: ${why}`);
  const ofTls = code === status.UNAVAILABLE ? explainTls(store, details) : undefined;
  if (ofTls === undefined) {
    return unavailable(`${store} does not answer: ${why}; is it running, is port ${portOf(endpoint)} open?`);
  }
  const retryable = ofTls.code !== 'store-failed';
  return new OverlaydError(ofTls.code, ofTls.message, { cause: error, retryable });
}

/** Who asks may not, or is nobody that etcd knows. */
export function isRefusalOfUser(error: unknown): boolean {
  const { code, details } = statusOf(error);
  if (code === status.PERMISSION_DENIED || code === status.UNAUTHENTICATED) return true;
  return [NO_NAME, NO_USER, WRONG_NAME].includes(details);
}

/** gRPC has one status for all that goes wrong before there is a connection. OpenSSL's words say what does. */
function explainTls(store: string, text: string) {
  const why = reason(text);
  if (speaksOfTime(text)) {
    return { code: 'clock-skew', message: `${store} cannot be reached over TLS (${why}): ${CLOCK_ADVICE}` } as const;
  }
  if (/bad certificate|certificate required|alert number \d+|alert unknown ca|tlsv1.* alert/i.test(text)) {
    const message = `${store} does not accept our TLS certificate (${why}): check the certificate, key and CA, and the clocks of both hosts`;
    return { code: 'store-failed', message } as const;
  }
  if (/certificate|self-signed|altnames?|ERR_TLS|CERT_|wrong version number|\bEPROTO\b/i.test(text)) {
    const message =
      `${store} cannot be trusted over TLS (${why}): check that it speaks TLS, that the CA is the one that ` +
      'signed its certificate, and that the certificate names this address';
    return { code: 'store-failed', message } as const;
  }
  if (/before secure TLS connection was established/.test(text)) {
    const message = `${store} closed the connection during the TLS handshake: does this port speak TLS?`;
    return { code: 'store-unavailable', message } as const;
  }
  return undefined;
}

/** Kinds of alarms, of what a member says of its state: `memberID:1 alarm:NOSPACE `. */
export function alarmsIn(errors: readonly string[]): string[] {
  return [...new Set(errors.flatMap((text) => /alarm:(\w+)/.exec(text)?.[1] ?? []))];
}

/** An alarm that etcd has raised, and what to do. */
export function describeAlarm(alarm: string, endpoint: string): string {
  const store = `etcd at ${endpoint}`;
  if (alarm === 'NOSPACE') {
    return (
      `${store} is out of space (alarm NOSPACE) and refuses writes. Of the bundled one its hosts make room by ` +
      'themselves; compact and defragment one of your own, then run `etcdctl alarm disarm`, or raise its --quota-backend-bytes'
    );
  }
  if (alarm === 'CORRUPT') {
    return `${store} reports corrupt data (alarm CORRUPT) and refuses everything: restore it from a backup`;
  }
  return `${store} has raised the alarm ${alarm}: see \`etcdctl alarm list\``;
}

/**
 * Whether an error is a refusal that stands until somebody does something about the store or our access to it, whatever
 * is asked: alarms, credentials, certificates.
 */
export function isStanding(error: OverlaydError): boolean {
  if (error.code !== 'store-failed' || error.cause === undefined) return false;
  const { code, details } = statusOf(error);
  return (
    details === NO_SPACE || code === status.DATA_LOSS || code === status.UNAVAILABLE || isRefusalOfUser(error.cause)
  );
}

/** Whether somebody is there, who cannot do what is asked. */
export function isThere(failure: OverlaydError): boolean {
  return failure.code !== 'store-unavailable' || UNFIT.includes(statusOf(failure).details);
}

/** Of several endpoints' failures the one that tells most: who has no majority is there, and says why. */
export function mostTelling(failures: readonly OverlaydError[]): OverlaydError {
  const rank = (failure: OverlaydError) => {
    if (UNFIT.includes(statusOf(failure).details)) return 0;
    return failure.code === 'store-unavailable' ? 2 : 1;
  };
  return failures.toSorted((a, b) => rank(a) - rank(b))[0]!;
}

/** Only what says why: without the frame that gRPC puts around a socket error, and the name of who says it. */
function reason(text: string): string {
  const last = /Last error: (?:Error: )?(.*?)\.? ?(?:Resolution note:.*)?$/s.exec(text)?.[1] ?? text;
  if (/ECONNREFUSED/.test(last)) return 'connection refused';
  if (/EHOSTUNREACH|ENETUNREACH/.test(last)) return 'no route to host';
  if (/ENOTFOUND|EAI_AGAIN|name resolution failed/i.test(last)) return 'its name does not resolve';
  return last.replace(/^etcdserver: /, '').trim();
}

function portOf(endpoint: string): number {
  return parseHttpUrl(endpoint)?.port ?? 2379;
}
