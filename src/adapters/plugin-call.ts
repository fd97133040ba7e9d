/**
 * A call of a container tool over HTTP: read whole, and answered within a limit, since whoever calls waits while it holds
 * locks of its own.
 */
import type { IncomingMessage, Server } from 'node:http';
import { OverlaydError } from '../core/errors.ts';
import type { Clock } from '../ports/runtime.ts';

const MAX_BODY_BYTES = 1024 * 1024;

export interface CallLimit {
  readonly clock: Clock;
  /** Of the server: whoever is called still has its last words. */
  readonly signal: AbortSignal;
  readonly limitMs: number;
  /** After its signal a handler may still say, by its own error, what it was waiting for. */
  readonly lastWordsMs: number;
  /** The limit is over: what is to be thrown. */
  readonly late: () => OverlaydError;
}

/** The handler's result, if it comes in time. Whatever comes later is of no concern to anybody. */
export async function withinLimit<Result>(
  handle: (signal: AbortSignal) => Promise<Result>,
  { clock, signal, limitMs, lastWordsMs, late }: CallLimit,
): Promise<Result> {
  const call = new AbortController();
  const done = new AbortController();
  const stop = () =>
    call.abort(new OverlaydError('cancelled', 'the overlayd agent stops; try again', { retryable: true }));
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  const result = handle(call.signal);
  result.catch(() => {});
  const limit = clock.sleep(limitMs, AbortSignal.any([done.signal, call.signal])).then(
    () => call.abort(late()),
    () => {},
  );
  const lastWords = limit.then(async () => {
    await clock.sleep(lastWordsMs, done.signal);
    throw call.signal.reason;
  });
  lastWords.catch(() => {});
  try {
    return await Promise.race([result, lastWords]);
  } finally {
    done.abort();
    signal.removeEventListener('abort', stop);
  }
}

export function tookTooLong(what: string, limitMs: number): OverlaydError {
  return new OverlaydError(
    'cancelled',
    `${what} was not done within ${limitMs / 1_000} s and may still be going on: see \`overlayd status\` for what the agent waits for, then try again`,
    { retryable: true },
  );
}

/** Throws `invalid-argument` for more than 1 MiB. */
export async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Without destroying it: the answer goes over the same connection.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new OverlaydError('invalid-argument', `the request is larger than 1 MiB`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Resolves some time after the signal: calls that ran are answered, and the socket is gone when it was ours. */
export async function endBy(
  signal: AbortSignal,
  {
    server,
    remove,
    clock,
    graceMs,
  }: {
    readonly server: Server;
    readonly remove: () => Promise<void>;
    readonly clock: Clock;
    readonly graceMs: number;
  },
): Promise<void> {
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  // Connections that wait to be accepted are the next agent's, where the service manager holds the socket.
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const cut = new AbortController();
  clock.sleep(graceMs, cut.signal).then(
    () => server.closeAllConnections(),
    () => {},
  );
  await closed;
  cut.abort();
  await remove();
}
