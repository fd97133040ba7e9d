/**
 * The bundled etcd of this host. It is started once and outlives the agent: a restarted agent adopts it. While it is our
 * own child its death is noticed at once; an adopted one is looked at when the store stalls. While it is wanted and does
 * not run it is tried again. A server that runs with
 * other arguments or another CA than it should is replaced; a renewed certificate is only put in place, etcd reads it
 * at every handshake.
 */
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { OverlaydError } from '../../core/errors.ts';
import { parseHostPort } from '../../core/host-port.ts';
import type { TlsMaterial } from '../../ports/identity.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { EtcdServer } from '../../ports/store.ts';
import { moveToOwnUnit, type OwnUnitDeps } from '../own-unit.ts';
import { findPortOwner } from '../port-owner.ts';
import { replaceFile } from '../state-file.ts';
import { openClient } from './client.ts';
import {
  CA_FILE,
  CERTIFICATE_FILE,
  formatClientUrl,
  KEY_FILE,
  renderServerArguments,
  type ServerPorts,
} from './server-arguments.ts';
import {
  findBinary,
  findServer,
  isRunning,
  logPath,
  type OwnedProcess,
  readLogTail,
  type ServerProcess,
  startServer,
  stopServer,
} from './server-process.ts';
import { asStoreError } from './store-error.ts';

export interface BundledEtcdDeps extends OwnUnitDeps {
  readonly clock: Clock;
}

export interface BundledEtcdOptions {
  /** The agent's; the server gets `etcd` below it. */
  readonly dataDir: string;
  /** Default 2379 and 2380. */
  readonly ports?: ServerPorts;
}

/** In every node's certificate. */
const SERVER_NAME = 'etcd.overlayd';
const UNIT = { name: 'overlayd-etcd.scope', description: 'etcd of overlayd' };
const READY_TIMEOUT_MS = 20_000;
const READY_POLL_MS = 50;
const FIRST_RESTART_MS = 500;
const LAST_RESTART_MS = 30_000;

interface Wanted {
  readonly args: readonly string[];
  readonly material: TlsMaterial;
}

export function createBundledEtcd(deps: BundledEtcdDeps, options: BundledEtcdOptions): EtcdServer {
  return new BundledEtcd(deps, options);
}

