import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { expect, it } from 'vitest';
import { receive } from '../../../src/cli/host/add.ts';

it('leaves no part of a package on another host that has no room for it', () => {
  const directory = mkdtempSync(`${tmpdir()}/overlayd-receive-`);
  const script = receive('overlayd_0.1.0_amd64.deb').replace('/var/tmp/', `${directory}/`);
  const sh = (input: string, limit: string) => spawnSync('sh', ['-c', `${limit}\n${script}`], { input });
  try {
    expect(sh('the package', 'trap "" XFSZ; ulimit -f 0').status).toBe(1);
    expect(readdirSync(directory)).toEqual([]);
    const { status, stdout } = sh('the package', '');
    expect(status).toBe(0);
    expect(readFileSync(`${String(stdout).trim()}/overlayd_0.1.0_amd64.deb`, 'utf8')).toBe('the package');
  } finally {
    rmSync(directory, { recursive: true });
  }
});
