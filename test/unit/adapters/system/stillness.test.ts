import { type ChildProcess, spawn } from 'node:child_process';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { stillnessOf } from '../../../../src/adapters/system/stillness.ts';
import { until } from '../../../lab/until.ts';

let child: ChildProcess;
beforeEach(() => {
  child = spawn('sleep', ['infinity']);
});
afterEach(() => child.kill('SIGKILL'));

it('tells a process that is stopped from one that runs', async () => {
  const path = `/proc/${child.pid}/ns/net`;
  expect(await stillnessOf(path)).toBeUndefined();
  child.kill('SIGSTOP');
  expect(await until('it to be told', () => stillnessOf(path))).toMatch(/^its process is stopped/);
  child.kill('SIGCONT');
  await until('it to go on', async () => (await stillnessOf(path)) === undefined);
});

it('says nothing of a namespace that no process is named by, or of a process that is gone', async () => {
  expect(await stillnessOf('/run/netns/c1')).toBeUndefined();
  expect(await stillnessOf('/proc/999999999/ns/net')).toBeUndefined();
});
