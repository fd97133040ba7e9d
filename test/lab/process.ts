import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

/** A finished command. */
export interface Outcome {
  readonly argv: readonly string[];
  /** Exit code; 128 + 9 when it was killed or ran out of time. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly input?: string;
  readonly timeoutMs?: number;
}

const live = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of live) killTree(child.pid);
});

/** Starts a process that dies with this one. */
export function start(argv: readonly string[], options: SpawnOptions): ChildProcess {
  const child = spawn(argv[0]!, argv.slice(1), options);
  live.add(child);
  child.once('exit', () => live.delete(child));
  child.once('error', () => live.delete(child));
  return child;
}

/** Lets the process outlive this one. */
export function letGo(child: ChildProcess): void {
  live.delete(child);
  child.unref();
}

/** Runs a command to its end and never throws for what it answers: look at `code`. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const child = start(argv, {
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: { ...process.env, ...options.env } }),
  });
  let stdout = '';
  let stderr = '';
  child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk;
  });
  child.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
  });
  child.stdin!.on('error', () => undefined);
  child.stdin!.end(options.input ?? '');
  const timeoutMs = options.timeoutMs ?? 120_000;
  const timer = setTimeout(() => {
    stderr += `(no answer within ${timeoutMs} ms, killed)\n`;
    killTree(child.pid);
  }, timeoutMs);
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    return { argv, code: code ?? 137, stdout, stderr };
  } catch (error) {
    return { argv, code: 127, stdout, stderr: `${stderr}${(error as Error).message}\n` };
  } finally {
    clearTimeout(timer);
  }
}

/** The outcome's standard output; throws with everything it said when it failed. */
export function expectSuccess(outcome: Outcome): string {
  if (outcome.code === 0) return outcome.stdout;
  throw new Error(`${outcome.argv.join(' ')}\nended with ${outcome.code}\n${outcome.stdout}${outcome.stderr}`);
}

/** Process ids of the children, as this process sees them. */
export function childrenOf(pid: number): readonly number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(/\s+/).filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

export function killTree(pid: number | undefined): void {
  if (pid === undefined) return;
  for (const child of childrenOf(pid)) killTree(child);
  signal(pid, 'SIGKILL');
}

/** Sends a signal; false when there is no such process. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}
