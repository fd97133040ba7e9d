/** Which process answers names: one at a time, that ends when it hangs, and leaves its place when it goes. */
import { closeSync, existsSync, openSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { tryLock } from '../../../src/adapters/native/file-lock.ts';
import { systemClock } from '../../../src/adapters/system/time.ts';
import { until } from '../../lab/until.ts';
import { GATEWAY, isAlive, NamesLab, PROGRAM } from './names-lab.ts';

const names = new NamesLab('place');
const { lab } = names;

it('goes on when it is asked from where no answer can be sent to', async () => {
  const { start } = names.keeperOf();
  await start();
  const first = await names.pid();
  await (await lab.start('container', 'portless.ts', GATEWAY, 'api')).stop();
  await names.answers();
  expect(await names.pid()).toBe(first);
});

it('is not ended because its agent stalls', async () => {
  const [one, two] = [names.keeperOf(), names.keeperOf()];
  await one.start();
  const first = await names.pid();
  one.stop();
  two.run();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 6_000);
  await until('a session', () => two.sessions.length > 0);
  expect(await names.pid()).toBe(first);
  expect(two.log.filter(({ level }) => level === 'warn')).toEqual([]);
});

it('says why it does not start', async () => {
  const { keeper, run, stop } = names.keeperOf();
  await mkdir(join(names.directory, 'names.sock'));
  run();
  await until('the reason', () => keeper.problem?.includes('EISDIR'));
  stop();
  await rm(join(names.directory, 'names.sock'), { recursive: true });
});

it('answers where nothing can be written', async () => {
  const { start, stop } = names.keeperOf();
  await lab.run('web', 'mount', '-t', 'tmpfs', '-o', 'size=4k', 'tmpfs', names.directory);
  try {
    await writeFile(join(names.directory, 'full'), Buffer.alloc(4_096));
    await start();
    await names.answers();
    stop();
    for (const each of await names.processes()) process.kill(Number(each), 'SIGKILL');
  } finally {
    await lab.run('web', 'umount', '-l', names.directory);
  }
});

it('is left alone by one that has other files', async () => {
  const node = join(names.directory, 'node');
  await writeFile(node, `#!/bin/sh\nexec unshare -m ${process.execPath} "$@"\n`, { mode: 0o755 });
  const [one, two] = [names.keeperOf({ node }), names.keeperOf()];
  await one.start();
  const first = await names.pid();
  one.stop();
  for (const name of ['names.sock', 'names.sock.lock']) await rm(join(names.directory, name));
  await two.start();
  const held = `port 53 is held there by .* \\(pid ${first}\\), which has to end`;
  expect(await names.listen(two.sessions[0]!)).toMatchObject({ message: expect.stringMatching(held) });
  expect(isAlive(first)).toBe(true);
  process.kill(first, 'SIGKILL');
});

it('is followed by another one when it dies', async () => {
  const { keeper, sessions, start } = names.keeperOf();
  await start();
  const first = await names.pid();
  process.kill(first, 'SIGKILL');
  await until('another session', () => sessions.length > 1);
  await names.answers();
  expect(await names.pid()).not.toBe(first);
  expect(keeper.problem).toBeUndefined();
});

it('is ended and followed by another one when it hangs, whether an agent is connected or comes', async () => {
  const one = names.keeperOf();
  await one.start();
  const first = await names.pid();
  process.kill(first, 'SIGSTOP');
  await until('another session', () => one.sessions.length > 1);
  await names.answers();
  expect(isAlive(first)).toBe(false);
  one.stop();
  const second = await names.pid();
  process.kill(second, 'SIGSTOP');
  const two = names.keeperOf();
  await two.start();
  await names.answers();
  expect(isAlive(second)).toBe(false);
});

it('is one, whoever starts it', async () => {
  const keepers = Array.from({ length: 4 }, () => names.keeperOf());
  for (const { run } of keepers) run();
  await until('each to have been connected', () => keepers.every(({ sessions }) => sessions.length > 0));
  const first = await names.pid();
  await until('the others to end', async () => (await names.processes()).length === 1);
  expect(await names.processes()).toEqual([String(first)]);
  const connected = keepers.flatMap(({ log }) => log).filter(({ message }) => message.startsWith('names are answered'));
  expect(new Set(connected.map(({ fields }) => fields.pid))).toEqual(new Set([first]));
});

