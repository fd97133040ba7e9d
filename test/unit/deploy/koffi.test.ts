/** A build without the native package beside it says so, in words, and what to do. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'overlayd-koffi-'));
  copyFileSync(resolve(import.meta.dirname, '../../../deploy/koffi.cjs'), join(directory, 'koffi.cjs'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function install(program: string): void {
  mkdirSync(join(directory, 'node_modules/koffi'), { recursive: true });
  writeFileSync(join(directory, 'node_modules/koffi/index.js'), program);
}

function start(): { readonly status: number | null; readonly stderr: string; readonly stdout: string } {
  const program = `console.log(require(${JSON.stringify(join(directory, 'koffi.cjs'))}).what)`;
  return spawnSync(process.execPath, ['-e', program], { encoding: 'utf8' });
}

test('the package is what it gives', () => {
  install("exports.what = 'koffi itself';");
  expect(start()).toMatchObject({ status: 0, stdout: 'koffi itself\n' });
});

const FAULTS = {
  'is not there': [undefined, /Cannot find module 'koffi'/],
  'has nothing for this machine': [
    "throw new Error('Cannot find the native Koffi module; …')",
    /the native Koffi module/,
  ],
} as const;

test.each(Object.entries(FAULTS))('a package that %s', (_, [program, why]) => {
  if (program !== undefined) install(program);
  const { status, stderr } = start();
  expect(status).toBe(1);
  expect(stderr).toMatch(why);
  expect(stderr).toMatch(/^overlayd: the npm package koffi, .*: run `npm run setup` in the checkout.*\n$/);
});
