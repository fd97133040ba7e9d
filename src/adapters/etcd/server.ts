/**
 * The bundled etcd of this host: one of the store's members, or the only one. It is started once and outlives the agent: a
 * restarted agent adopts it. While it is our own child its death is noticed at once; an adopted one is looked at when the
 * store stalls. While it is wanted and does not run it is tried again. A server that runs with
 * other arguments or another CA than it should is replaced; a renewed certificate or revocation list is only put in place,
 * etcd reads them at every handshake.
 *
 * An address that changed: the server is started at the new one, and then says so to the other members (`MemberUpdate`). Until
 * then it is the one who calls them, so either half may be missing for a while; both are looked at each time.
 */
import { mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isOverlaydError, type OverlaydError } from '../../core/errors.ts';
import { CLIENT_PORT, PEER_PORT } from '../../core/store-members.ts';
import { ClusterService } from '../../gen/etcd/rpc.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { EtcdServer, EtcdServerSettings } from '../../ports/store.ts';
import { moveToOwnUnit, type OwnUnitDeps } from '../own-unit.ts';
import { findPortOwner, isPortHeld } from '../port-owner.ts';
import { replaceFile } from '../state-file.ts';
import { EtcdClient } from './client.ts';
import {
  CA_FILE,
  CERTIFICATE_FILE,
  formatServerUrl,
  KEY_FILE,
  REVOCATION_FILE,
  renderServerArguments,
  SERVER_NAME,
  type ServerPorts,
  sameArguments,
} from './server-arguments.ts';
import { dataGone, explainEnd, givenUp, memberRemoved, notReady } from './server-problem.ts';
import {
  findBinary,
  findServer,
  hasData,
  isRunning,
  type KnownVersion,
  logPath,
  type OwnedProcess,
  readVersion,
  type ServerProcess,
  saysRemoved,
  startServer,
  stopServer,
} from './server-process.ts';
import { ANSWER, knowsLeader, membersSeenBy } from './server-readiness.ts';
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

const UNIT = { name: 'overlayd-etcd.scope', description: 'etcd of overlayd' };
const READY_TIMEOUT_MS = 20_000;
const READY_POLL_MS = 50;
const FIRST_RESTART_MS = 500;
const LAST_RESTART_MS = 30_000;

