/** Commands run by the agent itself and by the spawner: the same outcomes. And what the spawner's end means. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createExec } from '../../../../src/adapters/kernel/exec.ts';
import { type RunProcess, runProcess } from '../../../../src/adapters/kernel/process.ts';
import { Spawner } from '../../../../src/adapters/kernel/spawner-client.ts';
import type { Logger } from '../../../../src/ports.ts';

const spawnerPath = fileURLToPath(new URL('../../../../src/adapters/kernel/spawner.ts', import.meta.url));
const silent: Logger = { error() {}, warn() {}, info() {}, debug() {}, child: () => silent };
const LIMIT_MS = 30_000;

/** A spawner with a clock that the test turns. */
function start(path = spawnerPath) {
  const time = { ms: 1_000_000 };
  const clock = { now: () => 0, elapsed: () => time.ms, sleep: async () => undefined };
  const spawner = new Spawner({ clock, logger: silent }, { spawnerPath: path, nodePath: process.execPath });
  return { spawner, time, ...createExec({ runProcess: spawner.run }) };
}

const holds = (condition: () => boolean | Promise<boolean>) =>
  vi.waitUntil(condition, { timeout: 120_000, interval: 10 });
const isUp = (spawner: Spawner) => holds(() => spawner.pid !== undefined);

/** Whose child a shell is that a command starts. */
const PARENT = ['sh', '-c', 'echo $PPID'];

