import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { carryOut } from '../../../../src/adapters/kernel/carry-out.ts';
import { Flows } from '../../../../src/adapters/kernel/flows.ts';
import { KernelThread } from '../../../../src/adapters/kernel/kernel-thread.ts';
import { Leave } from '../../../../src/adapters/kernel/leave.ts';
import { Looker } from '../../../../src/adapters/kernel/look.ts';
import { Tables } from '../../../../src/adapters/kernel/tables.ts';
import { HOST } from '../../../../src/core/host-state.ts';
import { until } from '../../../lab/until.ts';

const workerPath = fileURLToPath(new URL('../../../fixtures/odd-worker.ts', import.meta.url));
const threads: KernelThread[] = [];

function open(limitMs = 60_000) {
  const thread = new KernelThread({ workerPath, limitMs });
  threads.push(thread);
  const ask = (command: string, signal?: AbortSignal) => thread.ask('rules', { command }, signal);
  return { thread, ask };
}

afterEach(async () => {
  await Promise.all(threads.splice(0).map((thread) => thread.close()));
});

const LOST = { code: 'data-path-failed', retryable: true, message: expect.stringContaining('is not known') };

it('answers each job, in one thread', async () => {
  const { ask } = open();
  expect(await Promise.all([ask('a'), ask('b')])).toEqual(['a 1', 'b 2']);
});

it.each(['end', 'fail'])('that ends fails what it was asked, and the next job has another: %s', async (command) => {
  const { ask } = open();
  await ask('a');
  const lost = ask('mute');
  await expect(ask(command)).rejects.toMatchObject(LOST);
  await expect(lost).rejects.toMatchObject(LOST);
  expect(await ask('b')).toBe('b 1');
});

it('that does not answer in time is replaced', async () => {
  const { ask } = open(50);
  await expect(ask('mute')).rejects.toMatchObject(LOST);
  const { ask: patient } = open();
  expect(await patient('b')).toBe('b 1');
});

it('that has grown too large is followed by another one, when it has nothing left to do', async () => {
  const { ask } = open();
  expect(await Promise.all([ask('large'), ask('b')])).toEqual(['large 1', 'b 2']);
  expect(await ask('large')).toBe('large 3');
  expect(await ask('c')).toBe('c 1');
});

it('that is closed fails what it was asked', async () => {
  const { thread, ask } = open();
  const lost = ask('mute');
  const closed = thread.close();
  await expect(lost).rejects.toMatchObject(LOST);
  await closed;
});

// Cut off while it calls a native function, it would take the process along.
it('that is closed is not cut off in what it is doing', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'overlayd-thread-')), 'job');
  const { thread, ask } = open();
  const lost = expect(ask(`busy ${path}`)).rejects.toMatchObject(LOST);
  await until('it to be busy', () => existsSync(`${path}.begun`));
  const closed = thread.close();
  await lost;
  writeFileSync(`${path}.go`, '');
  await closed;
  expect(existsSync(`${path}.done`)).toBe(true);
  rmSync(dirname(path), { recursive: true });
});

it('that is given up begins nothing more', async () => {
  const leave = new Leave();
  const ops = [{ kind: 'set-sysctl', at: HOST, key: 'net.none', value: '1' }] as const;
  const tables = new Tables();
  const work = () =>
    carryOut({ tables, flows: new Flows(), looker: new Looker(tables), leave }, [
      { essential: false, works: [{ place: HOST, ops }] },
    ]);
  expect(await work()).toEqual([[]]);
  leave.ask();
  await expect(work()).rejects.toThrow('given up');
});

it('is not waited for by whoever gives up', async () => {
  const { ask } = open();
  const quit = new AbortController();
  const given = ask('mute', quit.signal);
  quit.abort();
  await expect(given).rejects.toMatchObject({ code: 'cancelled' });
  await expect(ask('a', quit.signal)).rejects.toMatchObject({ code: 'cancelled' });
  expect(await ask('b')).toBe('b 2');
});
