import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

it('a program that cannot be started without descriptors is one that has ended', async () => {
  const program = fileURLToPath(new URL('start-without-descriptors.ts', import.meta.url));
  const command = ['--nofile=64:64', process.execPath, program];
  const { stdout } = await promisify(execFile)('prlimit', command);
  expect(stdout.trim()).toMatch(/EMFILE/);
});