type Wanted = EtcdServerSettings;

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
  #version: KnownVersion | undefined;
  /** Who was told to have the ports. */
  #taken: string | undefined;
  #hindrance: string | undefined;
  #last: Promise<unknown> = Promise.resolve();
  /** So many are about to end it: nobody waits for it to be ready. */
  #endings = 0;

  constructor(deps: BundledEtcdDeps, options: BundledEtcdOptions) {
    this.#clock = deps.clock;
    this.#logger = deps.logger.child({ part: 'etcd-server' });
    this.#unit = { run: deps.run, logger: this.#logger };
    this.#directory = join(options.dataDir, 'etcd');
    this.#ports = options.ports ?? { client: CLIENT_PORT, peer: PEER_PORT };
  }

  ensure(settings: EtcdServerSettings): Promise<{ readonly endpoints: readonly string[] }> {
    return this.#serially(async () => {
      if (this.#quit.signal.aborted) this.#quit = new AbortController();
      this.#wanted = settings;
      try {
        await this.#run(settings);
      } catch (error) {
        if (!isOverlaydError(error, 'store-removed')) throw error;
        if (!Array.isArray(settings.begin)) {
          settings.onRemoved?.();
          throw error;
        }
        // What it had was of an earlier time as a member. It was added anew.
        this.#wanted = settings;
        await this.#run(settings);
      }
      return { endpoints: [formatServerUrl(settings.advertiseAddress, this.#ports.client)] };
    });
  }

  endOutdated(settings: EtcdServerSettings): Promise<void> {
    return this.#serially(async () => void (await this.#findWanted(settings)));
  }

  async check(): Promise<void> {
    if (this.#wanted !== undefined && !(await this.#isUp())) await this.#revive(this.#quit.signal);
  }

  stop(): Promise<void> {
    return this.#ending(async () => {
      this.release();
      await this.#end();
    });
  }

  setAside(): Promise<void> {
    return this.#ending(async () => {
      this.release();
      await this.#end();
      // What was set aside before, by one that crashed after it, stays.
      if (await hasData(this.#directory)) await this.#moveAway(this.#aside);
      else await rm(this.#directory, { recursive: true, force: true });
    });
  }

  async remove(): Promise<void> {
    await this.stop();
    // Gone as a whole, at once: what is deleted in part would start as another, empty cluster.
    const deleted = `${this.#directory}.deleted`;
    await this.#moveAway(deleted);
    for (const directory of [deleted, this.#aside]) await rm(directory, { recursive: true, force: true });
  }

  release(): void {
    this.#wanted = undefined;
    this.#quit.abort();
  }

  async version(): Promise<string | undefined> {
    this.#hindrance = undefined;
    this.#version = await readVersion(this.#version);
    const version = this.#version?.version;
    if (version === undefined) return undefined;
    for (const port of [this.#ports.client, this.#ports.peer]) {
      if (!(await isPortHeld('tcp', port))) continue;
      if (await findServer(this.#directory)) break;
      const owner = await findPortOwner('tcp', port);
      if (owner === undefined) continue;
      const by = typeof owner === 'object' ? owner.process : owner;
      const hint = 'if it is the one of Debian: systemctl disable --now etcd';
      this.#hindrance = `port ${port}/tcp of etcd is in use here by ${by}; ${hint}`;
      if (this.#taken !== by)
        this.#logger.warn({ port, by, hint }, 'this host cannot keep the store: a port of etcd is in use');
      this.#taken = by;
      return undefined;
    }
    this.#taken = undefined;
    return version;
  }

  get hindrance(): string | undefined {
    return this.#hindrance;
  }

  get #aside(): string {
    return `${this.#directory}.aside`;
  }

  async #end(): Promise<void> {
    const running = await findServer(this.#directory);
    if (running !== undefined) await stopServer(this.#directory, running, this.#clock);
    this.#process = undefined;
  }

  /** What stood there before stays where there is nothing to take its place. */
  async #moveAway(to: string): Promise<void> {
    if (!(await stat(this.#directory).catch(() => undefined))) return;
    await rm(to, { recursive: true, force: true });
    await rename(this.#directory, to);
  }

  async #run(wanted: Wanted): Promise<void> {
    if (wanted.begin === undefined && !(await hasData(this.#directory))) throw dataGone(this.#directory);
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const { args, running } = await this.#findWanted(wanted);
    await this.#writeMaterial(wanted);
    if (running !== undefined) {
      this.#logger.info({ pid: running.pid }, 'etcd runs already');
      // Our own child stays the object that is supervised.
      if (this.#process === undefined || !isSame(this.#process, running)) this.#process = running;
      await moveToOwnUnit(this.#unit, UNIT, running.pid);
      await this.#untilReady(this.#process, wanted);
      return;
    }
    const started = await startServer(this.#directory, await findBinary(), args);
    this.#process = started;
    try {
      await moveToOwnUnit(this.#unit, UNIT, started.pid);
      await this.#untilReady(started, wanted);
      this.#logger.info({ pid: started.pid, log: logPath(this.#directory) }, 'etcd started');
    } catch (error) {
      if (await this.#wasRemoved(started)) throw await this.#leaveStore();
      throw error;
    } finally {
      // Also one that is not ready yet (a long log to replay): its end must not go unnoticed.
      if (await isRunning(started)) void this.#supervise(started, this.#quit.signal);
    }
  }

  /** How it is to run, and the one that runs so; another one ends. */
  async #findWanted(wanted: Wanted): Promise<{ args: readonly string[]; running: ServerProcess | undefined }> {
    const running = await findServer(this.#directory);
    const args = renderServerArguments(this.#directory, wanted, this.#ports);
    const isSameCa = (await this.#readText(CA_FILE)) === wanted.material.caCertificate;
    if (!running || (isSameCa && sameArguments(running.args, args))) return { args, running };
    this.#logger.info({ pid: running.pid }, 'etcd runs with other settings, replacing it');
    this.#process = undefined;
    await stopServer(this.#directory, running, this.#clock);
    return { args, running: undefined };
  }

  async #supervise(owned: OwnedProcess, signal: AbortSignal): Promise<void> {
    const reason = await owned.exited;
    if (signal.aborted || this.#process !== owned) return;
    if (await saysRemoved(this.#directory, owned)) {
      await this.#serially(async () => {
        const wanted = this.#wanted;
        if (signal.aborted || this.#process !== owned || wanted === undefined) return;
        await this.#leaveStore();
        wanted.onRemoved?.();
      });
      return;
    }
    this.#logger.error({ event: 'etcd-ended', pid: owned.pid, reason, log: logPath(this.#directory) }, 'etcd ended');
    await this.#clock.sleep(FIRST_RESTART_MS, signal).catch(() => undefined);
    await this.#revive(signal);
  }

  async #wasRemoved(owned: OwnedProcess): Promise<boolean> {
    return !(await isRunning(owned)) && (await saysRemoved(this.#directory, owned));
  }

  /** The others removed this member. */
  async #leaveStore(): Promise<OverlaydError> {
    this.#wanted = undefined;
    await this.#end();
    await this.#moveAway(this.#aside);
    this.#logger.warn(
      { aside: this.#aside },
      'this host was removed from the members of the store, its data are set aside',
    );
    return memberRemoved(this.#aside);
  }

  /** Starts it when it does not run, again and again until it does or is not wanted any more. */
  async #revive(signal: AbortSignal): Promise<void> {
    if (this.#reviving) return;
    this.#reviving = true;
    let told = '';
    for (let delayMs = FIRST_RESTART_MS; !signal.aborted; delayMs = Math.min(LAST_RESTART_MS, delayMs * 2)) {
      try {
        await this.#serially(async () => {
          const wanted = this.#wanted;
          if (wanted === undefined || (await this.#isUp())) return;
          if (told === '') this.#logger.warn({}, 'etcd is not running, starting it');
          await this.#run(wanted).catch((error: unknown) => {
            if (isOverlaydError(error, 'store-removed')) wanted.onRemoved?.();
            throw error;
          });
        });
        break;
      } catch (error) {
        const { message } = error as Error;
        if (isOverlaydError(error, 'store-removed')) break;
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

  /** Until it says that it has a leader, and the others know its address. Fails when the process ends or time is up. */
  async #untilReady(server: ServerProcess | OwnedProcess, wanted: Wanted): Promise<void> {
    const endpoint = formatServerUrl('127.0.0.1', this.#ports.client);
    const { caCertificate: ca, certificate: cert, key } = wanted.material;
    const deadline = this.#clock.elapsed() + READY_TIMEOUT_MS;
    let ended: string | undefined;
    if ('exited' in server)
      void server.exited.then((reason) => {
        ended = reason;
      });
    while (true) {
      const client = new EtcdClient({ tls: { ca, cert, key }, targetName: SERVER_NAME }, endpoint);
      let problem: unknown;
      try {
        if (await this.#isReady(client, wanted)) {
          if (await isRunning(server)) return;
          ended ??= 'it ended';
        }
      } catch (error) {
        problem = error;
      } finally {
        client.close();
      }
      if (!(await isRunning(server))) ended ??= 'it ended';
      if (ended !== undefined) throw await explainEnd(this.#directory, `etcd ended at start (${ended})`, problem);
      if (this.#endings > 0) throw givenUp();
      if (this.#clock.elapsed() >= deadline) {
        const error = problem === undefined ? new Error('it knows of no leader') : asStoreError(problem, endpoint);
        throw notReady(this.#directory, READY_TIMEOUT_MS / 1_000, error);
      }
      await this.#clock.sleep(READY_POLL_MS);
    }
  }

  /** Also one that only learns is: it serves nothing but this, and its address is the others' to change. */
  async #isReady(client: EtcdClient, { name, advertiseAddress }: Wanted): Promise<boolean> {
    if (!(await knowsLeader(client))) return false;
    const url = formatServerUrl(advertiseAddress, this.#ports.peer);
    const own = (await membersSeenBy(client)).find((member) => member.name === name);
    if (own === undefined || (own.peerURLs.length === 1 && own.peerURLs[0] === url)) return true;
    this.#logger.info({ from: own.peerURLs, to: url }, 'telling the members of the store where this one is now');
    await client.call(ClusterService.memberUpdate, { ID: own.ID, peerURLs: [url] }, ANSWER);
    return true;
  }

  async #writeMaterial({ material, revocationList }: Wanted): Promise<void> {
    const files = [
      [CA_FILE, material.caCertificate],
      [KEY_FILE, material.key],
      [CERTIFICATE_FILE, material.certificate],
    ] as const;
    for (const [name, text] of files) {
      if ((await this.#readText(name)) !== text) await replaceFile(join(this.#directory, name), text);
    }
    if (revocationList === undefined) return;
    // As DER: etcd 3.6 reads nothing else.
    const list = Buffer.from(revocationList.replace(/-----[^-]+-----/g, ''), 'base64');
    const path = join(this.#directory, REVOCATION_FILE);
    const before = await readFile(path).catch(() => undefined);
    if (!before?.equals(list)) await replaceFile(path, list);
  }

  #readText(name: string): Promise<string | undefined> {
    return readFile(join(this.#directory, name), 'utf8').catch(() => undefined);
  }

  /** What waits for a majority that it does not belong to any more would hold it up for as long as that may take. */
  async #ending(job: () => Promise<void>): Promise<void> {
    this.#endings++;
    try {
      await this.#serially(job);
    } finally {
      this.#endings--;
    }
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
