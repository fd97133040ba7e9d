/** Who holds the port where names are to be answered: what an older release left is ended, others are named. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { SocketListeners } from '../../../src/adapters/dns/listeners.ts';
import type { Logger } from '../../../src/ports/runtime.ts';
import { NamespaceLab } from './lab.ts';

const ADDRESSES = Array.from({ length: 8 }, (_, index) => `10.77.0.${index + 1}`);

const lab = new NamespaceLab('left');
const silent = () => undefined;
const logger: Logger = { error: silent, warn: silent, info: silent, debug: silent, child: () => logger };
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'left-'));
  await lab.add('web');
  for (const address of ADDRESSES) await lab.ip('web', `addr add ${address}/32 dev lo`);
});

afterAll(async () => {
  for (const pid of await insiders()) process.kill(pid, 'SIGKILL');
  await lab.close();
  await rm(directory, { recursive: true });
});

async function insiders(): Promise<number[]> {
  const pids = await lab.run('web', 'ip', 'netns', 'pids', lab.name('web'));
  const each = await Promise.all(
    pids
      .split('\n')
      .filter(Boolean)
      .map(async (pid) => {
        const words = await lab.run('web', 'cat', `/proc/${pid}/cmdline`).catch(() => '');
        return words.includes('binder.ts') ? [Number(pid)] : [];
      }),
  );
  return each.flat();
}

function listen() {
  const listeners = new SocketListeners({ handler: silent, logger });
  const bound = listeners.ensure({ networkId: 'x', namespacePath: lab.path('web'), addresses: ADDRESSES });
  return { bound, close: () => listeners.close('x') };
}

/** A program in the namespace whose parent has gone. Resolves when it has said something. */
async function orphan(script: string, words: string): Promise<void> {
  const line = `nsenter --net=${lab.path('web')} ${process.execPath} ${script} ${words} &`;
  const shell = spawn('sh', ['-c', line], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(shell.stdout, 'data');
}

it('what an agent of an older release left is ended', async () => {
  const script = join(directory, 'binder.ts');
  const held = `require('node:net').createServer().listen({ host: '${ADDRESSES[3]}', port: 53 }, () => console.log('held'));`;
  await writeFile(script, held);
  await orphan(script, '53');
  const { bound, close } = listen();
  await bound;
  await close();
  expect(await insiders()).toEqual([]);
});

it('what merely speaks of that program is not ended', async () => {
  const script = join(directory, 'binder.ts');
  await orphan(script, 'aloud');
  const { bound, close } = listen();
  await expect(bound).rejects.toMatchObject({ code: 'data-path-failed' });
  await close();
  const [pid] = await insiders();
  process.kill(pid!, 'SIGKILL');
});

it('what is somebody else’s is not ended, and named', async () => {
  const script = join(directory, 'theirs.cjs');
  const held = `require('node:net').createServer().listen({ host: '${ADDRESSES[3]}', port: 53 }, () => console.log(process.pid)); process.stdin.resume().on('end', () => process.exit());`;
  await writeFile(script, held);
  const theirs = spawn('nsenter', [`--net=${lab.path('web')}`, process.execPath, script], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [pid] = await once(theirs.stdout, 'data');
  const { bound, close } = listen();
  await expect(bound).rejects.toMatchObject({
    code: 'data-path-failed',
    message: expect.stringMatching(
      new RegExp(`10.77.0.4 .*port 53 is held there by .* \\(pid ${String(pid).trim()}\\)`),
    ),
  });
  expect(theirs.exitCode).toBeNull();
  await close();
  theirs.stdin.end();
  await once(theirs, 'exit');
  const again = listen();
  await again.bound;
  await again.close();
});
