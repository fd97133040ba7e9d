import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Run } from '../../../../src/adapters/exec.ts';
import { isHostStopping, isLastStop } from '../../../../src/adapters/system/shutdown.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';

const BOOTED = '/';
const saying =
  (stdout: string): Run =>
  async (argv) => {
    expect(argv).toEqual(['systemctl', 'is-system-running']);
    return { code: stdout === 'running\n' ? 0 : 1, stdout, stderr: '' };
  };

test.each([
  ['running', false],
  ['degraded', false],
  ['starting', false],
  ['stopping', true],
])('systemd says %s', async (state, isStopping) => {
  expect(await isHostStopping(saying(`${state}\n`), BOOTED)).toBe(isStopping);
});

test('where nobody can be asked it is not', async () => {
  const failing: Run = async () => {
    throw new OverlaydError('tool-missing', 'no systemctl');
  };
  expect(await isHostStopping(failing, BOOTED)).toBe(false);
  expect(await isHostStopping(saying('stopping\n'), '/nowhere')).toBe(false);
});

test('who stops it for good says so for one stop', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'overlayd-run-'));
  try {
    expect(await isLastStop(directory)).toBe(false);
    await writeFile(join(directory, 'last-stop'), '');
    expect(await isLastStop(directory)).toBe(true);
    expect(await isLastStop(directory)).toBe(false);
  } finally {
    await rm(directory, { recursive: true });
  }
});
