import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { receiveAndInstall } from '../../../src/cli/host/add.ts';

const CONTENTS = 'the package';

describe('what another host does with the package', () => {
  let directory = '';
  let script = '';
  const left = () => readdirSync(`${directory}/tmp`);
  const installed = () => existsSync(`${directory}/installed`) && readFileSync(`${directory}/installed`, 'utf8');
  const env = () => ({ ...process.env, PATH: `${directory}/bin:${process.env.PATH}` });
  const sh = (input: string, before = '') => spawnSync('sh', ['-c', `${before}\n${script}`], { input, env: env() });

  beforeEach(() => {
    directory = mkdtempSync(`${tmpdir()}/overlayd-receive-`);
    for (const name of ['tmp', 'bin']) mkdirSync(`${directory}/${name}`);
    // Its last word is the file.
    const apt = `#!/bin/sh\nsleep 0.2\nfor file; do :; done\ncp "$file" ${directory}/installed\n`;
    writeFileSync(`${directory}/bin/apt-get`, apt, { mode: 0o755 });
    const forHost = receiveAndInstall('deb', 'overlayd_0.1.0_amd64.deb', CONTENTS.length);
    script = forHost.replace('/var/tmp/', `${directory}/tmp/`);
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  it('is to install it, and leave nothing of it', () => {
    expect(sh(CONTENTS).status).toBe(0);
    expect([installed(), left()]).toEqual([CONTENTS, []]);
  });

  it('leaves no part of it where there is no room', () => {
    expect(sh(CONTENTS, 'trap "" XFSZ; ulimit -f 0').status).toBe(1);
    expect([installed(), left()]).toEqual([false, []]);
  });

  it('neither installs nor leaves a part of it, where the connection ends in the middle', () => {
    const { status, stderr } = sh(CONTENTS.slice(0, 5));
    expect([status, String(stderr)]).toEqual([1, 'only a part of the file arrived\n']);
    expect([installed(), left()]).toEqual([false, []]);
  });

  it('installs it to the end when the connection ends later, and leaves nothing of it', async () => {
    const child = spawn('sh', ['-c', script], { env: env() });
    child.stdin.end(CONTENTS);
    child.stdout.destroy();
    child.stderr.destroy();
    await once(child, 'exit');
    expect([installed(), left()]).toEqual([CONTENTS, []]);
  });

  it('leaves nothing of it when it is told to end', async () => {
    const child = spawn('sh', ['-c', script], { env: env() });
    while (left().length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    child.kill('SIGHUP');
    child.stdin.end();
    await once(child, 'exit');
    expect([installed(), left()]).toEqual([false, []]);
  });
});
