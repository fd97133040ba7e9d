import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withRehearsedAgent } from '../../../deploy/rehearsed-agent.ts';

const LIB = path.resolve(import.meta.dirname, '../../../dist/lib');

let directory: string;
let atExit: string;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'overlayd-start-'));
  atExit = path.join(directory, 'loaded.cjs');
  await writeFile(atExit, `process.on('exit', () => console.error(JSON.stringify(process.moduleLoadList)))`);
});

afterAll(() => rm(directory, { recursive: true }));

describe('a command that lists', () => {
  it('loads nothing that only others need', async () => {
    await withRehearsedAgent(async (runDir) => {
      const argv = ['--require', atExit, path.join(LIB, 'cli.cjs'), '--run-dir', runDir, 'network', 'ls'];
      const { stdout, stderr } = await promisify(execFile)(process.execPath, argv);
      expect(stdout).toMatch(/\nrehearsed +rehearsed +10\.0\.0\.0\/24 +4096 +2 +active\n/);
      const loaded: readonly string[] = JSON.parse(stderr.trim().split('\n').at(-1)!);
      expect(loaded).toContain('NativeModule net');
      for (const name of ['child_process', 'os', 'http2', 'tls', 'fs/promises', 'readline']) {
        expect(loaded).not.toContain(`NativeModule ${name}`);
      }
    });
  });

  it('has compiled code of what it does with the answer', async () => {
    const code = await readFile(path.join(LIB, 'cli.bundle.code'), 'latin1');
    expect(code).toContain('protobuf decode recursion limit exceeded');
  });
});
