/**
 * The control service on a Unix socket. Whoever may write to the socket may do everything: its mode and its group are the
 * access control. A socket that is left from a crash is replaced; one that somebody answers on is not.
 */
import { once } from 'node:events';
import { chmod, chown, lstat, mkdir, readFile, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import type {
  ServerUnaryCall,
  ServerWritableStream,
  sendUnaryData,
  UntypedHandleCall,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { asOverlaydError, OverlaydError } from '../../core/errors.ts';
import { SILENT, type Telemetry } from '../../core/telemetry.ts';
import { ControlService } from '../../gen/overlayd/v1/control.ts';
import type { Logger } from '../../ports/runtime.ts';
import { type Caller, type CallRunner, serveCalls } from './control-call-server.ts';
import {
  callsPath,
  MAX_MESSAGE_BYTES,
  type Method,
  type RequestOf,
  type ResponseOf,
  type StreamMethod,
} from './control-method.ts';
import { encodeError } from './error.ts';
import { createServer, listen } from './server.ts';

/** `signal` aborts when the caller is gone. `emit` resolves when there is room for more. What is thrown reaches the caller with its code. */
export type ControlHandlers = {
  readonly [M in Method]: M extends StreamMethod
    ? (request: RequestOf<M>, emit: (event: ResponseOf<M>) => Promise<void>, signal: AbortSignal) => Promise<void>
    : (request: RequestOf<M>, signal: AbortSignal) => Promise<ResponseOf<M>>;
};

const MODE = 0o660;
const STOP_MS = 2_000;
const GROUP = 'overlayd';
const LISTENING: Method = 'followEvents';

/**
 * Resolves when it listens. When the signal aborts it takes no more calls; those that run get a moment, then their
 * signal. The logger hears of failures that nobody foresaw. Throws `conflict`, `config-invalid`.
 */
export async function serveControl(
  handlers: ControlHandlers,
  options: {
    readonly socketPath: string;
    readonly logger: Logger;
    /** A call is not handled before that. */
    readonly ready?: ((method: Method) => Promise<void>) | undefined;
    readonly telemetry?: Telemetry | undefined;
  },
  signal: AbortSignal,
): Promise<void> {
  const { socketPath } = options;
  await prepare(socketPath);
  const server = createServer({ messageBytes: MAX_MESSAGE_BYTES });
  const ending = new AbortController();
  const run = runner(handlers, ending.signal, options);
  server.addService(ControlService, implement(run));
  await listen(server, { path: socketPath, option: '--run-dir' });
  await chmod(socketPath, MODE);
  const calls = await serveCalls(run, { path: callsPath(socketPath), mode: MODE });
  for (const path of [socketPath, callsPath(socketPath)]) await giveToGroup(path, options.logger);
  const stop = () => {
    const timer = setTimeout(() => ending.abort(new OverlaydError('cancelled', 'the agent stops')), STOP_MS);
    const ended = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
    void Promise.allSettled([ended, calls.close()]).then(() => clearTimeout(timer));
  };
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
}

/** A group of the host that may use it, which the package makes. */
async function giveToGroup(socketPath: string, logger: Logger): Promise<void> {
  const groups = await readFile('/etc/group', 'utf8').catch(() => '');
  const id = groupId(groups, GROUP);
  if (id === undefined) return;
  await chown(socketPath, -1, id).catch((error: unknown) => {
    logger.warn({ group: GROUP, error }, 'the control socket could not be given to its group');
  });
}

/** Out of group(5). */
export function groupId(groups: string, name: string): number | undefined {
  const line = groups.split('\n').find((each) => each.startsWith(`${name}:`));
  const id = line?.split(':')[2] ?? '';
  return /^\d+$/.test(id) ? Number(id) : undefined;
}

async function prepare(socketPath: string): Promise<void> {
  await mkdir(dirname(socketPath), { recursive: true });
  const found = await lstat(socketPath).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new OverlaydError('config-invalid', `${socketPath} exists and is no socket; move it away, or set --run-dir`);
  }
  await refuseSecond(socketPath);
  await unlink(socketPath);
}

/** Throws `conflict` where an agent answers already. */
export async function refuseSecond(socketPath: string): Promise<void> {
  if (!(await answers(socketPath))) return;
  throw new OverlaydError(
    'conflict',
    `another agent answers on ${socketPath}; stop it first (\`systemctl stop overlayd\`), or set --run-dir`,
  );
}

async function answers(socketPath: string): Promise<boolean> {
  const socket = connect(socketPath);
  try {
    await once(socket, 'connect');
    return true;
  } catch (error) {
    return !['ECONNREFUSED', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '');
  } finally {
    socket.destroy();
  }
}

type AnyHandler = (request: unknown, ...rest: unknown[]) => Promise<unknown>;
type Call = ServerUnaryCall<unknown, unknown> | ServerWritableStream<unknown, unknown>;

/** Whichever way a call comes. */
function runner(
  handlers: ControlHandlers,
  ending: AbortSignal,
  { logger, ready, telemetry = SILENT }: Pick<Parameters<typeof serveControl>[1], 'logger' | 'ready' | 'telemetry'>,
): CallRunner {
  return async (method, request, emit, { gone: callerGone, traceparent }) => {
    const gone = AbortSignal.any([callerGone, ending]);
    const answer = () => (handlers[method] as AnyHandler)(request, ...(emit ? [emit] : []), gone);
    try {
      await ready?.(method);
      gone.throwIfAborted();
      // How long somebody listens is no duration of ours.
      if (method === LISTENING) return await answer();
      return await telemetry.within(traceparent, () => telemetry.run('control', { method }, answer));
    } catch (thrown) {
      if (asOverlaydError(thrown).code === 'internal') logger.error({ method, error: thrown }, 'request failed');
      throw thrown;
    }
  };
}

function implement(run: CallRunner): UntypedServiceImplementation {
  const methods = Object.entries(ControlService).map(([name, { responseStream }]): [string, UntypedHandleCall] => {
    const answer: Run = (call, emit) => run(name as Method, call.request, emit, callerOf(call));
    return [name, responseStream ? streaming(answer) : unary(answer)];
  });
  return Object.fromEntries(methods);
}

type Run = (call: Call, emit?: (event: unknown) => Promise<void>) => Promise<unknown>;

function unary(run: Run): UntypedHandleCall {
  return (call: ServerUnaryCall<unknown, unknown>, callback: sendUnaryData<unknown>) => {
    run(call).then(
      (response) => callback(null, response),
      (thrown) => callback(encodeError(thrown)),
    );
  };
}

function streaming(run: Run): UntypedHandleCall {
  return (call: ServerWritableStream<unknown, unknown>) => {
    const emit = async (event: unknown) => {
      if (!call.cancelled && !call.write(event)) await drained(call);
    };
    run(call, emit).then(
      () => call.end(),
      (thrown) => call.emit('error', encodeError(thrown)),
    );
  };
}

async function drained(call: ServerWritableStream<unknown, unknown>): Promise<void> {
  const settled = new AbortController();
  const { signal } = settled;
  try {
    await Promise.race([once(call, 'drain', { signal }), once(call, 'cancelled', { signal })]);
  } finally {
    settled.abort();
  }
}

function callerOf(call: Call): Caller {
  const gone = new AbortController();
  call.on('cancelled', () => gone.abort(new OverlaydError('cancelled', 'the caller went away')));
  return { gone: gone.signal, traceparent: call.metadata.get('traceparent')[0]?.toString() };
}
