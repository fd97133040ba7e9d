/** The process that answers names, over its agents' ends, its own end, and the end of its release. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { NamesKeeper } from '../../../src/adapters/dns/process/keeper.ts';
import { systemClock } from '../../../src/adapters/system/time.ts';
import type { NamesNews } from '../../../src/core/dns/names-protocol.ts';
import type { NamesSession } from '../../../src/ports/names.ts';
import { until } from '../../lab/until.ts';
import { type LogLine, recordingLogger } from '../../unit/agent/cluster/cluster-fixture.ts';
import { NamespaceLab } from './lab.ts';

const PROGRAM = new URL('../../../src/names-main.ts', import.meta.url).pathname;
const lab = new NamespaceLab('proc');
const GATEWAY = '10.77.0.1';
const GATEWAY6 = 'fd00:77::1';
const zone: NamesNews = {
  kind: 'zone',
  networkId: 'w',
  network: { name: 'web', internal: false, subnets: ['10.77.0.0/16', 'fd00:77::/64'] },
  set: [{ address: '10.77.0.9', name: 'api', names: ['api'], shown: true }],
  removed: [],
};
let directory: string;

beforeAll(async () => {
  await lab.add('web', 'container');
  await lab.cable('web', 'port', `${GATEWAY}/16`, 'container', 'eth0', '10.77.0.2/16');
  await lab.ip('web', `addr add ${GATEWAY6}/64 dev port nodad`);
  await lab.ip('container', 'addr add fd00:77::2/64 dev eth0 nodad');
});
afterAll(() => lab.close());
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'names-'));
});
afterEach(async () => {
  await keeperOf().keeper.end();
  await rm(directory, { recursive: true });
});

/** An agent's side. */
function keeperOf(programPath = PROGRAM, nodePath = process.execPath) {
  const log: LogLine[] = [];
  const logger = recordingLogger(log);
  const run = async () => ({ code: 0, stderr: '' });
  const keeper = new NamesKeeper(
    { run, logger, clock: systemClock },
    { socketPath: join(directory, 'names.sock'), programPath, nodePath },
  );
  const quit = new AbortController();
  const sessions: NamesSession[] = [];
  const start = async () => {
    void keeper.run((session) => {
      sessions.push(session);
      session.tell({ kind: 'settings', ttlSeconds: 5 });
      session.tell(zone);
      session.tell({ kind: 'whole', networkId: 'w' });
      void listen(session);
    }, quit.signal);
    await until('a session', () => sessions.length > 0);
    await listen(sessions[0]!);
  };
  return { keeper, log, sessions, start, stop: () => quit.abort() };
}

const listen = (session: NamesSession) =>
  session
    .ask({ kind: 'listen', networkId: 'w', namespacePath: lab.path('web'), addresses: [GATEWAY, GATEWAY6] })
    .catch((error: unknown) => error);

const pid = async () => Number(await readFile(join(directory, 'names.sock.lock'), 'utf8'));

async function dig(...words: readonly string[]): Promise<string> {
  return (await lab.run('container', 'dig', `@${GATEWAY}`, '+short', '+tries=1', '+time=20', ...words)).trim();
}

const answers = () => until('an answer', async () => (await dig('api').catch(() => '')) === '10.77.0.9');

const isAlive = (pid: number) => existsSync(`/proc/${pid}/cwd`);

/** The same program as another release has it. */
async function release(text = `import '${PROGRAM}';\n`): Promise<string> {
  const path = join(directory, 'names-main.ts');
  await writeFile(path, text);
  return path;
}

/** Node.js in the namespace that plays the host, with a name server there. */
async function nodeInHost(nameServer: string): Promise<string> {
  const [path, resolver] = [join(directory, 'node'), join(directory, 'resolv.conf')];
  await writeFile(resolver, `nameserver ${nameServer}\n`);
  const inside = `mount --bind ${resolver} /etc/resolv.conf && exec "$0" "$@"`;
  const words = `nsenter --net=${lab.path('host')} unshare -m sh -c '${inside}' ${process.execPath} "$@"`;
  await writeFile(path, `#!/bin/sh\nexec ${words}\n`, { mode: 0o755 });
  return path;
}

