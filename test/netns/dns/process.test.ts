/** The process that answers names, over its agents' ends, its own end, and the end of its release. */
import { readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { until } from '../../lab/until.ts';
import { GATEWAY, GATEWAY6, isAlive, NamesLab, PROGRAM } from './names-lab.ts';

const names = new NamesLab('proc');
const { lab } = names;

/** Node.js in the namespace that plays the host, with a name server there. */
async function nodeInHost(nameServer: string): Promise<string> {
  const [path, resolver] = [join(names.directory, 'node'), join(names.directory, 'resolv.conf')];
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
  const [one, two] = [names.keeperOf(), names.keeperOf()];
  await one.start();
  const first = await names.pid();
  const stopAsking = await startAsking();
  one.stop();
  await until('the agent to be gone', () => one.sessions[0]!.ended.aborted);
  for (let i = 0; i < 20; i++) expect(await names.dig('api')).toBe('10.77.0.9');
  await two.start();
  const { asked, lost } = await stopAsking();
  expect(asked).toBeGreaterThan(50);
  expect(lost).toEqual([]);
  expect(await names.pid()).toBe(first);
});

it('hands over to one of another release without a question lost', async () => {
  const [one, two] = [names.keeperOf(), names.keeperOf({ program: await names.release() })];
  await one.start();
  const first = await names.pid();
  const stream = await lab.start('container', 'stream.ts', GATEWAY, 'api');
  const stopAsking = await startAsking();
  one.stop();
  await two.start();
  expect(await names.pid()).not.toBe(first);
  // What was a connection to the old one goes on.
  expect(await stream.ask('again')).toBe('10.77.0.9');
  expect(await names.dig('+tcp', 'api')).toBe('10.77.0.9');
  const { lost } = await stopAsking();
  expect(lost).toEqual([]);
  expect(isAlive(first)).toBe(true);
  await stream.stop();
  await until('the old one to end', () => !isAlive(first));
  expect(await names.dig('api')).toBe('10.77.0.9');
  for (const how of ['+notcp', '+tcp']) expect(await names.dig(`@${GATEWAY6}`, how, 'api')).toBe('10.77.0.9');
});

it('hands over what waits for an upstream server', async () => {
  await lab.add('host');
  await lab.ip('host', 'addr add 192.0.2.53/32 dev lo');
  const upstream = await lab.start('host', 'slow-upstream.ts', '192.0.2.53', '300');
  const node = await nodeInHost('192.0.2.53');
  const [one, two] = [names.keeperOf({ node }), names.keeperOf({ program: await names.release(), node })];
  await one.start();
  const first = await names.pid();
  // Fewer at a time than one container may have waiting, those of the old one besides.
  const asked = Array.from({ length: 50 }, (_, number) => `n${number}.example`);
  const asker = await lab.start('container', 'asker.ts', GATEWAY, '80', '100', ...asked);
  one.stop();
  await two.start();
  expect(await names.pid()).not.toBe(first);
  expect(JSON.parse(await asker.ask('stop'))).toMatchObject({ lost: [], wrong: [] });
  await upstream.stop();
});

it('hands over to one, however many agents ask for it meanwhile', async () => {
  const waiting = await names.release(
    `import { existsSync, writeFileSync } from 'node:fs';
     writeFileSync(\`${names.directory}/started-\${process.pid}\`, '');
     while (!existsSync('${names.directory}/go')) await new Promise((look) => setTimeout(look, 10));
     await import('${PROGRAM}');\n`,
  );
  const successors = async () => (await readdir(names.directory)).filter((name) => name.startsWith('started-'));
  const [one, two, three] = [
    names.keeperOf(),
    names.keeperOf({ program: waiting }),
    names.keeperOf({ program: waiting }),
  ];
  await one.start();
  const first = await names.pid();
  one.stop();
  two.run();
  await until('a successor', async () => (await successors()).length > 0);
  const third = three.start();
  await until('its connection to be in the place of the second', () => two.log.length > 0);
  two.stop();
  await names.answers();
  await writeFile(join(names.directory, 'go'), '');
  await third;
  await until('the old one to end', () => !isAlive(first));
  expect(await names.processes()).toEqual([String(await names.pid())]);
  expect(await successors()).toHaveLength(1);
  await names.answers();
});

it.each(['process.pid', 'process.ppid'])(
  'names come back when %s is killed at any step of a hand-over',
  async (whose) => {
    // As many messages as there are, or more: begin, four of news, two sockets, the place.
    for (let step = 1; step <= 8; step++) {
      const mortal = `let left = ${step};
      process.on('message', () => { if (--left === 0) process.kill(${whose}, 'SIGKILL'); });
      await import('${PROGRAM}');\n`;
      const [one, two] = [names.keeperOf(), names.keeperOf({ program: await names.release(mortal) })];
      await one.start();
      one.stop();
      await two.start();
      await names.answers();
      await until('one process', async () => (await names.processes()).length === 1);
      two.stop();
      await two.keeper.end();
    }
  },
);

it('is followed by another one also while the one before it has connections', async () => {
  const [one, two] = [names.keeperOf(), names.keeperOf({ program: await names.release() })];
  await one.start();
  const first = await names.pid();
  const stream = await lab.start('container', 'stream.ts', GATEWAY, 'api');
  one.stop();
  await two.start();
  process.kill(await names.pid(), 'SIGKILL');
  await until('another session', () => two.sessions.length > 1);
  await names.answers();
  expect(isAlive(first)).toBe(true);
  await stream.stop();
});

it('is told what changes also when its program is not there any more', async () => {
  const program = await names.release();
  const [one, two] = [names.keeperOf({ program }), names.keeperOf({ program })];
  await one.start();
  const first = await names.pid();
  one.stop();
  await rm(program);
  await two.start();
  expect(await names.pid()).toBe(first);
  expect(two.keeper.problem).toBeUndefined();
});

it('goes on as it is when one of another release does not start', async () => {
  const [one, two] = [names.keeperOf(), names.keeperOf({ program: await names.release('process.exit(7);\n') })];
  await one.start();
  const first = await names.pid();
  const stopAsking = await startAsking();
  one.stop();
  await two.start();
  expect(await names.pid()).toBe(first);
  expect(two.log).toContainEqual(
    expect.objectContaining({ level: 'warn', message: expect.stringContaining('could not hand over') }),
  );
  expect((await stopAsking()).lost).toEqual([]);
});

it('tells whether it is new, and keeps nothing open of what it tried at its start', async () => {
  const [one, two] = [names.keeperOf(), names.keeperOf()];
  await one.start();
  expect(one.sessions[0]!.isNew).toBe(true);
  const folder = `/proc/${await names.pid()}/fd`;
  await until('nothing to be open in the host', async () => {
    const tables = await Promise.all(['tcp', 'udp'].map((name) => readFile(`/proc/net/${name}`, 'utf8')));
    const open = await Promise.all((await readdir(folder)).map((fd) => readlink(`${folder}/${fd}`).catch(() => '')));
    const inodes = open.flatMap((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? []);
    return inodes.length > 0 && !inodes.some((inode) => tables.join('').includes(` ${inode} `));
  });
  one.stop();
  await until('the agent to be gone', () => one.sessions[0]!.ended.aborted);
  await two.start();
  expect(two.sessions[0]!.isNew).toBe(false);
});
