/** Sockets bound in another network namespace, by a child that enters it (see `binder.ts`). */
import { fork } from 'node:child_process';
import type { Socket } from 'node:dgram';
import type { Socket as Connection, Server } from 'node:net';
import { OverlaydError } from '../../core/errors.ts';

export interface BoundSockets {
  readonly address: string;
  readonly udp: Socket;
  readonly tcp: Server;
}

export interface BindOptions {
  /** The `binder` program, as source (`.ts`) or bundled. */
  readonly binderPath: string;
  /** The Node executable that runs it. */
  readonly nodePath: string;
  readonly port: number;
}

const DEADLINE_MS = 10_000;

/**
 * Binds one address after the other, each told to `onBound` in the turn in which it is: who listens before that turn
 * ends hears every question. Rejects with `tool-missing` without nsenter, with `data-path-failed` (retryable) at the
 * first address that cannot be bound.
 */
export function bindInNamespace(
  namespacePath: string,
  addresses: readonly string[],
  options: BindOptions,
  onBound: (sockets: BoundSockets) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    // the agent's own environment (NODE_OPTIONS, loaders) is none of the child's business
    const child = fork(options.binderPath, [String(options.port), ...addresses], {
      execPath: 'nsenter',
      execArgv: [`--net=${namespacePath}`, options.nodePath],
      env: { PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin' },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    const left = [...addresses];
    let tcp: Server | undefined;
    let problem = '';
    const deadline = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS);
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      problem = (problem + text).slice(0, 500);
    });
    child.on('message', (message: { socket?: 'udp' | 'tcp'; error?: string }, handle) => {
      if (message.error !== undefined) problem = message.error;
      if (message.socket === 'tcp') {
        tcp = handle as Server;
        tcp.on('connection', refuse);
        child.send('next');
      }
      if (message.socket !== 'udp' || tcp === undefined) return;
      tcp.off('connection', refuse);
      onBound({ address: left.shift()!, udp: handle as Socket, tcp });
      tcp = undefined;
      if (left.length > 0) return;
      resolve();
      child.disconnect();
    });
    child.on('error', (cause: NodeJS.ErrnoException) => {
      clearTimeout(deadline);
      if (cause.code === 'ENOENT') {
        reject(new OverlaydError('tool-missing', 'nsenter is not installed; install util-linux', { cause }));
      } else reject(failure(namespacePath, left[0]!, cause.message, cause));
    });
    child.on('exit', () => clearTimeout(deadline));
    // later than `exit`: what it wrote on its standard error is complete
    child.on('close', () => {
      if (left.length === 0) return;
      tcp?.close();
      reject(failure(namespacePath, left[0]!, problem.trim() || 'the binding process ended early'));
    });
  });
}

/** A client so early that nobody is there yet tries again. */
function refuse(connection: Connection): void {
  connection.resetAndDestroy();
}

function failure(namespacePath: string, address: string, problem: string, cause?: unknown): OverlaydError {
  return new OverlaydError(
    'data-path-failed',
    `cannot listen for DNS on ${address} in ${namespacePath}: ${problem}; it is tried again when the network is next set up`,
    { cause, retryable: true },
  );
}
