import { CLOCK_ADVICE, speaksOfTime } from '../../core/clock-words.ts';
import { OverlaydError } from '../../core/errors.ts';
import { parseHttpUrl } from '../../core/host-port.ts';

/** True when the call never left this host, so that it certainly did not happen and may go to another endpoint. */
export function wasNeverSent(error: unknown): boolean {
  return /no connection established|name resolution failed|already closed/i.test(textOf(error));
}

export function isCompacted(error: unknown): boolean {
  return /required revision has been compacted/.test(textOf(error));
}

/**
 * What etcd or gRPC reported, as ours: `store-unavailable` (retryable) when the endpoint does not answer or has no
 * leader, `store-failed` when repeating the call cannot help until somebody changes something.
 */
export function asStoreError(error: unknown, endpoint: string): OverlaydError {
  if (error instanceof OverlaydError) return error;
  const text = textOf(error);
  const store = `etcd at ${endpoint}`;
  const failed = (message: string) => new OverlaydError('store-failed', message, { cause: error });
  const unavailable = (message: string) =>
    new OverlaydError('store-unavailable', message, { cause: error, retryable: true });

  if (/database space exceeded/.test(text)) return failed(describeAlarm('NOSPACE', endpoint));
  if (/data corruption|corrupt cluster/i.test(text)) {
    return failed(`${describeAlarm('CORRUPT', endpoint)} (${reason(text)})`);
  }
  if (/permission denied|user name is empty|invalid auth token|authentication failed|UNAUTHENTICATED/i.test(text)) {
    return failed(`${store} refuses our credentials (${reason(text)}): give this cluster's user the needed role`);
  }
  if (speaksOfTime(text)) {
    const message = `${store} cannot be reached over TLS (${reason(text)}): ${CLOCK_ADVICE}`;
    return new OverlaydError('clock-skew', message, { cause: error, retryable: true });
  }
  if (/bad certificate|certificate required|alert number \d+|alert unknown ca|tlsv1.* alert/i.test(text)) {
    return failed(
      `${store} does not accept our TLS certificate (${reason(text)}): check the certificate, key and CA, and the clocks of both hosts`,
    );
  }
  if (/certificate|self-signed|altnames?|ERR_TLS|CERT_|wrong version number|\bEPROTO\b/i.test(text)) {
    return failed(
      `${store} cannot be trusted over TLS (${reason(text)}): check that it speaks TLS, that the CA is the one that ` +
        'signed its certificate, and that the certificate names this address',
    );
  }
  if (/requested lease not found/.test(text)) {
    return new OverlaydError('store-failed', `${store} no longer knows the lease: it has expired`, {
      cause: error,
      retryable: true,
    });
  }
  if (/DEADLINE_EXCEEDED/.test(text)) {
    return unavailable(`${store} did not answer in time: is it overloaded, stopped, or cut off by a firewall?`);
  }
  if (/no leader|leader changed|lost leader|request timed out|too many requests|not capable/.test(text)) {
    return unavailable(`${store} cannot serve now (${reason(text)}): has its cluster a majority of members up?`);
  }
  if (/before secure TLS connection was established/.test(text)) {
    return unavailable(`${store} closed the connection during the TLS handshake: does this port speak TLS?`);
  }
  if (/UNAVAILABLE|CANCELLED|INTERNAL|ABORTED|already closed|stream was unexpectedly ended/.test(text)) {
    return unavailable(`${store} does not answer: ${reason(text)}; is it running, is port ${portOf(endpoint)} open?`);
  }
  return failed(`${store} refused the request: ${reason(text)}`);
}

/** An alarm that etcd has raised, and what to do. */
export function describeAlarm(alarm: string, endpoint: string): string {
  const store = `etcd at ${endpoint}`;
  if (alarm === 'NOSPACE') {
    return (
      `${store} is out of space (alarm NOSPACE) and refuses writes: compact and defragment it, then run ` +
      '`etcdctl alarm disarm`, or raise its --quota-backend-bytes'
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
  return error.code === 'store-failed' && /\(alarm |credentials|TLS/.test(error.message);
}

/** Only what says why: without the class name, the gRPC status, and the frame that gRPC puts around a socket error. */
function reason(text: string): string {
  const last = /Last error: (?:Error: )?(.*?)\.? ?(?:Resolution note:.*)?$/s.exec(text)?.[1] ?? text;
  const plain = last.replace(/^\w*Error: /, '').replace(/^(?:\d+|rpc) [A-Z_]+: /, '');
  if (/ECONNREFUSED/.test(plain)) return 'connection refused';
  if (/EHOSTUNREACH|ENETUNREACH/.test(plain)) return 'no route to host';
  if (/ENOTFOUND|EAI_AGAIN|name resolution failed/i.test(plain)) return 'its name does not resolve';
  return plain.replace(/^etcdserver: /, '').trim();
}

/** What ends a watch comes in Go's words, `rpc error: code = PermissionDenied desc = …`: then as `rpc PERMISSION_DENIED: …`. */
function textOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/^rpc error: code = (\w+) desc = /, (_, code: string) => {
    return `rpc ${code.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase()}: `;
  });
}

function portOf(endpoint: string): number {
  return parseHttpUrl(endpoint)?.port ?? 2379;
}
