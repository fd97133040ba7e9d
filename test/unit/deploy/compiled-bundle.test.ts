import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { launchFlags } from '../../../deploy/launch-flags.ts';

const DEPLOY = path.resolve(import.meta.dirname, '../../../deploy');

let directory: string;
let file: string;
let code: string;

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'overlayd-bundle-'));
  file = path.join(directory, 'program.bundle.cjs');
  code = path.join(directory, 'program.bundle.code');
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

function writeBundle(text: string): void {
  const body = `${text}//`;
  writeFileSync(file, body + createHash('sha256').update(body).digest('hex'));
}

function keepCode(...args: string[]): string {
  return keepCodeBy([], ...args);
}

function keepCodeBy(flags: readonly string[], ...args: string[]): string {
  return execFileSync(process.execPath, [...flags, path.join(DEPLOY, 'keep-code.ts'), file, ...args], {
    stdio: 'pipe',
  }).toString();
}

/** What a process with these flags finds; the bundle itself is not run. */
function isCompiled(...flags: string[]): boolean {
  const module = JSON.stringify(path.join(DEPLOY, 'compiled-bundle.ts'));
  const script = `import { loadBundle } from ${module}; console.log(loadBundle(${JSON.stringify(file)}).compiled)`;
  const args = [...flags, '--input-type=module', '-e', script];
  return JSON.parse(execFileSync(process.execPath, args).toString());
}

const ECHO = `console.log(JSON.stringify([process.argv[1], process.argv.slice(2), __filename, __dirname,
  typeof require('node:fs').readFileSync, typeof module.exports]));`;

describe('a bundle', () => {
  it('is run as a CommonJS file of its own, with the arguments as they are', () => {
    writeBundle(ECHO);
    expect(JSON.parse(keepCode('a', '--b', ''))).toEqual([
      file,
      ['a', '--b', ''],
      file,
      directory,
      'function',
      'object',
    ]);
  });

  it('starts from the code that was kept of it', () => {
    writeBundle('console.log(1)');
    expect(isCompiled()).toBe(false);
    expect(keepCode()).toBe('1\n');
    expect(isCompiled()).toBe(true);
    // With code, too.
    expect(keepCode()).toBe('1\n');
  });

  it('has in its code the functions that were called, also when the run fails', () => {
    writeBundle(`function work() { return ${Array.from({ length: 500 }, (_, i) => `'${i}'`).join('+')} }
      if (process.argv[2] === 'work') { work(); throw new Error('this far'); }`);
    keepCode();
    const without = statSync(code).size;
    keepCode('work');
    expect(statSync(code).size).toBeGreaterThan(without + 500);
  });

  it('does not take code of another bundle, however alike', () => {
    writeBundle('console.log(1)');
    keepCode();
    writeBundle('console.log(2)');
    expect(isCompiled()).toBe(false);
    expect(keepCode()).toBe('2\n');
    expect(isCompiled()).toBe(true);
  });

  it('runs without its code, and with what is left of it', () => {
    writeBundle('console.log(1)');
    keepCode();
    const whole = readFileSync(code);
    for (const bytes of [whole.length - 1, 80, 64, 3, 0]) {
      writeFileSync(code, whole.subarray(0, bytes));
      expect([bytes, isCompiled()]).toEqual([bytes, false]);
      expect(keepCode()).toBe('1\n');
    }
  });

  it.each(['cli', 'agent'])(
    'starts from the code that was kept with the flags that the launcher gives: %s',
    (program) => {
      const flags = launchFlags(readFileSync(path.join(DEPLOY, 'launcher.sh'), 'utf8'), program);
      expect(flags).toContain('--use-openssl-ca');
      writeBundle('console.log(1)');
      keepCodeBy(flags);
      expect(isCompiled(...flags)).toBe(true);
      // One that V8 makes other code with.
      expect(isCompiled('--no-opt')).toBe(false);
    },
  );

  it('is kept by the build with those flags', () => {
    const built = path.resolve(DEPLOY, '../dist/lib');
    const launcher = readFileSync(path.join(DEPLOY, 'launcher.sh'), 'utf8');
    for (const [bundle, program] of [
      ['cli', 'cli'],
      ['agent', 'agent'],
    ] as const) {
      file = path.join(built, `${bundle}.bundle.cjs`);
      expect([bundle, isCompiled(...launchFlags(launcher, program))]).toEqual([bundle, true]);
    }
  });

  it('of a program that the launcher does not start has no flags', () => {
    expect(() => launchFlags('exec "$node" --a "$dist/lib/cli.cjs"', 'agent')).toThrow('does not start agent.cjs');
  });
});