async function startAsking() {
  const asker = await lab.start(
    'container',
    'asker.ts',
    GATEWAY,
    '500',
    '200',
    'api',
    'api.web',
    '9.0.77.10.in-addr.arpa',
  );
  return async () => JSON.parse(await asker.ask('stop')) as { asked: number; answered: number; lost: string[] };
}

it('goes on while no agent runs, and with the next one', async () => {
  const [one, two] = [keeperOf(), keeperOf()];
  await one.start();
  const first = await pid();
  const stopAsking = await startAsking();
  one.stop();
  await until('the agent to be gone', () => one.sessions[0]!.ended.aborted);
  for (let i = 0; i < 20; i++) expect(await dig('api')).toBe('10.77.0.9');
  await two.start();
  const { asked, lost } = await stopAsking();
  expect(asked).toBeGreaterThan(50);
  expect(lost).toEqual([]);
  expect(await pid()).toBe(first);
});

it('goes on when it is asked from where no answer can be sent to', async () => {
  const { start } = keeperOf();
  await start();
  const first = await pid();
  await (await lab.start('container', 'portless.ts', GATEWAY, 'api')).stop();
  await answers();
  expect(await pid()).toBe(first);
});

it('hands over to one of another release without a question lost', async () => {
  const [one, two] = [keeperOf(), keeperOf(await release())];
  await one.start();
  const first = await pid();
  const stream = await lab.start('container', 'stream.ts', GATEWAY, 'api');
  const stopAsking = await startAsking();
  one.stop();
  await two.start();
  expect(await pid()).not.toBe(first);
  // What was a connection to the old one goes on.
  expect(await stream.ask('again')).toBe('10.77.0.9');
  expect(await dig('+tcp', 'api')).toBe('10.77.0.9');
  const { lost } = await stopAsking();
  expect(lost).toEqual([]);
  expect(isAlive(first)).toBe(true);
  await stream.stop();
  await until('the old one to end', () => !isAlive(first));
  expect(await dig('api')).toBe('10.77.0.9');
  for (const how of ['+notcp', '+tcp']) expect(await dig(`@${GATEWAY6}`, how, 'api')).toBe('10.77.0.9');
});

it('hands over what waits for an upstream server', async () => {
  await lab.add('host');
  await lab.ip('host', 'addr add 192.0.2.53/32 dev lo');
  const upstream = await lab.start('host', 'slow-upstream.ts', '192.0.2.53', '300');
  const node = await nodeInHost('192.0.2.53');
  const [one, two] = [keeperOf(PROGRAM, node), keeperOf(await release(), node)];
  await one.start();
  const first = await pid();
  // Fewer at a time than one container may have waiting, those of the old one besides.
  const names = Array.from({ length: 50 }, (_, number) => `n${number}.example`);
  const asker = await lab.start('container', 'asker.ts', GATEWAY, '80', '100', ...names);
  one.stop();
  await two.start();
  expect(await pid()).not.toBe(first);
  expect(JSON.parse(await asker.ask('stop'))).toMatchObject({ lost: [], wrong: [] });
  await upstream.stop();
});

/** Process ids of all that were started for this test. */
async function processes(): Promise<string[]> {
  const words = (pid: string) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const ours = await Promise.all(pids.map(async (pid) => (await words(pid)).includes(`${directory}/names.sock`)));
  return pids.filter((_, at) => ours[at]);
}

