import { expect, it } from 'vitest';
import type { RunResult } from '../../../../src/adapters/exec.ts';
import { createContainers } from '../../../../src/adapters/system/containers.ts';
import { leaderOf } from '../../../../src/adapters/system/machines.ts';

/** A bus with one machine, as busctl of systemd 252 tells of it. */
function bus(name: string, leader: number) {
  const asked: (readonly string[])[] = [];
  const fine = (stdout: string): RunResult => ({ code: 0, stdout, stderr: '' });
  const run = async (argv: readonly string[]): Promise<RunResult> => {
    asked.push(argv);
    const path = `/org/freedesktop/machine1/machine/${name}`;
    if (argv.includes('GetMachine')) {
      if (argv.at(-1) === name) return fine(`{"type":"o","data":["${path}"]}\n`);
      return { code: 1, stdout: '', stderr: `Call failed: No machine '${argv.at(-1)}' known\n` };
    }
    return argv.includes(path) ? fine(`{"type":"u","data":${leader}}\n`) : { code: 1, stdout: '', stderr: 'no' };
  };
  return { run, asked };
}

it('is the process that machined names', async () => {
  const { run, asked } = bus('build', 4711);
  expect(await leaderOf(run, 'build')).toBe(4711);
  expect(asked.map(([program, , verb]) => [program, verb])).toEqual([
    ['busctl', 'call'],
    ['busctl', 'get-property'],
  ]);
});

it('says which machines there are to choose from', async () => {
  const { run } = bus('build', 4711);
  await expect(leaderOf(run, 'biuld')).rejects.toMatchObject({
    code: 'namespace-not-found',
    message: expect.stringContaining('machinectl list'),
  });
});

it('says what to do where there is no machined', async () => {
  const stderr = 'Call failed: The name org.freedesktop.machine1 was not provided by any .service files\n';
  const run = async () => ({ code: 1, stdout: '', stderr });
  await expect(leaderOf(run, 'build')).rejects.toMatchObject({
    code: 'engine-unavailable',
    message: expect.stringMatching(/not provided .*; install systemd-container, or give the process: pid:NUMBER/),
  });
});

it('is a container by that process, under the name of the machine', async () => {
  const containers = createContainers({
    tools: { machine: { processOf: async () => process.pid } },
    hostNamespace: '/proc/self/ns/uts',
  });
  expect(await containers.resolve('machine:build')).toMatchObject({
    text: 'machine:build',
    path: `/proc/${process.pid}/ns/net`,
    identity: expect.stringMatching(new RegExp(`^${process.pid}:`)),
  });
});
