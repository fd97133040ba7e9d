/**
 * The etcd process of one directory, whoever started it. It is known by its working directory (device and inode, so
 * that equal paths in other mount namespaces are not taken for it) and its command line; the pid file with the start
 * time makes that quick and tells it from a later process with the same id.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { access, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { OverlaydError } from '../../core/errors.ts';
import type { Clock } from '../../ports/runtime.ts';

export interface ServerProcess {
  readonly pid: number;
  /** `starttime` of `/proc/PID/stat`: clock ticks since boot. */
  readonly startTime: string;
  readonly args: readonly string[];
}

/** A process that we started ourselves; `exited` resolves with how it ended. */
export interface OwnedProcess extends ServerProcess {
  readonly exited: Promise<string>;
  /** Bytes of the log that are of others before it. */
  readonly logStart: number;
}

const LOG_LIMIT_BYTES = 4 * 1024 * 1024;
const STOP_TIMEOUT_MS = 10_000;
const STOP_POLL_MS = 20;
const VERSION_TIMEOUT_MS = 10_000;

/** Of etcd 3.4 to 3.6: told by itself when it applies its removal, or by the others when it calls them after that. */
const REMOVED = 'the member has been permanently removed from the cluster';

export const logPath = (directory: string) => join(directory, 'etcd.log');
const pidPath = (directory: string) => join(directory, 'etcd.pid');

export async function findServer(directory: string): Promise<ServerProcess | undefined> {
  const saved = parsePidFile(await readFile(pidPath(directory), 'utf8').catch(() => ''));
  if (saved !== undefined) {
    const process = await readServer(saved.pid, directory);
    if (process?.startTime === saved.startTime) return process;
  }
  // An agent that died between starting etcd and writing the pid file left one that only a search finds.
  for (const name of await readdir('/proc')) {
    const process = /^\d+$/.test(name) ? await readServer(Number(name), directory) : undefined;
    if (process === undefined) continue;
    await savePid(directory, process);
    return process;
  }
  return undefined;
}

export async function isRunning(process: ServerProcess): Promise<boolean> {
  return (await readStartTime(process.pid)) === process.startTime;
}

/** In a session of its own, with nothing of our environment but the search path: `ETCD_*` would override flags. */
export async function startServer(directory: string, binary: string, args: readonly string[]): Promise<OwnedProcess> {
  const log = await openLog(directory);
  try {
    const { size: logStart } = await log.stat();
    const child = spawn(binary, args, {
      cwd: directory,
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      env: { PATH: process.env.PATH },
    });
    const exited = new Promise<string>((resolve) => {
      child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
    await once(child, 'spawn');
    child.unref();
    const started = { pid: child.pid!, startTime: (await readStartTime(child.pid!)) ?? '', args };
    await savePid(directory, started);
    return { ...started, exited, logStart };
  } catch (cause) {
    throw new OverlaydError('store-failed', `${binary} cannot be started: ${(cause as Error).message}`, { cause });
  } finally {
    await log.close();
  }
}

/** SIGTERM, and SIGKILL when that does not do. Resolves when the process is gone. */
export async function stopServer(directory: string, process_: ServerProcess, clock: Clock): Promise<void> {
  const deadline = clock.elapsed() + STOP_TIMEOUT_MS;
  for (let signal: NodeJS.Signals | undefined = 'SIGTERM'; await isRunning(process_); ) {
    if (signal !== undefined) process.kill(process_.pid, signal);
    await clock.sleep(STOP_POLL_MS);
    signal = clock.elapsed() >= deadline ? 'SIGKILL' : undefined;
  }
  await rm(pidPath(directory), { force: true });
}

/** The `etcd` on PATH, else the usual place. Throws `tool-missing`. */
export async function findBinary(directories: readonly string[] = searchPath()): Promise<string> {
  for (const path of directories.map((directory) => join(directory, 'etcd'))) {
    const executable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (executable) return path;
  }
  throw new OverlaydError(
    'tool-missing',
    'etcd is not installed: install the package etcd-server, or give --etcd URL of an etcd that runs elsewhere',
  );
}

export interface KnownVersion {
  /** Which file said so. */
  readonly of: string;
  readonly version: string | undefined;
}

/** As `etcd --version` says, which is asked once of each file; undefined where there is none, or one that cannot be run. */
export async function readVersion(known?: KnownVersion): Promise<KnownVersion | undefined> {
  try {
    const binary = await findBinary();
    const { ino, mtimeMs, size } = await stat(binary);
    const of = [binary, ino, mtimeMs, size].join(' ');
    if (known?.of === of) return known;
    const { stdout } = await promisify(execFile)(binary, ['--version'], { timeout: VERSION_TIMEOUT_MS });
    return { of, version: /^etcd Version: (\S+)$/m.exec(stdout)?.[1] };
  } catch {
    return undefined;
  }
}

/** Whether a server was ever a member with what is in the directory: it has a write-ahead log. */
export async function hasData(directory: string): Promise<boolean> {
  const files = await readdir(join(directory, 'data', 'member', 'wal')).catch((): string[] => []);
  return files.some((name) => name.endsWith('.wal'));
}

function searchPath(): string[] {
  return [...(process.env.PATH ?? '').split(':').filter((path) => path !== ''), '/usr/bin'];
}

/** The last lines of the log, as they are. */
export async function readLogTail(directory: string, lines: number): Promise<string> {
  const text = await readFile(logPath(directory), 'utf8').catch(() => '');
  return text.trimEnd().split('\n').slice(-lines).join('\n');
}

/** Whether the process said, before it ended, that the others have removed this member. */
export async function saysRemoved(directory: string, { logStart }: OwnedProcess): Promise<boolean> {
  const log = await readFile(logPath(directory)).catch(() => Buffer.alloc(0));
  return log.subarray(logStart).includes(REMOVED);
}

async function openLog(directory: string) {
  const path = logPath(directory);
  const size = await stat(path).then(
    (stats) => stats.size,
    () => 0,
  );
  if (size > LOG_LIMIT_BYTES) await rename(path, `${path}.1`);
  return open(path, 'a', 0o600);
}

async function savePid(directory: string, { pid, startTime }: ServerProcess): Promise<void> {
  await writeFile(pidPath(directory), `${pid} ${startTime}\n`, { mode: 0o600 });
}

function parsePidFile(text: string): { readonly pid: number; readonly startTime: string } | undefined {
  const match = /^(\d+) (\d+)\n$/.exec(text);
  return match === null ? undefined : { pid: Number(match[1]), startTime: match[2]! };
}

async function readServer(pid: number, directory: string): Promise<ServerProcess | undefined> {
  try {
    const [binary = '', ...args] = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').slice(0, -1);
    if (!binary.endsWith('etcd') || !args.includes('--data-dir')) return undefined;
    const [theirs, ours] = await Promise.all([stat(`/proc/${pid}/cwd`), stat(directory)]);
    if (theirs.dev !== ours.dev || theirs.ino !== ours.ino) return undefined;
    const startTime = await readStartTime(pid);
    return startTime === undefined ? undefined : { pid, startTime, args };
  } catch {
    return undefined; // gone meanwhile, or not ours to look at
  }
}

/** Undefined: there is no such process, or only its zombie. */
async function readStartTime(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' '); // from field 3, the state, on
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}
