import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { KernelThread } from '../../../../src/adapters/kernel/kernel-thread.ts';

const workerPath = fileURLToPath(new URL('../../../fixtures/odd-worker.ts', import.meta.url));
const threads: KernelThread[] = [];

function open(limitMs = 60_000) {
  const thread = new KernelThread({ workerPath, limitMs });
  threads.push(thread);
  const ask = (command: string, signal?: AbortSignal) => thread.ask('rules', { command, json: false }, signal);
  return { thread, ask };
}

afterEach(() => {
  for (const thread of threads.splice(0)) thread.close();
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

it('that is closed fails what it was asked', async () => {
  const { thread, ask } = open();
  const lost = ask('mute');
  thread.close();
  await expect(lost).rejects.toMatchObject(LOST);
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
