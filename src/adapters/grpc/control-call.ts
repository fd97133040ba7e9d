/**
 * The command's calls of the control service without gRPC: the Connect protocol (connectrpc.com/docs/protocol) over HTTP/1.0 on a
 * Unix socket of its own, one connection a call. A command lives for some 40 ms, of which gRPC with HTTP/2 and TLS below it took a
 * quarter to be loaded. Needs nothing but sockets.
 */
import { connect, type Socket } from 'node:net';
import { isOverlaydError, OverlaydError } from '../../core/errors.ts';
import { type ClusterEvent, type ClusterResult, ControlService } from '../../gen/overlayd/v1/control.ts';
import type { Tracer } from '../../ports/telemetry.ts';
import type { ControlClient } from './control.ts';
import {
  ANSWER_MS,
  codedError,
  deaf,
  notReached,
  PATIENCE,
  type Patience,
  tookTooLong,
  unknownRequest,
  wentAway,
} from './control-failure.ts';
import {
  CODE_HEADER,
  callsPath,
  ENVELOPE_BYTES,
  enveloped,
  LAST,
  type Method,
  RETRYABLE_HEADER,
  STREAM_TYPE,
  type StreamEnd,
  TELLING,
  UNARY_TYPE,
} from './control-method.ts';

const HEAD_END = '\r\n\r\n';

type Codec = {
  readonly path: string;
  readonly responseStream: boolean;
  readonly requestSerialize: (value: unknown) => Buffer;
  readonly responseDeserialize: (value: Buffer) => unknown;
};

interface Way extends Pick<CallOptions, 'older' | 'tracer'> {
  /** Of the control service; the calls' own is beside it. */
  readonly socketPath: string;
  readonly patience: Patience;
  /** What is to be ended when the client is closed. */
  readonly open: Set<() => void>;
}

export interface CallOptions {
  /** By gRPC, of an agent of an older release. */
  readonly older: () => Promise<ControlClient>;
  readonly patience?: Patience;
  /** Each call is a span, and the agent goes on with its trace. */
  readonly tracer?: Tracer | undefined;
}

/** As `createControlClient`. */
export function createCallClient(socketPath: string, { patience = PATIENCE, ...options }: CallOptions): ControlClient {
  const way: Way = { socketPath, patience, ...options, open: new Set() };
  const methods = (Object.keys(ControlService) as Method[]).map((method) => [method, callOf(way, method)]);
  const close = () => {
    for (const end of way.open) end();
  };
  return { ...Object.fromEntries(methods), close };
}

type Call = (request: unknown, listen: (told: unknown) => void, signal?: AbortSignal) => Promise<unknown>;

function callOf(way: Way, method: Method): Call {
  const codec = ControlService[method] as unknown as Codec;
  return async (request, listen, signal) => {
    const socket = await reach(way);
    if (socket === undefined) return askOlder(way, method, request, listen, signal);
    if (TELLING.includes(method)) return hearUntil(signal, socket, () => hear(way, socket, codec, request, listen));
    const task = () =>
      codec.responseStream ? follow(way, socket, codec, request, listen) : ask(way, socket, codec, request);
    const span = { name: codec.path.slice(1), kind: 'client', attributes: {}, begins: true } as const;
    return way.tracer?.span<unknown>(span, task) ?? task();
  };
}

/** Undefined where the agent takes no calls but by gRPC. Throws `agent-not-running`, `permission-denied`. */
async function reach({ socketPath, open }: Way): Promise<Socket | undefined> {
  const socket = await connected(callsPath(socketPath)).catch(() => undefined);
  if (socket === undefined) {
    const other = await connected(socketPath).catch((error: NodeJS.ErrnoException) => {
      throw notReached(socketPath, error.code, error) ?? wentAway(error.message, error);
    });
    other.destroy();
    return undefined;
  }
  const end = () => void socket.destroy();
  open.add(end);
  socket.once('close', () => open.delete(end));
  return socket;
}

function connected(path: string): Promise<Socket> {
  const socket = connect(path);
  return new Promise((resolve, reject) => socket.once('error', reject).once('connect', () => resolve(socket)));
}

/** It is of another bundle, and its errors of another class. */
async function askOlder({ older, open }: Way, method: Method, ...asked: Parameters<Call>) {
  const client = (await older()) as unknown as Record<string, Call> & { close(): void };
  const end = () => client.close();
  open.add(end);
  try {
    return await client[method]!(...asked);
  } catch (error) {
    if (isOverlaydError(error) || (error as Error).name !== 'OverlaydError') throw error;
    const { code, message, retryable } = error as OverlaydError;
    throw new OverlaydError(code, message, { cause: error, retryable });
  } finally {
    open.delete(end);
    end();
  }
}

async function ask(way: Way, socket: Socket, codec: Codec, request: unknown): Promise<unknown> {
  const parts: Buffer[] = [];
  const head = await exchange(way, socket, codec, codec.requestSerialize(request), UNARY_TYPE, (part) =>
    parts.push(part),
  );
  const body = Buffer.concat(parts);
  if (body.length !== Number(head.headers.get('content-length'))) throw wentAway('its answer ends too early');
  if (head.status !== 200) throw failureOf(head, body);
  return codec.responseDeserialize(body);
}

