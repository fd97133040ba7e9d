/** The agent's end of `control-call.ts`: the same handlers as gRPC's, by the Connect protocol over HTTP/1. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { asOverlaydError, OverlaydError } from '../../core/errors.ts';
import { ControlService } from '../../gen/overlayd/v1/control.ts';
import { listenOn } from '../plugin-socket.ts';
import {
  CODE_HEADER,
  ENVELOPE_BYTES,
  enveloped,
  LAST,
  MAX_MESSAGE_BYTES,
  type Method,
  RETRYABLE_HEADER,
  STREAM_TYPE,
  type StreamEnd,
  UNARY_TYPE,
} from './control-method.ts';
import { connectStatus } from './error.ts';

/** Runs a method; what it throws reaches the caller with its code. */
export type CallRunner = (
  method: Method,
  request: unknown,
  emit: ((event: unknown) => Promise<void>) | undefined,
  caller: Caller,
) => Promise<unknown>;

export interface Caller {
  /** Aborts when the caller is gone. */
  readonly gone: AbortSignal;
  /** Of its trace. */
  readonly traceparent: string | undefined;
}

type Codec = {
  readonly responseStream: boolean;
  readonly requestDeserialize: (bytes: Buffer) => unknown;
  readonly responseSerialize: (value: unknown) => Buffer;
};

const METHODS = new Map(
  (Object.keys(ControlService) as Method[]).map((method) => [ControlService[method].path as string, method]),
);

/** Resolves when it listens; `close` takes no more calls, and resolves when those that run have ended. Throws `config-invalid`, `conflict`. */
export async function serveCalls(
  run: CallRunner,
  { path, mode }: { readonly path: string; readonly mode: number },
): Promise<{ readonly close: () => Promise<void> }> {
  const server = createServer((request, response) => {
    answer(run, request, response).catch(() => response.destroy());
  });
  // Whoever may call may do everything, and a call takes as long as it takes.
  server.requestTimeout = 0;
  const remove = await listenOn(server, { path }, { mode, option: '--run-dir' });
  return {
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      await Promise.all([closed, remove()]);
    },
  };
}

async function answer(run: CallRunner, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const method = METHODS.get(request.url ?? '');
  if (request.method !== 'POST' || method === undefined) {
    response.writeHead(request.url === '/ping' ? 200 : 404, { Connection: 'close', 'Content-Length': 0 }).end();
    return;
  }
  const codec = ControlService[method] as unknown as Codec;
  const type = codec.responseStream ? STREAM_TYPE : UNARY_TYPE;
  const { 'content-type': given, 'content-encoding': packed = 'identity', traceparent } = request.headers;
  if (given !== type || packed !== 'identity') {
    response.writeHead(415, { Connection: 'close', 'Accept-Post': type, 'Content-Length': 0 }).end();
    return;
  }
  const gone = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) gone.abort(new OverlaydError('cancelled', 'the caller went away'));
  });
  const caller: Caller = { gone: gone.signal, traceparent: traceparent && String(traceparent) };
  if (codec.responseStream) return stream(run, method, codec, { request, response, caller });
  try {
    const asked = decoded(codec, await read(request));
    const body = codec.responseSerialize(await run(method, asked, undefined, caller));
    response.writeHead(200, { ...headersOf(UNARY_TYPE), 'Content-Length': body.length }).end(body);
  } catch (thrown) {
    const { code, message, retryable } = asOverlaydError(thrown);
    const body = JSON.stringify({ code: connectStatus(code).name, message });
    response.writeHead(connectStatus(code).http, {
      ...headersOf('application/json'),
      ...{ [CODE_HEADER]: code, [RETRYABLE_HEADER]: String(retryable) },
      'Content-Length': Buffer.byteLength(body),
    });
    response.end(body);
  }
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly caller: Caller;
}

async function stream(run: CallRunner, method: Method, codec: Codec, { request, response, caller }: Exchange) {
  const { gone } = caller;
  const emit = async (event: unknown) => {
    if (gone.aborted || response.write(enveloped(codec.responseSerialize(event)))) return;
    await once(response, 'drain', { signal: gone }).catch(() => undefined);
  };
  let end: StreamEnd = {};
  try {
    const asked = decoded(codec, opened(await read(request)));
    response.writeHead(200, headersOf(STREAM_TYPE));
    response.flushHeaders();
    await run(method, asked, emit, caller);
  } catch (thrown) {
    const { code, message, retryable } = asOverlaydError(thrown);
    end = { error: { code, message, retryable } };
  }
  response.end(enveloped(Buffer.from(JSON.stringify(end)), LAST));
}

/** Of the one message of a request; nothing is compressed here. */
function opened(envelope: Buffer): Buffer {
  const isWhole = envelope.length >= ENVELOPE_BYTES && envelope.length === ENVELOPE_BYTES + envelope.readUInt32BE(1);
  if (isWhole && envelope.readUInt8(0) === 0) return envelope.subarray(ENVELOPE_BYTES);
  throw new OverlaydError('invalid-argument', 'the request is not one whole message');
}

/** Half a request is no request for what was left out. */
function decoded({ requestDeserialize }: Codec, bytes: Buffer): unknown {
  try {
    return requestDeserialize(bytes);
  } catch (cause) {
    throw new OverlaydError('invalid-argument', `the request is no message: ${(cause as Error).message}`, { cause });
  }
}

function headersOf(type: string) {
  return { 'Content-Type': type, Connection: 'close' } as const;
}

async function read(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > MAX_MESSAGE_BYTES) throw new OverlaydError('invalid-argument', 'the request is too large');
    parts.push(part);
  }
  return Buffer.concat(parts);
}
