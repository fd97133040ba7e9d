/** Sockets bound in another network namespace, by a child that enters it (see `binder.ts`). */
import { fork } from 'node:child_process';
import type { Socket } from 'node:dgram';
import type { Socket as Connection, Server } from 'node:net';
import { OverlaydError } from '../../core/errors.ts';
import { endLeftovers, holderOf } from './leftovers.ts';

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
 * ends hears every question. What a binder of a killed agent holds there is freed. Rejects with `tool-missing` without
 * setpriv, with `data-path-failed` (retryable) at the first address that cannot be bound.
 */
export async function bindInNamespace(
  namespacePath: string,
  addresses: readonly string[],
  options: BindOptions,
  onBound: (sockets: BoundSockets) => void,
): Promise<void> {
  const left = [...addresses];
  const bind = () =>
    bindAll(namespacePath, left, options, (sockets) => {
      left.shift();
      onBound(sockets);
    });
  let problem = await bind();
  if (problem === 'EADDRINUSE' && (await endLeftovers(namespacePath, options.binderPath, options.port)))
    problem = await bind();
  if (problem === undefined) return;
  const words = problem === 'EADDRINUSE' ? await inUse(namespacePath, left[0]!, options.port) : problem;
  throw new OverlaydError(
    'data-path-failed',
    `cannot listen for DNS on ${left[0]} in ${namespacePath}: ${words}; it is tried again when the network is next set up`,
    { retryable: true },
  );
}

async function inUse(namespacePath: string, address: string, port: number): Promise<string> {
  const holder = await holderOf(namespacePath, address, port);
  return holder === undefined
    ? `port ${port} is in use there`
    : `port ${port} is held there by ${holder}, which has to end`;
}

/** Resolves with what stood in the way, or nothing. */
function bindAll(
  namespacePath: string,
  addresses: readonly string[],
  options: BindOptions,
  onBound: (sockets: BoundSockets) => void,
): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    // the agent's own environment (NODE_OPTIONS, loaders) is none of the child's business
    const child = fork(options.binderPath, [String(options.port), ...addresses], {
      // It must not outlive the agent: it would keep the ports.
      execPath: 'setpriv',
      execArgv: ['--pdeathsig', 'KILL', 'nsenter', `--net=${namespacePath}`, options.nodePath],
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
      resolve(undefined);
      child.disconnect();
    });
    child.on('error', (cause: NodeJS.ErrnoException) => {
      clearTimeout(deadline);
      if (cause.code === 'ENOENT') {
        reject(new OverlaydError('tool-missing', 'setpriv is not installed; install util-linux', { cause }));
      } else resolve(cause.message);
    });
    child.on('exit', () => clearTimeout(deadline));
    // later than `exit`: what it wrote on its standard error is complete
    child.on('close', () => {
      if (left.length === 0) return;
      tcp?.close();
      resolve(problem.trim() || 'the binding process ended early');
    });
  });
}

/** A client so early that nobody is there yet tries again. */
function refuse(connection: Connection): void {
  connection.resetAndDestroy();
}