it('hands over to one, however many agents ask for it meanwhile', async () => {
  const waiting = await release(
    `import { existsSync, writeFileSync } from 'node:fs';
     writeFileSync(\`${directory}/started-\${process.pid}\`, '');
     while (!existsSync('${directory}/go')) await new Promise((look) => setTimeout(look, 10));
     await import('${PROGRAM}');\n`,
  );
  const successors = async () => (await readdir(directory)).filter((name) => name.startsWith('started-'));
  const [one, two, three] = [keeperOf(), keeperOf(waiting), keeperOf(waiting)];
  await one.start();
  const first = await pid();
  one.stop();
  void two.start();
  await until('a successor', async () => (await successors()).length > 0);
  const third = three.start();
  await until('its connection to be in the place of the second', () => two.log.length > 0);
  two.stop();
  await answers();
  await writeFile(join(directory, 'go'), '');
  await third;
  await until('the old one to end', () => !isAlive(first));
  expect(await processes()).toEqual([String(await pid())]);
  expect(await successors()).toHaveLength(1);
  await answers();
});

it.each(['process.pid', 'process.ppid'])(
  'names come back when %s is killed at any step of a hand-over',
  async (whose) => {
    // As many messages as there are, or more: begin, four of news, two sockets, the place.
    for (let step = 1; step <= 8; step++) {
      const mortal = `let left = ${step};
      process.on('message', () => { if (--left === 0) process.kill(${whose}, 'SIGKILL'); });
      await import('${PROGRAM}');\n`;
      const [one, two] = [keeperOf(), keeperOf(await release(mortal))];
      await one.start();
      one.stop();
      await two.start();
      await answers();
      await until('one process', async () => (await processes()).length === 1);
      two.stop();
      await two.keeper.end();
    }
  },
);

it('is followed by another one also while the one before it has connections', async () => {
  const [one, two] = [keeperOf(), keeperOf(await release())];
  await one.start();
  const first = await pid();
  const stream = await lab.start('container', 'stream.ts', GATEWAY, 'api');
  one.stop();
  await two.start();
  process.kill(await pid(), 'SIGKILL');
  await until('another session', () => two.sessions.length > 1);
  await answers();
  expect(isAlive(first)).toBe(true);
  await stream.stop();
});

it('is not ended because its agent stalls', async () => {
  const [one, two] = [keeperOf(), keeperOf()];
  await one.start();
  const first = await pid();
  one.stop();
  void two.start();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 6_000);
  await until('a session', () => two.sessions.length > 0);
  expect(await pid()).toBe(first);
  expect(two.log.filter(({ level }) => level === 'warn')).toEqual([]);
});

it('is told what changes also when its program is not there any more', async () => {
  const program = await release();
  const [one, two] = [keeperOf(program), keeperOf(program)];
  await one.start();
  const first = await pid();
  one.stop();
  await rm(program);
  await two.start();
  expect(await pid()).toBe(first);
  expect(two.keeper.problem).toBeUndefined();
});

it('says why it does not start', async () => {
  const { keeper, start, stop } = keeperOf();
  await mkdir(join(directory, 'names.sock'));
  void start();
  await until('the reason', () => keeper.problem?.includes('EISDIR'));
  stop();
  await rm(join(directory, 'names.sock'), { recursive: true });
});

it('answers where nothing can be written', async () => {
  const { start } = keeperOf();
  await lab.run('web', 'mount', '-t', 'tmpfs', '-o', 'size=4k', 'tmpfs', directory);
  try {
    await writeFile(join(directory, 'full'), Buffer.alloc(4_096));
    await start();
    await answers();
    for (const each of await processes()) process.kill(Number(each), 'SIGKILL');
  } finally {
    await lab.run('web', 'umount', '-l', directory);
  }
});

it('is left alone by one that has other files', async () => {
  const node = join(directory, 'node');
  await writeFile(node, `#!/bin/sh\nexec unshare -m ${process.execPath} "$@"\n`, { mode: 0o755 });
  const [one, two] = [keeperOf(PROGRAM, node), keeperOf()];
  await one.start();
  const first = await pid();
  one.stop();
  for (const name of ['names.sock', 'names.sock.lock']) await rm(join(directory, name));
  await two.start();
  const held = `port 53 is held there by .* \\(pid ${first}\\), which has to end`;
  expect(await listen(two.sessions[0]!)).toMatchObject({ message: expect.stringMatching(held) });
  expect(isAlive(first)).toBe(true);
  process.kill(first, 'SIGKILL');
});