class BundledEtcd implements EtcdServer {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #unit: OwnUnitDeps;
  readonly #directory: string;
  readonly #ports: ServerPorts;
  #wanted: Wanted | undefined;
  #process: ServerProcess | undefined;
  #quit = new AbortController();
  #reviving = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(deps: BundledEtcdDeps, options: BundledEtcdOptions) {
    this.#clock = deps.clock;
    this.#logger = deps.logger.child({ part: 'etcd-server' });
    this.#unit = { run: deps.run, logger: this.#logger };
    this.#directory = join(options.dataDir, 'etcd');
    this.#ports = options.ports ?? { client: 2379, peer: 2380 };
  }

  ensure(advertiseAddress: string, material: TlsMaterial): Promise<{ readonly endpoints: readonly string[] }> {
    return this.#serially(async () => {
      const args = renderServerArguments(this.#directory, advertiseAddress, this.#ports);
      if (this.#quit.signal.aborted) this.#quit = new AbortController();
      this.#wanted = { args, material };
      await this.#run(this.#wanted);
      return { endpoints: [formatClientUrl(advertiseAddress, this.#ports.client)] };
    });
  }

  async check(): Promise<void> {
    if (this.#wanted !== undefined && !(await this.#isUp())) await this.#revive(this.#quit.signal);
  }

  stop(): Promise<void> {
    return this.#serially(async () => {
      this.release();
      const running = await findServer(this.#directory);
      if (running !== undefined) await stopServer(this.#directory, running, this.#clock);
      this.#process = undefined;
    });
  }

  async remove(): Promise<void> {
    await this.stop();
    // Gone as a whole, at once: what is deleted in part would start as another, empty cluster.
    const deleted = `${this.#directory}.deleted`;
    await rm(deleted, { recursive: true, force: true });
    await rename(this.#directory, deleted).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    await rm(deleted, { recursive: true, force: true });
  }

  release(): void {
    this.#wanted = undefined;
    this.#quit.abort();
  }

  async #run(wanted: Wanted): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const sameCa = (await this.#readText(CA_FILE)) === wanted.material.caCertificate;
    await this.#writeMaterial(wanted.material);

    let running = await findServer(this.#directory);
    if (running !== undefined && !(sameCa && sameItems(running.args, wanted.args))) {
      this.#logger.info({ pid: running.pid }, 'etcd runs with other settings, replacing it');
      this.#process = undefined;
      await stopServer(this.#directory, running, this.#clock);
      running = undefined;
    }
    if (running !== undefined) {
      this.#logger.info({ pid: running.pid }, 'etcd runs already');
      // Our own child stays the object that is supervised.
      if (this.#process === undefined || !isSame(this.#process, running)) this.#process = running;
      await moveToOwnUnit(this.#unit, UNIT, running.pid);
      return this.#untilReady(running, wanted);
    }
    const started = await startServer(this.#directory, await findBinary(), wanted.args);
    this.#process = started;
    try {
      await moveToOwnUnit(this.#unit, UNIT, started.pid);
      await this.#untilReady(started, wanted, started.exited);
      this.#logger.info({ pid: started.pid, log: logPath(this.#directory) }, 'etcd started');
    } finally {
      // Also one that is not ready yet (a long log to replay): its end must not go unnoticed.
      if (await isRunning(started)) void this.#supervise(started, this.#quit.signal);
    }
  }

  async #supervise(owned: OwnedProcess, signal: AbortSignal): Promise<void> {
    const reason = await owned.exited;
    if (signal.aborted || this.#process !== owned) return;
    this.#logger.error({ pid: owned.pid, reason, log: logPath(this.#directory) }, 'etcd ended');
    await this.#clock.sleep(FIRST_RESTART_MS, signal).catch(() => undefined);
    await this.#revive(signal);
  }

  /** Starts it when it does not run, again and again until it does or is not wanted any more. */
  async #revive(signal: AbortSignal): Promise<void> {
    if (this.#reviving) return;
    this.#reviving = true;
    let told = '';
    for (let delayMs = FIRST_RESTART_MS; !signal.aborted; delayMs = Math.min(LAST_RESTART_MS, delayMs * 2)) {
      try {
        await this.#serially(async () => {
          if (this.#wanted === undefined || (await this.#isUp())) return;
          if (told === '') this.#logger.warn({}, 'etcd is not running, starting it');
          await this.#run(this.#wanted);
        });
        break;
      } catch (error) {
        const { message } = error as Error;
        if (message !== told) this.#logger.error({ error }, 'etcd does not start, trying again');
        told = message;
        await this.#clock.sleep(delayMs, signal).catch(() => undefined);
      }
    }
    this.#reviving = false;
  }

  async #isUp(): Promise<boolean> {
    return this.#process !== undefined && (await isRunning(this.#process));
  }

  /** Until it answers a read that needs a leader; fails when the process ends or time is up. */
  async #untilReady(server: ServerProcess, { material }: Wanted, exited?: Promise<string>): Promise<void> {
    const endpoint = formatClientUrl('127.0.0.1', this.#ports.client);
    const tls = { ca: material.caCertificate, cert: material.certificate, key: material.key };
    const deadline = this.#clock.elapsed() + READY_TIMEOUT_MS;
    let ended: string | undefined;
    void exited?.then((reason) => {
      ended = reason;
    });
    while (true) {
      const client = openClient({ endpoints: [endpoint], tls, targetName: SERVER_NAME }, endpoint);
      try {
        await client.kv.range({ key: Buffer.from('/'), keys_only: true }, { deadline: Date.now() + 1_000 });
        if (await isRunning(server)) return;
        ended ??= 'it ended';
      } catch (error) {
        if (!(await isRunning(server))) ended ??= 'it ended';
        if (ended !== undefined) throw await this.#explain(`etcd ended at start (${ended})`, error);
        if (this.#clock.elapsed() >= deadline) {
          const { message } = asStoreError(error, endpoint);
          throw await this.#explain(`etcd did not get ready within ${READY_TIMEOUT_MS / 1_000} s (${message})`, error);
        }
      } finally {
        client.close();
      }
      if (ended !== undefined) throw await this.#explain(`etcd ended at start (${ended})`, undefined);
      await this.#clock.sleep(READY_POLL_MS);
    }
  }

  async #explain(what: string, cause: unknown): Promise<OverlaydError> {
    const tail = await readLogTail(this.#directory, 5);
    const bind = /listen tcp (\S+): bind: (address already in use|cannot assign requested address)/.exec(tail);
    const address = bind?.[1] ?? '';
    const options = { cause, retryable: true };
    if (bind?.[2] === 'address already in use') {
      const owner = await findPortOwner('tcp', parseHostPort(address)?.port ?? 0);
      const who = typeof owner === 'object' ? owner.process : 'another process';
      const hint =
        'use it with --etcd URL, or, if nothing else needs it, stop it (for the one of Debian: `systemctl disable --now etcd`)';
      return new OverlaydError(
        'store-failed',
        `etcd cannot listen on ${address}: ${who} does already; ${hint}`,
        options,
      );
    }
    if (bind !== null) {
      const message = `etcd cannot listen on ${address}: no interface of this host has that address; check --advertise-addr`;
      return new OverlaydError('store-failed', message, options);
    }
    return new OverlaydError('store-failed', `${what}; the end of ${logPath(this.#directory)}:\n${tail}`, options);
  }

  async #writeMaterial(material: TlsMaterial): Promise<void> {
    const files = [
      [CA_FILE, material.caCertificate],
      [KEY_FILE, material.key],
      [CERTIFICATE_FILE, material.certificate],
    ] as const;
    for (const [name, text] of files) {
      if ((await this.#readText(name)) !== text) await replaceFile(join(this.#directory, name), text);
    }
  }

  #readText(name: string): Promise<string | undefined> {
    return readFile(join(this.#directory, name), 'utf8').catch(() => undefined);
  }

  #serially<T>(job: () => Promise<T>): Promise<T> {
    const run = this.#last.then(job);
    this.#last = run.catch(() => undefined);
    return run;
  }
}

function isSame(a: ServerProcess, b: ServerProcess): boolean {
  return a.pid === b.pid && a.startTime === b.startTime;
}

function sameItems(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}
