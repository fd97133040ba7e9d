/**
 * `wireguard-go`, one process for a device. It outlives the agent, in a systemd unit of its own. Who listens at the device's
 * socket is the one, whoever started it: there is no file that could say otherwise.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { access, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { OverlaydError } from '../../core/errors.ts';
import type { Clock } from '../../ports/runtime.ts';
import { moveToOwnUnit, type OwnUnitDeps } from '../own-unit.ts';
import type { Uapi } from './uapi.ts';

export interface WireguardGoDeps extends OwnUnitDeps {
  readonly clock: Clock;
  readonly uapi: Uapi;
}

export interface WireguardGoOptions {
  /** Of its logs. */
  readonly directory: string;
  /** Put before the command: so tests start it in another host. */
  readonly enter: readonly string[];
}

const PROGRAM = 'wireguard-go';
const LOG_LIMIT_BYTES = 4 * 1024 * 1024;
const LOOK_EVERY_MS = 5;
const START_MS = 10_000;
/** It closes its device when it is told to end; what has not ended by then is ended. */
const END_MS = 5_000;

export class WireguardGo {
  readonly #deps: WireguardGoDeps;
  readonly #options: WireguardGoOptions;

  constructor(deps: WireguardGoDeps, options: WireguardGoOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  async isInstalled(): Promise<boolean> {
    return (await this.#find()) !== undefined;
  }

  /**
   * Starts it where none runs. Resolves when it answers: the device is in the host's namespace then. Throws `tool-missing`,
   * `data-path-failed`.
   */
  async start(name: string): Promise<void> {
    const binary = await this.#find();
    if (binary === undefined) throw new OverlaydError('tool-missing', `${PROGRAM} is not on this host`);
    const { clock, uapi } = this.#deps;
    const child = await this.#spawn(binary, name);
    const deadline = clock.elapsed() + START_MS;
    for (;;) {
      const pid = uapi.listener(name);
      if (pid !== undefined) {
        const unit = { name: `overlayd-${name}.scope`, description: `WireGuard of overlayd (${name})` };
        return moveToOwnUnit(this.#deps, unit, pid);
      }
      const ended = child.ended();
      if (ended !== undefined) throw await this.#explain(name, `ended at start (${ended})`);
      if (clock.elapsed() >= deadline) {
        child.end();
        throw await this.#explain(name, `did not answer within ${START_MS / 1_000} s`);
      }
      await clock.sleep(LOOK_EVERY_MS);
    }
  }

  /** Resolves when it has ended, and its device with it; at once where none runs. */
  async stop(name: string): Promise<void> {
    const { clock, uapi, logger } = this.#deps;
    const pid = uapi.listener(name);
    if (pid === undefined) return;
    const [comm, startTime] = await Promise.all([readText(`/proc/${pid}/comm`), readStartTime(pid)]);
    // It was about to end.
    if (startTime === undefined) return;
    if (comm.trim() !== PROGRAM)
      throw failed(`${uapi.path(name)} is held by ${comm.trim()} (pid ${pid}), which is none of overlayd's: end it`);
    const deadline = clock.elapsed() + END_MS;
    end(pid, 'SIGTERM');
    let isForced = false;
    while ((await readStartTime(pid)) === startTime) {
      await clock.sleep(LOOK_EVERY_MS);
      if (isForced || clock.elapsed() < deadline) continue;
      logger.warn({ pid, name }, 'wireguard-go does not end, it is ended by force');
      end(pid, 'SIGKILL');
      isForced = true;
    }
  }

  /** What it leaves behind. */
  async clear(names: readonly string[]): Promise<void> {
    const { uapi } = this.#deps;
    for (const name of names) if (uapi.listener(name) === undefined) await rm(uapi.path(name), { force: true });
    await rm(this.#options.directory, { recursive: true, force: true });
  }

  async #find(): Promise<string | undefined> {
    const directories = [...(process.env.PATH ?? '').split(':').filter((path) => path !== ''), '/usr/bin'];
    for (const path of directories.map((directory) => join(directory, PROGRAM))) {
      const isThere = await access(path, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (isThere) return path;
    }
    return undefined;
  }

  /** In a session of its own, with nothing of our environment but the search path: variables of its own change what it does. */
  async #spawn(binary: string, name: string) {
    const [program = '', ...args] = [...this.#options.enter, binary, '-f', name];
    const log = await this.#openLog(name);
    try {
      const child = spawn(program, args, {
        cwd: '/',
        detached: true,
        stdio: ['ignore', log.fd, log.fd],
        // Without the second it says at length that there is a module for this.
        env: { PATH: process.env.PATH ?? '', WG_PROCESS_FOREGROUND: '1' },
      });
      let ended: string | undefined;
      child.once('exit', (code, signal) => {
        ended = signal ?? `exit code ${code}`;
      });
      await once(child, 'spawn');
      child.unref();
      return { ended: () => ended, end: () => end(child.pid!, 'SIGKILL') };
    } catch (cause) {
      throw failed(`${binary} cannot be started: ${(cause as Error).message}`);
    } finally {
      await log.close();
    }
  }

  #logPath(name: string): string {
    return join(this.#options.directory, `${name}.log`);
  }

  async #openLog(name: string) {
    await mkdir(this.#options.directory, { recursive: true, mode: 0o700 });
    const path = this.#logPath(name);
    const size = await stat(path).then(
      (stats) => stats.size,
      () => 0,
    );
    if (size > LOG_LIMIT_BYTES) await rename(path, `${path}.1`);
    return open(path, 'a', 0o600);
  }

  async #explain(name: string, what: string): Promise<OverlaydError> {
    const path = this.#logPath(name);
    const tail = (await readText(path)).trimEnd().split('\n').slice(-3).join('\n');
    const hint = /create TUN device/i.test(tail) ? ' (is there /dev/net/tun? `modprobe tun` makes it)' : '';
    return failed(`${PROGRAM} of ${name} ${what}${hint}; the end of ${path}:\n${tail}`);
  }
}

function end(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has just ended.
  }
}

function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}

/** Undefined: there is no such process, or only its zombie. */
async function readStartTime(pid: number): Promise<string | undefined> {
  const text = await readText(`/proc/${pid}/stat`);
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return text === '' || fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}

function failed(message: string): OverlaydError {
  return new OverlaydError('data-path-failed', message, { retryable: true });
}
