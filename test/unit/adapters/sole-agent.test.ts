import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { beSoleAgent } from '../../../src/adapters/sole-agent.ts';

let directory: string;
let waited: number;
const deps = {
  refuse: async () => undefined,
  clock: {
    elapsed: () => waited,
    sleep: async (ms: number) => {
      waited += ms;
      await new Promise(setImmediate);
    },
  },
};

beforeEach(async () => {
  waited = 0;
  directory = await mkdtemp(join(tmpdir(), 'sole-'));
});
afterEach(() => rm(directory, { recursive: true }));

const directories = (data = 'data', run = 'run') => ({ dataDir: join(directory, data), runDir: join(directory, run) });

test('of two that start at once one waits until the other has ended', async () => {
  const order: string[] = [];
  const take = async (name: string) => {
    const giveBack = await beSoleAgent(directories(), deps);
    order.push(`${name} begins`);
    await new Promise(setImmediate);
    order.push(`${name} ends`);
    giveBack();
  };
  await Promise.all([take('one'), take('two')]);
  expect(order).toEqual(['one begins', 'one ends', 'two begins', 'two ends']);
});

test.each([
  ['data', ['data', 'other'] as const],
  ['run', ['other', 'run'] as const],
])('one that goes on in the same %s directory is named', async (shared, names) => {
  const giveBack = await beSoleAgent(directories(), deps);
  await expect(beSoleAgent(directories(...names), deps)).rejects.toMatchObject({
    code: 'conflict',
    message: `another agent (pid ${process.pid}) works with ${join(directory, shared)}; stop it first (\`systemctl stop overlayd\`), or set --${shared}-dir`,
  });
  giveBack();
  (await beSoleAgent(directories(...names), deps))();
});

test('both directories may be one', async () => {
  (await beSoleAgent(directories('same', 'same'), deps))();
});

test('one that answers meanwhile is not waited for', async () => {
  const giveBack = await beSoleAgent(directories(), deps);
  const refuse = async () => {
    if (waited > 0) throw new Error('it answers');
  };
  await expect(beSoleAgent(directories(), { ...deps, refuse })).rejects.toThrow('it answers');
  expect(waited).toBe(50);
  giveBack();
});