async function follow(
  way: Way,
  socket: Socket,
  codec: Codec,
  request: unknown,
  onProgress: (text: string) => void,
): Promise<ClusterResult> {
  let result: ClusterResult | undefined;
  await hear(way, socket, codec, request, (told) => {
    const { event } = told as ClusterEvent;
    if (event?.$case === 'progress') onProgress(event.value);
    if (event?.$case === 'result') result = event.value;
  });
  if (result !== undefined) return result;
  throw new OverlaydError('internal', 'the agent ended without a result; its log says why');
}

/** A signal that aborts ends it, and is no failure. */
async function hearUntil(signal: AbortSignal | undefined, socket: Socket, task: () => Promise<void>): Promise<void> {
  const abort = () => socket.destroy();
  if (signal?.aborted) abort();
  signal?.addEventListener('abort', abort, { once: true });
  try {
    await task();
  } catch (error) {
    if (!signal?.aborted) throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

async function hear(way: Way, socket: Socket, codec: Codec, request: unknown, onTold: (told: unknown) => void) {
  let rest: Buffer = Buffer.alloc(0);
  let end: StreamEnd | undefined;
  const take = (part: Buffer) => {
    rest = rest.length === 0 ? part : Buffer.concat([rest, part]);
    while (rest.length >= ENVELOPE_BYTES && rest.length >= ENVELOPE_BYTES + rest.readUInt32BE(1)) {
      const message = rest.subarray(ENVELOPE_BYTES, ENVELOPE_BYTES + rest.readUInt32BE(1));
      const isLast = (rest.readUInt8(0) & LAST) !== 0;
      rest = rest.subarray(ENVELOPE_BYTES + message.length);
      if (isLast) end = JSON.parse(message.toString('utf8')) as StreamEnd;
      else onTold(codec.responseDeserialize(message));
    }
  };
  const head = await exchange(way, socket, codec, enveloped(codec.requestSerialize(request)), STREAM_TYPE, take);
  if (head.status !== 200) throw failureOf(head, rest);
  if (end === undefined) throw wentAway('its answer ends too early');
  if (end.error) throw codedError(end.error.code, end.error.message, end.error.retryable);
}

interface Head {
  readonly status: number;
  /** By name, in small letters. */
  readonly headers: ReadonlyMap<string, string>;
}

/** Resolves when the answer is whole. Rejects when it does not come, in words that say what to do. */
async function exchange(
  way: Way,
  socket: Socket,
  { path, responseStream }: Codec,
  body: Buffer,
  type: string,
  onBody: (part: Buffer) => void,
): Promise<Head> {
  const { promise, resolve, reject } = Promise.withResolvers<Head>();
  let head: Head | undefined;
  let start: Buffer = Buffer.alloc(0);
  socket.on('data', (part: Buffer) => {
    try {
      if (head) return onBody(part);
      start = Buffer.concat([start, part]);
      const end = start.indexOf(HEAD_END);
      if (end < 0) return;
      head = parseHead(start.toString('latin1', 0, end));
      if (start.length > end + HEAD_END.length) onBody(start.subarray(end + HEAD_END.length));
    } catch (error) {
      reject(error as Error);
    }
  });
  // Whether the answer is whole its length tells.
  socket.on('error', (error) => head ?? reject(wentAway(error.message, error)));
  socket.on('close', () => (head ? resolve(head) : reject(wentAway('it hung up'))));
  const limit = responseStream ? undefined : setTimeout(() => reject(tookTooLong()), ANSWER_MS);
  const pings = setInterval(
    () => void ping(way).then((isThere) => isThere || reject(deaf(way.socketPath))),
    way.patience.pingMs,
  );
  const traceparent = way.tracer?.here();
  const trace = traceparent === undefined ? '' : `traceparent: ${traceparent}\r\n`;
  const request = `POST ${path} HTTP/1.0\r\nHost: agent\r\nContent-Type: ${type}\r\nConnect-Protocol-Version: 1\r\n${trace}Content-Length: ${body.length}${HEAD_END}`;
  // At once: of what comes later the agent may have no need any more.
  socket.write(Buffer.concat([Buffer.from(request), body]));
  try {
    return await promise;
  } finally {
    clearTimeout(limit);
    clearInterval(pings);
    socket.destroy();
  }
}

function parseHead(text: string): Head {
  const [first = '', ...lines] = text.split('\r\n');
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(first)?.[1]);
  if (!(status >= 200)) throw wentAway('its answer is not HTTP');
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  return { status, headers: new Map(headers) };
}

function failureOf({ status, headers }: Head, body: Buffer): OverlaydError {
  const code = headers.get(CODE_HEADER);
  if (code === undefined) return status === 404 ? unknownRequest() : new OverlaydError('internal', `status ${status}`);
  const { message } = JSON.parse(body.toString('utf8')) as { message: string };
  return codedError(code, message, headers.get(RETRYABLE_HEADER) === 'true');
}

/** Whether the agent answers anything at all, within its time. An open socket says nothing: the kernel takes connections for it. */
async function ping({ socketPath, patience }: Way): Promise<boolean> {
  const socket = connect(callsPath(socketPath));
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const limit = setTimeout(() => resolve(false), patience.pingMs);
  socket.once('data', () => resolve(true));
  socket.on('error', () => resolve(false));
  socket.write(`GET /ping HTTP/1.0${HEAD_END}`);
  try {
    return await promise;
  } finally {
    clearTimeout(limit);
    socket.destroy();
  }
}