function isRunning(pid: number): boolean {
  try {
    // One that nobody has waited for yet runs no more.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

function isWritable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** A command that runs until it is ended, and its process id, which it told by ending another one. */
async function sleeping(run: RunProcess, signal?: AbortSignal, limitMs = LIMIT_MS) {
  const mark = `60.${process.pid}${Math.floor(Math.random() * 1e9)}`;
  const ended = run({ argv: ['sleep', mark], input: '', quiet: false, limitMs }, signal);
  let pid = 0;
  await holds(async () => {
    const found = await runProcess(
      { argv: ['pgrep', '-xf', `sleep ${mark}`], input: '', quiet: false, limitMs },
      undefined,
    );
    pid = found.how === 'exited' ? Number(found.stdout) : 0;
    return pid > 0;
  });
  return { pid, ended };
}

const shared: { spawner?: Spawner } = {};
beforeAll(async () => {
  shared.spawner = start().spawner;
  await isUp(shared.spawner);
});
afterAll(() => shared.spawner?.close());

const viaSpawner: RunProcess = (request, signal) => shared.spawner!.run(request, signal);

describe.each([
  ['the agent itself', runProcess],
  ['the spawner', viaSpawner],
])('a command run by %s', (name, runIt) => {
  const { run } = createExec({ runProcess: runIt });

  it('is run by it', async () => {
    const parent = name === 'the spawner' ? shared.spawner!.pid : process.pid;
    expect((await run(PARENT)).stdout).toBe(`${parent}\n`);
  });

  it('gives its exit code and both outputs as they are', async () => {
    expect(await run(['sh', '-c', 'echo ä; echo bad >&2; exit 3'])).toEqual({
      code: 3,
      stdout: 'ä\n',
      stderr: 'bad\n',
    });
  });

  it('reads its input to the end, and gives all of a large output', async () => {
    const input = Array.from({ length: 10_000 }, (_, row) =>
      `{"dst":"10.0.${row}","name":"ü→${row}"}\n`.repeat(8),
    ).join('');
    const { code, stdout } = await run(['cat'], { input });
    expect(code).toBe(0);
    expect(stdout === input).toBe(true);
  });

  it('gives all of an output of many lines, and keeps nothing open', async () => {
    const lines = Array.from({ length: 20_000 }, (_, row) => `ü ${row}\n`).join('');
    const open = () => readdirSync('/proc/self/fd').length;
    const before = open();
    for (const argv of [['no-such-program'], ['sh', '-c', 'echo half; kill -9 $$']]) {
      await expect(run(argv, { large: true })).rejects.toThrow();
    }
    for (let turn = 0; turn < 5; turn += 1) {
      const { stdout, code } = await run(['sh', '-c', 'cat; exit 3'], { input: lines, large: true });
      expect(stdout === lines).toBe(true);
      expect(code).toBe(3);
    }
    expect((await run(['true'], { large: true })).stdout).toBe('');
    expect(open() - before).toBeLessThan(3);
  });

  it.runIf(isWritable('/run'))('writes many lines to a file, of which nothing is left', async () => {
    const { stdout } = await run(['sh', '-c', 'test -f /proc/self/fd/1 && echo file'], { large: true });
    expect(stdout).toBe('file\n');
    const writers = [process.pid, shared.spawner!.pid].map((pid) => `.overlayd-output-${pid}-`);
    const left = readdirSync('/run').filter((name) => writers.some((writer) => name.startsWith(writer)));
    expect(left).toEqual([]);
  });

  it('may leave its input unread', async () => {
    expect(await run(['true'], { input: 'x'.repeat(1_000_000) })).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('has a path and plain words in its environment, and nothing else of ours', async () => {
    const { stdout } = await run(['env']);
    expect(stdout.split('\n').filter(Boolean).sort()).toEqual(['LC_ALL=C', `PATH=${process.env.PATH}`]);
  });

  it('is told to be missing', async () => {
    await expect(run(['no-such-program'])).rejects.toMatchObject({
      code: 'tool-missing',
      message: expect.stringContaining('"no-such-program" is not on this host'),
    });
  });

  it('is told to be missing by its prefix', async () => {
    const prefixed = createExec({
      runProcess: runIt,
      prefix: ['sh', '-c', 'echo "x: failed to execute nft: y" >&2; exit 127'],
    });
    await expect(prefixed.run(['nft'])).rejects.toMatchObject({ code: 'tool-missing' });
  });

  it('fails when it cannot be started', async () => {
    await expect(run(['/'])).rejects.toMatchObject({ code: 'data-path-failed', retryable: true });
    await expect(run(['echo', 'x'.repeat(3_000_000)])).rejects.toMatchObject({
      code: 'data-path-failed',
      retryable: true,
    });
  });

  it('fails when somebody kills it', async () => {
    await expect(run(['sh', '-c', 'kill -9 $$'])).rejects.toMatchObject({
      code: 'data-path-failed',
      retryable: true,
      message: expect.stringContaining('SIGKILL'),
    });
  });

  it('ends with the signal, before it is told to be cancelled', async () => {
    const quit = new AbortController();
    const { pid, ended } = await sleeping(runIt, quit.signal);
    quit.abort();
    expect(await ended).toEqual({ how: 'cancelled' });
    expect(isRunning(pid)).toBe(false);
    await expect(run(['true'], { signal: quit.signal })).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('is told of errors even where nobody wants to hear of anything else', async () => {
    const loud = ['sh', '-c', 'cat; echo said; echo wrong >&2; exit 3'];
    expect(await run(loud, { input: 'x', quiet: true })).toEqual({ code: 3, stdout: '', stderr: 'wrong\n' });
    expect(await run(loud, { quiet: true })).toEqual({ code: 3, stdout: '', stderr: 'wrong\n' });
  });

  it('reads nothing where it is given nothing', async () => {
    expect(await run(['cat'])).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('ends at its time limit', async () => {
    expect(await runIt({ argv: ['sleep', '60'], input: '', quiet: false, limitMs: 50 }, undefined)).toEqual({
      how: 'timed-out',
    });
  });

  it('is one of many, each with its own outcome', async () => {
    const all = Array.from({ length: 60 }, (_, n) => run(['sh', '-c', `cat; exit ${n}`], { input: `${n}` }));
    expect(await Promise.all(all)).toEqual(all.map((_, n) => ({ code: n, stdout: `${n}`, stderr: '' })));
  });
});

describe('the spawner', () => {
  it('is not waited for', async () => {
    const { spawner, run } = start();
    try {
      expect((await run(PARENT)).stdout).toBe(`${process.pid}\n`);
      await isUp(spawner);
      expect((await run(PARENT)).stdout).toBe(`${spawner.pid}\n`);
    } finally {
      spawner.close();
    }
  });

  it('fails what it ran when it is killed; the agent goes on by itself, then with another one', async () => {
    const { spawner, time, run } = start();
    try {
      await isUp(spawner);
      const first = spawner.pid!;
      const inFlight = run(['sleep', '1']);
      const failure = expect(inFlight).rejects.toMatchObject({ code: 'data-path-failed', retryable: true });
      process.kill(first, 'SIGKILL');
      await failure;
      // That nothing can be written to it may be known before its end is. The clock stands still: it is too early for
      // another one.
      await holds(() => spawner.pid === undefined);
      expect((await run(PARENT)).stdout).toBe(`${process.pid}\n`);

      time.ms += 60_000;
      expect((await run(['echo', 'there'])).stdout).toBe('there\n');
      await isUp(spawner);
      expect(spawner.pid).not.toBe(first);
      expect((await run(PARENT)).stdout).toBe(`${spawner.pid}\n`);

      // This one ran for long enough: another one follows at once.
      time.ms += 60_000;
      const second = spawner.pid!;
      process.kill(second, 'SIGKILL');
      await holds(() => spawner.pid !== undefined && spawner.pid !== second);
    } finally {
      spawner.close();
    }
  });

  it('is done without when it cannot be started', async () => {
    const { spawner, time, run } = start('/nonexistent/spawner.ts');
    for (let n = 0; n < 3; n += 1) {
      time.ms += 60_000;
      expect((await run(PARENT)).stdout).toBe(`${process.pid}\n`);
    }
    spawner.close();
  });

  it('does not end with a terminal’s interrupt', async () => {
    const { spawner, run } = start();
    try {
      await isUp(spawner);
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(spawner.pid!, signal);
      expect((await run(PARENT)).stdout).toBe(`${spawner.pid}\n`);
    } finally {
      spawner.close();
    }
  });

  it('ends when the agent is killed', async () => {
    const client = new URL('../../../../src/adapters/kernel/spawner-client.ts', import.meta.url).href;
    const program = `
      import { Spawner } from ${JSON.stringify(client)};
      const options = { spawnerPath: ${JSON.stringify(spawnerPath)}, nodePath: process.execPath };
      const spawner = new Spawner({ clock: { elapsed: () => performance.now() }, logger: console }, options);
      setInterval(() => spawner.pid && console.log(spawner.pid), 10);`;
    const agent = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(agent.stdout.setEncoding('utf8'), 'data')) as [string];
    const helper = Number.parseInt(line, 10);
    expect(isRunning(helper)).toBe(true);
    agent.kill('SIGKILL');
    await holds(() => !isRunning(helper));
  });

  it('ends when it is closed, after what it runs', async () => {
    const { spawner } = start();
    await isUp(spawner);
    const helper = spawner.pid!;
    const { pid, ended } = await sleeping(spawner.run);
    spawner.close();
    expect((await ended).how).toBe('killed');
    expect(spawner.pid).toBe(undefined);
    expect(isRunning(helper)).toBe(true);
    process.kill(pid, 'SIGKILL');
    await holds(() => !isRunning(helper));
  });
});
