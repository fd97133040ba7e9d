import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** A checkout whose programs print what they were given; its own Node.js is a script that says so first. */
let root: string;
let launcher: string;

beforeAll(() => {
  root = mkdtempSync(path.join(tmpdir(), 'overlayd-launcher-'));
  mkdirSync(path.join(root, 'checkout/dist/lib'), { recursive: true });
  mkdirSync(path.join(root, 'checkout/node_modules/node/bin'), { recursive: true });
  launcher = path.join(root, 'checkout/dist/overlayd');
  copyFileSync(path.resolve(import.meta.dirname, '../../../deploy/launcher.sh'), launcher);
  chmodSync(launcher, 0o755);
  for (const program of ['cli', 'agent']) {
    const source = `console.log(JSON.stringify([process.env.NODE_CHOSEN ?? 'system', '${program}', ...process.argv.slice(2)]))`;
    writeFileSync(path.join(root, `checkout/dist/lib/${program}.cjs`), source);
  }
  const own = path.join(root, 'checkout/node_modules/node/bin/node');
  writeFileSync(own, `#!/bin/sh\nNODE_CHOSEN=own exec '${process.execPath}' "$@"\n`);
  chmodSync(own, 0o755);
});

afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

function start(command: string, args: string[], cwd = root): unknown {
  return JSON.parse(execFileSync(command, args, { cwd }).toString());
}

describe('the launcher', () => {
  it('starts the command with the checkout’s Node.js and every argument as it is', () => {
    expect(start(launcher, ['network', 'ls', '--format', '{{.Name}} x', ''])).toEqual([
      'own',
      'cli',
      'network',
      'ls',
      '--format',
      '{{.Name}} x',
      '',
    ]);
  });

  it('starts the agent', () => {
    expect(start(launcher, ['agent', '--log-level', 'debug'])).toEqual(['own', 'agent', '--log-level', 'debug']);
  });

  it('runs from its own directory, from another one, and through PATH', () => {
    const dist = path.dirname(launcher);
    expect(start('./overlayd', ['x'], dist)).toEqual(['own', 'cli', 'x']);
    expect(start('sh', ['overlayd', 'x'], dist)).toEqual(['own', 'cli', 'x']);
    expect(start('checkout/dist/overlayd', ['x'])).toEqual(['own', 'cli', 'x']);
    const out = execFileSync('sh', ['-c', 'PATH=$1:$PATH; cd /; overlayd x', 'sh', dist]);
    expect(JSON.parse(out.toString())).toEqual(['own', 'cli', 'x']);
  });

  it('runs through symbolic links, relative ones and links to links too', () => {
    mkdirSync(path.join(root, 'bin'));
    symlinkSync('../checkout/dist/overlayd', path.join(root, 'bin/overlayd'));
    symlinkSync(path.join(root, 'bin/overlayd'), path.join(root, 'ovl'));
    symlinkSync('checkout/dist', path.join(root, 'linked'));
    expect(start(path.join(root, 'bin/overlayd'), ['x'], '/')).toEqual(['own', 'cli', 'x']);
    expect(start('./ovl', ['x'])).toEqual(['own', 'cli', 'x']);
    expect(start('./linked/overlayd', ['x'])).toEqual(['own', 'cli', 'x']);
  });

  it('takes the system’s Node.js where it brings none, and says so when there is none', () => {
    rmSync(path.join(root, 'checkout/node_modules'), { recursive: true });
    const withNode = { PATH: `${path.dirname(process.execPath)}:/usr/bin:/bin` };
    expect(JSON.parse(execFileSync(launcher, ['x'], { env: withNode }).toString())).toEqual(['system', 'cli', 'x']);
    mkdirSync(path.join(root, 'empty'));
    const { status, stderr } = spawnSync('/bin/sh', [launcher, 'x'], { env: { PATH: path.join(root, 'empty') } });
    expect(status).toBe(1);
    expect(stderr.toString()).toBe('overlayd: Node.js 24 or newer is needed, and there is no node on PATH\n');
  });
});
