import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { mendHostsFile } from '../../../../src/adapters/docker/hosts-file.ts';

const OWN = { addresses: new Set(['10.0.0.3']), areAll: true };
let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'overlayd-hosts-'));
  path = join(directory, 'hosts');
});

afterEach(() => rmSync(directory, { recursive: true }));

test('the file stays the same one, and is changed once', async () => {
  writeFileSync(path, '127.0.0.1\tlocalhost\n10.9.0.1\tzo\u00eb\n::ffff:10.0.0.3\tapi\n');
  const { ino, size } = statSync(path);
  expect(await mendHostsFile(path, OWN)).toBe(1);
  expect(readFileSync(path, 'utf8')).toBe('127.0.0.1\tlocalhost\n10.9.0.1\tzo\u00eb\n10.0.0.3       \tapi\n');
  expect(statSync(path)).toMatchObject({ ino, size });
  expect(await mendHostsFile(path, OWN)).toBe(0);
  appendFileSync(path, '::ffff:10.0.0.3\tapi\n');
  expect(await mendHostsFile(path, OWN)).toBe(1);
});

test('one that is gone needs nothing', async () => {
  expect(await mendHostsFile(path, OWN)).toBe(0);
});

test('no link is followed', async () => {
  const other = join(directory, 'other');
  writeFileSync(other, '::ffff:10.0.0.3\tapi\n');
  symlinkSync(other, path);
  await expect(mendHostsFile(path, OWN)).rejects.toThrow('ELOOP');
  expect(readFileSync(other, 'utf8')).toContain('::ffff:');
});

test('one in which nothing is wrong need not be one that may be written', async () => {
  writeFileSync(path, '127.0.0.1\tlocalhost\n10.0.0.3\tapi\n');
  // A program that runs is a file that nobody may write, root included.
  const program = join(directory, 'program');
  copyFileSync('/bin/sleep', program);
  const running = spawn(program, ['60']);
  try {
    await once(running, 'spawn');
    expect(await mendHostsFile(program, OWN)).toBe(0);
  } finally {
    running.kill();
  }
});
