/**
 * Joining, as seen by the host that wants in. A first TLS connection only reads the chain that is presented: unless
 * the CA with the token's digest is in it and has signed the member's certificate, nothing more is said. The request
 * with the secret then goes over a second connection that trusts this one CA and asks for `join.overlayd`, whatever
 * name or address was dialled. Keepers alone have that name. Another member is asked where they are, by the name that it has, and
 * told nothing.
 */
import { createHash, X509Certificate } from 'node:crypto';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type DetailedPeerCertificate, type TLSSocket } from 'node:tls';
import { credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { asOverlaydError, type ErrorCode, OverlaydError } from '../../core/errors.ts';
import { formatHostPort, parseHostPort } from '../../core/host-port.ts';
import { JoinClient as Client, type JoinRequest as WireRequest } from '../../gen/overlayd/v1/join.ts';
import type { JoinClient, JoinRequest, JoinResponse } from '../../ports/join.ts';
import type { Clock } from '../../ports/runtime.ts';
import { decodeError, unreachable } from './error.ts';

const NAME = 'join.overlayd';
const CONNECT_MS = 3_000;
/** For the whole attempt, admission included. */
const TOTAL_MS = 5_000;
const MAX_MESSAGE_BYTES = 256 * 1024;
/** Of the keepers that a member names. */
const MOST_TRIED = 3;
/** What may be otherwise at the next keeper. */
const ELSEWHERE: ReadonlySet<ErrorCode> = new Set(['ca-mismatch', 'keeper-unreachable', 'peer-unreachable']);
const SECRET_KEPT = "the token's secret was not sent";

export interface Target {
  readonly host: string;
  readonly port: number;
}

export function createJoinClient(clock: Clock): JoinClient {
  return {
    join: (target, caDigest, request) => join(clock, target, caDigest, request),
    isMember: (target, caDigest, nodeId) => isMember(clock, target, caDigest, nodeId),
    probe,
  };
}

/** `sentBy`: a member that is no keeper. */
async function join(
  clock: Clock,
  target: Target,
  caDigest: string,
  request: JoinRequest,
  sentBy?: Target,
): Promise<JoinResponse> {
  const deadline = Date.now() + TOTAL_MS;
  const { address, chain } = await readChain(target);
  const ca = pinnedCa(chain, caDigest, target);
  const name = checkLeaf(chain[0]!, ca, clock.now(), target);
  const called = { host: address, port: target.port };
  if (name === NAME) {
    return requestAdmission(called, ca, request, deadline).catch((error) => {
      throw toJoinError(error, target);
    });
  }
  if (sentBy !== undefined) {
    throw new OverlaydError('ca-mismatch', `${where(target)}, where ${where(sentBy)} sends this host, is no keeper`);
  }
  const { keepers } = await askWhere(called, { ca, name, deadline }).catch((error) => {
    throw toJoinError(error, target);
  });
  return joinAt(clock, keepers, target, caDigest, request);
}

async function isMember(clock: Clock, target: Target, caDigest: string, nodeId: string): Promise<boolean | undefined> {
  const deadline = Date.now() + TOTAL_MS;
  const { address, chain } = await readChain(target);
  const ca = pinnedCa(chain, caDigest, target);
  const name = checkLeaf(chain[0]!, ca, clock.now(), target);
  // What another member says may be anything.
  if (name !== NAME) return undefined;
  const called = { host: address, port: target.port };
  const told = await askWhere(called, { ca, name, deadline }, nodeId).catch((error) => {
    throw toJoinError(error, target);
  });
  return told.isMember;
}

/** The first of the keepers that does. */
async function joinAt(
  clock: Clock,
  keepers: readonly Target[],
  sentBy: Target,
  caDigest: string,
  request: JoinRequest,
): Promise<JoinResponse> {
  const failures: string[] = [];
  for (const keeper of keepers.slice(0, MOST_TRIED)) {
    try {
      return await join(clock, keeper, caDigest, request, sentBy);
    } catch (thrown) {
      const { code, message } = asOverlaydError(thrown);
      if (!ELSEWHERE.has(code)) throw thrown;
      failures.push(message);
    }
  }
  const why =
    failures.length > 0 ? `and of those that do none is reached (${failures.join('; ')})` : 'and knows of none';
  throw unreachable(`${where(sentBy)} is no keeper and lets no host in, ${why}`, undefined);
}

/** The certificates that the endpoint presents, its own first, and the IP address that answered. */
async function readChain(target: Target): Promise<{ address: string; chain: X509Certificate[] }> {
  const signal = AbortSignal.timeout(CONNECT_MS);
  const tcp = await connect(target, signal);
  const address = tcp.remoteAddress ?? target.host;
  // Nothing is trusted yet: the chain is judged by the token's digest, and by TLS itself on the next connection.
  const tls = connectTls({ socket: tcp, servername: NAME, ALPNProtocols: ['h2'], rejectUnauthorized: false });
  try {
    await opened(tls, 'secureConnect', signal);
    return { address, chain: chainOf(tls) };
  } catch (cause) {
    throw unreachable(`${where(target)} accepts connections and ${problemOf(cause, signal.aborted)}`, cause);
  } finally {
    tls.destroy();
  }
}

function problemOf(cause: unknown, timedOut: boolean): string {
  if (timedOut) return `does not answer; ${CHECK_PORT}`;
  // Node.js says the first, a reset is the second.
  const closed = /was closed|disconnected before secure|ECONNRESET/.test((cause as Error).message);
  return closed ? `closes them at once; ${CHECK_PORT} ${TOO_OFTEN}` : `answers, but not with TLS; ${CHECK_PORT}`;
}

const TOO_OFTEN = 'One does that when this address has tried wrong tokens or connects too often: wait a minute.';
const CHECK_PORT = 'is that the join port (2377 unless chosen otherwise) of an overlayd member?';

function chainOf(tls: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  const seen = new Set<string>();
  let next: DetailedPeerCertificate | undefined = tls.getPeerCertificate(true);
  while (next?.raw !== undefined && !seen.has(next.fingerprint256)) {
    seen.add(next.fingerprint256);
    chain.push(new X509Certificate(next.raw));
    next = next.issuerCertificate;
  }
  return chain;
}

function pinnedCa(chain: readonly X509Certificate[], caDigest: string, target: Target): X509Certificate {
  const digests = chain.map(({ raw }) => createHash('sha256').update(raw).digest('hex'));
  const pinned = chain[digests.indexOf(caDigest)];
  if (pinned?.ca) return pinned;
  const other = chain.findLast(({ ca, subject }) => ca && subject.startsWith('CN=overlayd CA '));
  const problem =
    other === undefined
      ? `${where(target)} is no overlayd member, its certificate is for ${chain[0]?.subject ?? 'nobody'}; ${CHECK_PORT}`
      : `${where(target)} belongs to another cluster than the token (its CA is ${short(other)}, the token wants ` +
        `${caDigest.slice(0, 16)}…), or its CA was replaced since (overlayd ca rotate), or somebody answers in its place; take a new token from a member of this cluster`;
  throw new OverlaydError('ca-mismatch', `${problem}; ${SECRET_KEPT}`);
}

function short(certificate: X509Certificate): string {
  return `${createHash('sha256').update(certificate.raw).digest('hex').slice(0, 16)}…`;
}

/** The name that it has: a keeper's, or that of the node. */
function checkLeaf(leaf: X509Certificate, ca: X509Certificate, now: number, target: Target): string {
  const own = `${/^CN=([0-9a-z]+)$/.exec(leaf.subject)?.[1]}.node.overlayd`;
  const name = [NAME, own].find((each) => leaf.checkHost(each) !== undefined);
  if (!leaf.checkIssued(ca) || !leaf.verify(ca.publicKey) || name === undefined) {
    const problem = `${where(target)} shows the cluster's CA, but no certificate that it signed for a member`;
    throw new OverlaydError('ca-mismatch', `${problem}; somebody answers in its place? ${SECRET_KEPT}`);
  }
  const here = `this host's clock says ${new Date(now).toISOString()}`;
  if (now < leaf.validFromDate.getTime()) {
    const from = leaf.validFromDate.toISOString();
    throw new OverlaydError(
      'clock-skew',
      `${here}, but the member's certificate is valid from ${from} on; set the clock (NTP) and join again`,
    );
  }
  if (now > leaf.validToDate.getTime()) {
    const to = leaf.validToDate.toISOString();
    throw new OverlaydError(
      'clock-skew',
      `${here}, but the member's certificate ended at ${to}; set this clock (NTP), or restart the member's agent`,
    );
  }
  return name;
}

function openClient(target: Target, ca: X509Certificate, name: string): Client {
  return new Client(where(target), credentials.createSsl(Buffer.from(ca.toString())), {
    'grpc.ssl_target_name_override': name,
    'grpc.default_authority': name,
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.enable_http_proxy': 0,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.service_config_disable_resolution': 1,
  });
}

interface Told {
  readonly keepers: readonly Target[];
  readonly isMember: boolean | undefined;
}

function askWhere(
  target: Target,
  { ca, name, deadline }: { readonly ca: X509Certificate; readonly name: string; readonly deadline: number },
  nodeId = '',
): Promise<Told> {
  const client = openClient(target, ca, name);
  const { promise, resolve, reject } = Promise.withResolvers<Told>();
  client.where({ nodeId }, new Metadata(), { deadline }, (error, response) => {
    if (error !== null) return reject(error);
    const told = response.keepers.map((text) => parseHostPort(text));
    const keepers = told.flatMap((each) => (each?.port === undefined ? [] : [{ host: each.host, port: each.port }]));
    resolve({ keepers, isMember: response.isMember });
  });
  return promise.finally(() => client.close());
}

function requestAdmission(target: Target, ca: X509Certificate, request: JoinRequest, deadline: number) {
  const client = openClient(target, ca, NAME);
  const { promise, resolve, reject } = Promise.withResolvers<JoinResponse>();
  client.join(toWire(request), new Metadata(), { deadline }, (error, response) => {
    if (error !== null) return reject(error);
    if (response.store === undefined) return reject(new OverlaydError('internal', 'the admission lacks the store'));
    resolve({ ...response, store: response.store });
  });
  return promise.finally(() => client.close());
}

function toWire(request: JoinRequest): WireRequest {
  return {
    ...request,
    hostRoutes: [...request.hostRoutes],
    linkRoutes: [...request.linkRoutes],
    neededAddresses: [...request.neededAddresses],
    labels: { ...request.labels },
    ownAddresses: [...request.ownAddresses],
  };
}

function toJoinError(error: ServiceError, target: Target): OverlaydError {
  if (error instanceof OverlaydError) return error;
  const coded = decodeError(error);
  if (coded !== undefined) return coded;
  switch (error.code) {
    case status.DEADLINE_EXCEEDED:
      return unreachable(
        `${where(target)} did not decide in time, its etcd may be slow or down; join again, it is safe to repeat`,
        error,
      );
    case status.UNIMPLEMENTED:
    case status.UNAVAILABLE:
      return unreachable(`${where(target)} is a member, but does not admit there; ${CHECK_PORT}`, error);
    default:
      return asOverlaydError(error);
  }
}

async function probe(host: string, port: number, timeoutMs: number): Promise<string | undefined> {
  try {
    (await connect({ host, port }, AbortSignal.timeout(timeoutMs))).destroy();
    return undefined;
  } catch (error) {
    return asOverlaydError(error).message;
  }
}

/** A TCP connection. Throws `peer-unreachable` with the cause in words. */
async function connect(target: Target, signal: AbortSignal): Promise<Socket> {
  const socket = connectTcp({ host: target.host, port: target.port });
  try {
    await opened(socket, 'connect', signal);
    return socket;
  } catch (cause) {
    socket.destroy();
    throw unreachable(explain(cause as NodeJS.ErrnoException, signal.aborted, target), cause);
  }
}

function explain(cause: NodeJS.ErrnoException, timedOut: boolean, target: Target): string {
  const { host, port } = target;
  if (timedOut || cause.code === 'ETIMEDOUT') {
    return `no answer from ${where(target)}: the host is down or ${port}/tcp is filtered on the way; open it in the firewalls`;
  }
  switch (cause.code) {
    case 'ECONNREFUSED':
      return `${where(target)} refuses connections: nothing listens on ${port}/tcp; is the agent running there, and is the port right?`;
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return `no route to ${where(target)}: the host is down, or this host has no way there; check the address and the routes`;
    case 'ECONNRESET':
      return `${where(target)} closes connections at once; ${CHECK_PORT} ${TOO_OFTEN}`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `${host} does not resolve to an address; give the member's IP address instead`;
    default:
      return `cannot connect to ${where(target)}: ${cause.message}`;
  }
}

/** Waits for `event`; rejects on error, on an early end, and when the signal aborts. */
async function opened(socket: Socket, event: 'connect' | 'secureConnect', signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const abort = () => reject(signal.reason);
  const closed = () => reject(new Error('the connection was closed'));
  socket.once(event, () => resolve());
  // Stays after the wait, so that a late error does not end the process.
  socket.on('error', reject);
  socket.once('close', closed);
  signal.addEventListener('abort', abort, { once: true });
  try {
    await promise;
  } finally {
    signal.removeEventListener('abort', abort);
    socket.removeListener('close', closed);
  }
}

function where({ host, port }: Target): string {
  return formatHostPort(host, port);
}
