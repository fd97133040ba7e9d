/** The process that answers names, with the agents' sides of it, in namespaces of their own. */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { NamesKeeper } from '../../../src/adapters/dns/process/keeper.ts';
import { systemClock } from '../../../src/adapters/system/time.ts';
import type { NamesNews } from '../../../src/core/dns/names-protocol.ts';
import type { NamesSession } from '../../../src/ports/names.ts';
import type { Clock } from '../../../src/ports/runtime.ts';
import { until } from '../../lab/until.ts';
import { type LogLine, recordingLogger } from '../../unit/agent/cluster/cluster-fixture.ts';
import { NamespaceLab } from './lab.ts';

export const PROGRAM = new URL('../../../src/names-main.ts', import.meta.url).pathname;
export const GATEWAY = '10.77.0.1';
export const GATEWAY6 = 'fd00:77::1';
const zone: NamesNews = {
  kind: 'zone',
  networkId: 'w',
  network: { name: 'web', internal: false, subnets: ['10.77.0.0/16', 'fd00:77::/64'] },
  set: [{ address: '10.77.0.9', name: 'api', names: ['api'], shown: true }],
  removed: [],
};

interface KeeperOptions {
  readonly program?: string;
  readonly node?: string;
  readonly clock?: Clock;
}

/** One for the tests of a file; each test has a run directory of its own. */
export class NamesLab {
  readonly lab: NamespaceLab;
  directory = '';
  readonly #keepers: { stop(): void; readonly runs: Promise<void>[] }[] = [];

  constructor(prefix: string) {
    this.lab = new NamespaceLab(prefix);
    beforeAll(async () => {
      const { lab } = this;
      await lab.add('web', 'container');
      await lab.cable('web', 'port', `${GATEWAY}/16`, 'container', 'eth0', '10.77.0.2/16');
      await lab.ip('web', `addr add ${GATEWAY6}/64 dev port nodad`);
      await lab.ip('container', 'addr add fd00:77::2/64 dev eth0 nodad');
    });
    afterAll(() => this.lab.close());
    beforeEach(async () => {
      this.directory = await mkdtemp(join(tmpdir(), 'names-'));
    });
    afterEach(async () => {
      // One that goes on starts the process again, in a directory that is about to go.
      for (const { stop } of this.#keepers) stop();
      await Promise.all(this.#keepers.splice(0).flatMap(({ runs }) => runs));
      await this.keeperOf().keeper.end();
      // One that has lost its place, and what started it, may still write there.
      await until('all that was started to have ended', async () => {
        const left = await this.processes();
        for (const pid of left) kill(Number(pid));
        return left.length === 0;
      });
      await rm(this.directory, { recursive: true });
    });
  }

  /** An agent's side. */
  keeperOf({ program = PROGRAM, node = process.execPath, clock = systemClock }: KeeperOptions = {}) {
    const log: LogLine[] = [];
    const logger = recordingLogger(log);
    const keeper = new NamesKeeper(
      { run: async () => ({ code: 0, stderr: '' }), logger, clock },
      { socketPath: this.socketPath, programPath: program, nodePath: node },
    );
    const quit = new AbortController();
    const sessions: NamesSession[] = [];
    const runs: Promise<void>[] = [];
    /** Tells each session what there is. */
    const run = () => {
      const telling = keeper.run((session) => {
        sessions.push(session);
        session.tell({ kind: 'settings', ttlSeconds: 5 });
        session.tell(zone);
        session.tell({ kind: 'whole', networkId: 'w' });
        void this.listen(session);
      }, quit.signal);
      runs.push(telling);
    };
    const start = async () => {
      run();
      await until('a session', () => sessions.length > 0);
      await this.listen(sessions[0]!);
    };
    const stop = () => quit.abort();
    this.#keepers.push({ stop, runs });
    return { keeper, log, sessions, run, start, stop };
  }

  /** The error, where it does not. */
  listen(session: NamesSession): Promise<unknown> {
    return session
      .ask({ kind: 'listen', networkId: 'w', namespacePath: this.lab.path('web'), addresses: [GATEWAY, GATEWAY6] })
      .catch((error: unknown) => error);
  }

  get socketPath(): string {
    return join(this.directory, 'names.sock');
  }

  get lockPath(): string {
    return `${this.socketPath}.lock`;
  }

  /** Of the one that holds the place, by its own word. */
  async pid(): Promise<number> {
    return Number(await readFile(this.lockPath, 'utf8'));
  }

  async dig(...words: readonly string[]): Promise<string> {
    return (await this.lab.run('container', 'dig', `@${GATEWAY}`, '+short', '+tries=1', '+time=20', ...words)).trim();
  }

  async answers(): Promise<void> {
    await until('an answer', async () => (await this.dig('api').catch(() => '')) === '10.77.0.9');
  }

  /** The same program as another release has it. */
  async release(text = `import '${PROGRAM}';\n`): Promise<string> {
    const path = join(this.directory, 'names-main.ts');
    await writeFile(path, text);
    return path;
  }

  /** Process ids of all that were started for this test. */
  async processes(): Promise<string[]> {
    const words = (pid: string) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
    const ours = await Promise.all(pids.map(async (pid) => (await words(pid)).includes(this.socketPath)));
    return pids.filter((_, at) => ours[at]);
  }
}

export const isAlive = (pid: number) => existsSync(`/proc/${pid}/cwd`);

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