it('is started again where the one before it kept the lock for a moment', async () => {
  // As with one whose connections the kernel has closed, and its other files not yet.
  const [node, codes] = [join(names.directory, 'node'), join(names.directory, 'codes')];
  await writeFile(node, `#!/bin/sh\n${process.execPath} "$@"\ncode=$?\necho $code >>${codes}\nexit $code\n`, {
    mode: 0o755,
  });
  const { log, sessions, run } = names.keeperOf({ node });
  const lock = openSync(names.lockPath, 'a');
  expect(tryLock(lock)).toBe(true);
  run();
  await until('one to find it locked', async () => (await readFile(codes, 'utf8')).startsWith('3\n'));
  closeSync(lock);
  await until('a session', () => sessions.length > 0);
  expect(log.filter(({ level }) => level === 'warn')).toEqual([]);
});

it('is not ended when it has got the lock just as its agent gives up on the start of one', async () => {
  let lateMs = 0;
  const clock = { ...systemClock, elapsed: () => systemClock.elapsed() + lateMs };
  const slow = await names.release(
    `import { existsSync } from 'node:fs';
     import { Server } from 'node:net';
     const { listen } = Server.prototype;
     const go = (server, ...words) =>
       existsSync('${names.directory}/go') ? listen.apply(server, words) : setTimeout(go, 10, server, ...words);
     Server.prototype.listen = function (...words) { return go(this, ...words), this; };
     await import('${PROGRAM}');\n`,
  );
  const { log, sessions, run } = names.keeperOf({ program: slow, clock });
  run();
  await until('it to have the lock', async () => (await names.pid()) > 0);
  const first = await names.pid();
  lateMs = 10_000;
  await until('the agent to try again', () => log.some(({ message }) => message.includes('is lost')));
  expect(isAlive(first)).toBe(true);
  await writeFile(join(names.directory, 'go'), '');
  await until('a session', () => sessions.length > 0);
  expect(await names.pid()).toBe(first);
});

it('takes the port from one that cannot be reached any more', async () => {
  const [one, two] = [names.keeperOf(), names.keeperOf()];
  await one.start();
  const first = await names.pid();
  one.stop();
  for (const name of ['names.sock', 'names.sock.lock']) await rm(join(names.directory, name));
  await two.start();
  await names.answers();
  expect(isAlive(first)).toBe(false);
});

it('lets go of a namespace that is removed, also when it hangs', async () => {
  const { sessions, start } = names.keeperOf();
  await lab.add('gone', 'far');
  for (const hangs of [false, true]) {
    const there = async () => (await lab.run('far', 'ip', '-br', 'link', 'show')).includes('peer');
    await lab.cable('gone', 'port', '10.78.0.1/16', 'far', 'peer', '10.78.0.2/16');
    if (!hangs) await start();
    const session = sessions.at(-1)!;
    const namespacePath = lab.path('gone');
    await session.ask({ kind: 'listen', networkId: 'g', namespacePath, addresses: ['10.78.0.1'] });
    if (hangs) process.kill(await names.pid(), 'SIGSTOP');
    await session.ask({ kind: 'release', networkId: undefined, namespacePath }).catch(() => undefined);
    await lab.remove('gone');
    await until('the namespace to be gone', async () => !(await there()));
    if (!hangs) await lab.add('gone');
  }
  await lab.remove('far');
});

it('ends when it is told to, and leaves nothing', async () => {
  const { keeper, start, stop } = names.keeperOf();
  await start();
  const first = await names.pid();
  stop();
  await keeper.end();
  expect(isAlive(first)).toBe(false);
  expect(existsSync(join(names.directory, 'names.sock'))).toBe(false);
  expect((await lab.run('web', 'ss', '-Hulnt', 'sport = :53')).trim()).toBe('');
});
