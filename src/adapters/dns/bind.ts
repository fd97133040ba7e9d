/** Sockets bound in another network namespace, by a child that enters it (see `binder.ts`). */
import { fork } from 'node:child_process';
import type { Socket } from 'node:dgram';
import type { Socket as Connection, Server } from 'node:net';
import { OverlaydError } from '../../core/errors.ts';

export interface BoundSockets {
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

/** Rejects with `tool-missing` without nsenter, with `data-path-failed` (retryable) when the address cannot be bound. */
export function bindInNamespace(namespacePath: string, address: string, options: BindOptions): Promise<BoundSockets> {
  return new Promise((resolve, reject) => {
    // the agent's own environment (NODE_OPTIONS, loaders) is none of the child's business
    const child = fork(options.binderPath, [address, String(options.port)], {
      execPath: 'nsenter',
      execArgv: [`--net=${namespacePath}`, options.nodePath],
      env: { PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin' },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let udp: Socket | undefined;
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
      if (message.socket === 'udp') udp = handle as Socket;
      if (udp === undefined || tcp === undefined) return;
      // the caller listens before this turn ends, so no question goes unheard
      tcp.off('connection', refuse);
      resolve({ udp, tcp });
      child.disconnect();
    });
    child.on('error', (cause: NodeJS.ErrnoException) => {
      clearTimeout(deadline);
      if (cause.code === 'ENOENT') {
        reject(new OverlaydError('tool-missing', 'nsenter is not installed; install util-linux', { cause }));
      } else reject(failure(namespacePath, address, cause.message, cause));
    });
    child.on('exit', () => clearTimeout(deadline));
    // later than `exit`: what it wrote on its standard error is complete
    child.on('close', () => {
      if (udp !== undefined && tcp !== undefined) return;
      udp?.close();
      tcp?.close();
      reject(failure(namespacePath, address, problem.trim() || 'the binding process ended early'));
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