it('goes on as it is when one of another release does not start', async () => {
  const [one, two] = [keeperOf(), keeperOf(await release('process.exit(7);\n'))];
  await one.start();
  const first = await pid();
  const stopAsking = await startAsking();
  one.stop();
  await two.start();
  expect(await pid()).toBe(first);
  expect(two.log).toContainEqual(
    expect.objectContaining({ level: 'warn', message: expect.stringContaining('could not hand over') }),
  );
  expect((await stopAsking()).lost).toEqual([]);
});

it('is followed by another one when it dies', async () => {
  const { keeper, sessions, start } = keeperOf();
  await start();
  const first = await pid();
  process.kill(first, 'SIGKILL');
  await until('another session', () => sessions.length > 1);
  await answers();
  expect(await pid()).not.toBe(first);
  expect(keeper.problem).toBeUndefined();
});

it('is ended and followed by another one when it hangs, whether an agent is connected or comes', async () => {
  const one = keeperOf();
  await one.start();
  const first = await pid();
  process.kill(first, 'SIGSTOP');
  await until('another session', () => one.sessions.length > 1);
  await answers();
  expect(isAlive(first)).toBe(false);
  one.stop();
  const second = await pid();
  process.kill(second, 'SIGSTOP');
  const two = keeperOf();
  await two.start();
  await answers();
  expect(isAlive(second)).toBe(false);
});

it('is one, whoever starts it', async () => {
  const keepers = Array.from({ length: 4 }, () => keeperOf());
  for (const { keeper } of keepers) void keeper.run(() => undefined, AbortSignal.timeout(20_000));
  await until('the process', async () => (await pid()) > 0);
  const first = await pid();
  await keepers[0]!.start();
  expect(await pid()).toBe(first);
  for (const { stop } of keepers) stop();
});

it('takes the port from one that cannot be reached any more', async () => {
  const [one, two] = [keeperOf(), keeperOf()];
  await one.start();
  const first = await pid();
  one.stop();
  for (const name of ['names.sock', 'names.sock.lock']) await rm(join(directory, name));
  await two.start();
  await answers();
  expect(isAlive(first)).toBe(false);
});

it('lets go of a namespace that is removed, also when it hangs', async () => {
  const { sessions, start } = keeperOf();
  await lab.add('gone', 'far');
  for (const hangs of [false, true]) {
    const there = async () => (await lab.run('far', 'ip', '-br', 'link', 'show')).includes('peer');
    await lab.cable('gone', 'port', '10.78.0.1/16', 'far', 'peer', '10.78.0.2/16');
    if (!hangs) await start();
    const session = sessions.at(-1)!;
    const namespacePath = lab.path('gone');
    await session.ask({ kind: 'listen', networkId: 'g', namespacePath, addresses: ['10.78.0.1'] });
    if (hangs) process.kill(await pid(), 'SIGSTOP');
    await session.ask({ kind: 'release', networkId: undefined, namespacePath }).catch(() => undefined);
    await lab.remove('gone');
    await until('the namespace to be gone', async () => !(await there()));
    if (!hangs) await lab.add('gone');
  }
  await lab.remove('far');
});

it('ends when it is told to, and leaves nothing', async () => {
  const { keeper, start, stop } = keeperOf();
  await start();
  const first = await pid();
  stop();
  await keeper.end();
  expect(isAlive(first)).toBe(false);
  expect(existsSync(join(directory, 'names.sock'))).toBe(false);
  expect((await lab.run('web', 'ss', '-Hulnt', 'sport = :53')).trim()).toBe('');
});
