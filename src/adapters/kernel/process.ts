/**
 * One process from its start to its end, with all that it wrote. Used by the spawner, and by the agent when that is not
 * there: the same code, so the same outcome. Plain `node:child_process`, for the spawner has to stay small.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readSync, unlinkSync } from 'node:fs';

export interface ProcessRequest {
  readonly argv: readonly string[];
  readonly input: string;
  /** What it writes to its standard output is of no interest. */
  readonly quiet?: boolean;
  readonly limitMs: number;
  /** Thousands of lines may come: they go through a file. */
  readonly large?: boolean;
}

export type ProcessEnd =
  | { readonly how: 'exited'; readonly code: number; readonly stdout: string; readonly stderr: string }
  | { readonly how: 'not-started'; readonly code: string; readonly cause: string }
  /** By somebody else; or nobody knows, for the spawner ended. */
  | { readonly how: 'killed'; readonly by: string }
  | { readonly how: 'timed-out' }
  | { readonly how: 'cancelled' };

export type RunProcess = (request: ProcessRequest, signal: AbortSignal | undefined) => Promise<ProcessEnd>;

/** The kernel's words are matched: they must not be translated. */
export const ENVIRONMENT = { PATH: process.env.PATH, LC_ALL: 'C' };

/** Never rejects. A process that is told to end is waited for. */
export const runProcess: RunProcess = ({ argv, input, limitMs, large, quiet }, signal) => {
  const { promise, resolve } = Promise.withResolvers<ProcessEnd>();
  const [file = '', ...args] = argv;
  const output = large ? openOutput() : undefined;
  let child: ChildProcess;
  try {
    // Each pipe costs a tenth of the whole start.
    const stdio = [input === '' ? 'ignore' : 'pipe', quiet ? 'ignore' : (output?.fd ?? 'pipe'), 'pipe'] as const;
    child = spawn(file, args, { env: ENVIRONMENT, stdio: [...stdio] });
  } catch (error) {
    output?.take();
    return Promise.resolve(notStarted(error as NodeJS.ErrnoException));
  }
  child.on('error', (error) => {
    if (child.pid === undefined) resolve(notStarted(error));
  });
  // Without a process there may be no pipes either.
  if (child.pid === undefined) {
    output?.take();
    return promise;
  }

  const stdout = output?.take ?? gather(child.stdout);
  const stderr = gather(child.stderr);
  // A program may end without having read everything.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input);
  let stopped: ProcessEnd | undefined;
  const stop = (how: 'timed-out' | 'cancelled') => {
    stopped ??= { how };
    child.kill('SIGKILL');
  };
  const limit = setTimeout(() => stop('timed-out'), limitMs);
  const onAbort = () => stop('cancelled');
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted) onAbort();
  child.on('close', (code, by) => {
    clearTimeout(limit);
    signal?.removeEventListener('abort', onAbort);
    const written = stdout();
    if (stopped) resolve(stopped);
    else if (code === null) resolve({ how: 'killed', by: by ?? 'a signal' });
    else resolve({ how: 'exited', code, stdout: written, stderr: stderr() });
  });
  return promise;
};

function gather(stream: ChildProcess['stdout']): () => string {
  const chunks: Buffer[] = [];
  stream?.on('data', (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks).toString();
}

/**
 * iproute2 writes each row by itself, and whoever reads a pipe is woken for each: ten thousand rows cost the reader as
 * much as they cost the writer. A file is read once. Without one a pipe does as well.
 */
function openOutput(): { readonly fd: number; readonly take: () => string } | undefined {
  lastOutput += 1;
  const path = `/run/.overlayd-output-${process.pid}-${lastOutput}`;
  let fd: number;
  try {
    fd = openSync(path, 'wx+', 0o600);
  } catch {
    return undefined;
  }
  unlinkSync(path);
  const take = () => {
    try {
      const bytes = Buffer.allocUnsafe(fstatSync(fd).size);
      return bytes.toString('utf8', 0, readSync(fd, bytes, 0, bytes.length, 0));
    } finally {
      closeSync(fd);
    }
  };
  return { fd, take };
}

let lastOutput = 0;

function notStarted(error: NodeJS.ErrnoException): ProcessEnd {
  return { how: 'not-started', code: error.code ?? '', cause: error.message };
}
