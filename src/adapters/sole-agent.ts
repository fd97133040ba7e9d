/**
 * One agent at a time works with a data directory, and one with a run directory. It holds a lock of each (flock(2), of the
 * directory itself, so that nothing is left there), which ends with its process. Whether somebody answers at the control
 * socket is not enough: two that start at once both find nobody, and one that stops answers no more and still writes.
 */
import { closeSync, fstatSync, mkdirSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { OverlaydError } from '../core/errors.ts';
import type { Clock } from '../ports/runtime.ts';
import { tryLock } from './native/file-lock.ts';

export interface AgentDirectories {
  readonly dataDir: string;
  readonly runDir: string;
}

export interface SoleAgentDeps {
  /** Throws where another one answers already: that one is not waited for. */
  readonly refuse: () => Promise<void>;
  readonly clock: Pick<Clock, 'elapsed' | 'sleep'>;
}

interface Directory {
  readonly path: string;
  /** Of one that is made. */
  readonly mode: number;
  /** With which another one is chosen. */
  readonly option: string;
}

/** One that is told to end takes 8 s at most. */
const WAIT_MS = 10_000;
const AGAIN_MS = 50;
const NO_LOCKS = ['ENOLCK', 'ENOSYS', 'EOPNOTSUPP'];

/**
 * Resolves with what gives them back. Makes them where they are not there. Throws `conflict`, `config-invalid`, and what
 * `refuse` does.
 */
export async function beSoleAgent(
  { dataDir, runDir }: AgentDirectories,
  { refuse, clock }: SoleAgentDeps,
): Promise<() => void> {
  const directories: readonly Directory[] = [
    { path: dataDir, mode: 0o700, option: '--data-dir' },
    { path: runDir, mode: 0o755, option: '--run-dir' },
  ];
  const held = new Map<string, number>();
  const giveBack = () => {
    for (const fd of held.values()) closeSync(fd);
    held.clear();
  };
  try {
    await refuse();
    const deadline = clock.elapsed() + WAIT_MS;
    for (const directory of directories) {
      const fd = open(directory);
      const identity = identityOf(fd);
      // Both may be one.
      if (held.has(identity)) {
        closeSync(fd);
        continue;
      }
      held.set(identity, fd);
      while (!isOurs(fd)) {
        if (clock.elapsed() >= deadline) throw await conflict(directory, identity);
        await clock.sleep(AGAIN_MS);
        await refuse();
      }
    }
    return giveBack;
  } catch (error) {
    giveBack();
    throw error;
  }
}

function open({ path, mode, option }: Directory): number {
  try {
    mkdirSync(path, { recursive: true, mode });
    return openSync(path, 'r');
  } catch (cause) {
    const { message } = cause as Error;
    throw new OverlaydError('config-invalid', `${path} cannot be used (${message}); set ${option}`, { cause });
  }
}

/** Some file systems know no locks: there the control socket alone has to do. */
function isOurs(fd: number): boolean {
  try {
    return tryLock(fd);
  } catch (error) {
    if (NO_LOCKS.includes((error as NodeJS.ErrnoException).code ?? '')) return true;
    throw error;
  }
}

function identityOf(fd: number): string {
  const { dev, ino } = fstatSync(fd, { bigint: true });
  return `${dev}:${ino}`;
}

async function conflict({ path, option }: Directory, identity: string): Promise<OverlaydError> {
  const pid = await holderOf(identity);
  const who = pid === undefined ? 'another agent' : `another agent (pid ${pid})`;
  return new OverlaydError(
    'conflict',
    `${who} works with ${path}; stop it first (\`systemctl stop overlayd\`), or set ${option}`,
  );
}

/** proc_locks(5): `1: FLOCK  ADVISORY  WRITE 4711 fd:00:1234 0 EOF`. The device is said in another way than stat(2) does. */
async function holderOf(identity: string): Promise<number | undefined> {
  const inode = identity.slice(identity.indexOf(':') + 1);
  const locks = await readFile('/proc/locks', 'utf8').catch(() => '');
  for (const line of locks.split('\n')) {
    const [, kind, , , pid, where] = line.split(/\s+/);
    if (kind === 'FLOCK' && where?.split(':')[2] === inode && Number(pid) > 0) return Number(pid);
  }
  return undefined;
}
