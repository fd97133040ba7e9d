/** The process itself: its start, and its end by force. Who holds the lock is the one. */
import { spawn } from 'node:child_process';
import { readdir, readFile, stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProgramStart } from './wire.ts';

/** Exit code: another one holds the lock. */
const LOCKED = 3;
const ENDED_WITHIN_MS = 5_000;
const LOOK_EVERY_MS = 10;

export interface StartedProgram {
  readonly pid: number;
  /** In words, how it ended; `locked`: another one runs. */
  ended(): string | undefined;
}

/** In a session of its own, with nothing of our environment, files or directory: it outlives us. */
export function startProgram(program: ProgramStart): StartedProgram {
  const child = spawn(program.nodePath, [...program.flags, program.programPath, ...program.arguments], {
    cwd: '/',
    detached: true,
    env: programEnvironment(),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let ended: string | undefined;
  let words = '';
  child.on('error', (error) => {
    ended = error.message;
  });
  // Not there when there are no descriptors left.
  const stderr = child.stderr as (Readable & { unref?(): void }) | undefined;
  stderr?.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(0, 500);
  });
  child.on('close', (code, signal) => {
    ended ??= code === LOCKED ? 'locked' : `it ended with ${code ?? signal}${words === '' ? '' : `: ${words.trim()}`}`;
  });
  child.unref();
  stderr?.unref?.();
  return { pid: child.pid ?? 0, ended: () => ended };
}

/** mallopt(3): one arena, for it is one thread that allocates; its limits stay what they are at first, as the agent's. */
const MALLOC = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_TRIM_THRESHOLD_: '131072',
  MALLOC_MMAP_THRESHOLD_: '131072',
} as const;

export function programEnvironment(): Readonly<Record<string, string>> {
  return { PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin', ...MALLOC };
}

/** Process id of who holds the lock; undefined: nobody does, or it is just starting. */
export async function findHolder(lockPath: string): Promise<number | undefined> {
  const pid = Number(await readFile(lockPath, 'utf8').catch(() => ''));
  return Number.isInteger(pid) && pid > 0 && (await holds(pid, lockPath)) ? pid : undefined;
}

/** Ends that process by force where it is the holder, and waits until it has ended. Returns whether it was. */
export async function endHolder(lockPath: string, pid: number): Promise<boolean> {
  if ((await findHolder(lockPath)) !== pid) return false;
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has just ended.
  }
  await untilEnded(pid);
  return true;
}

/** Resolves when what the process had open is closed, or after some seconds. */
export async function untilEnded(pid: number): Promise<void> {
  for (let waitedMs = 0; waitedMs < ENDED_WITHIN_MS && !(await hasEnded(pid)); waitedMs += LOOK_EVERY_MS) {
    await sleep(LOOK_EVERY_MS);
  }
}

/** The last of its threads closes the files; of a process without any, its first one is left until its parent hears of it. */
async function hasEnded(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  if (stat === undefined) return true;
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  return threads.length <= 1 && /\) [ZX] [^)]*$/.test(stat);
}

/** Another process may have got the id since the file was written. */
async function holds(pid: number, lockPath: string): Promise<boolean> {
  const folder = `/proc/${pid}/fd`;
  const descriptors = await readdir(folder).catch(() => []);
  const [lock, ...open] = await Promise.all(
    [lockPath, ...descriptors.map((each) => `${folder}/${each}`)].map(identityOf),
  );
  return lock !== undefined && open.includes(lock);
}

async function identityOf(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found && `${found.dev}:${found.ino}`;
}
