import { describe, expect, it } from 'vitest';
import { memoryFiles, run } from './fake-agent.ts';

const PLACE = '/usr/local/libexec/netavark/overlayd';

describe('podman install', () => {
  it('puts the program where netavark looks for it, and uninstall takes it away', async () => {
    const files = new Map<string, string>();
    const surroundings = { files: memoryFiles(files) };
    expect(await run('podman install', { surroundings })).toMatchObject({ code: 0, out: `${PLACE}\n` });
    expect(files.get(PLACE)).toContain('/run/overlayd/plugins.sock');
    expect(await run('podman uninstall', { surroundings })).toMatchObject({ code: 0, out: `${PLACE}\n` });
    expect([...files.keys()]).toEqual([]);
    const again = await run('podman uninstall', { surroundings });
    expect([again.code, again.error]).toEqual([1, expect.stringContaining(`there is no ${PLACE}`)]);
  });

  it('prints the program, and installs nothing', async () => {
    const files = new Map<string, string>();
    const printed = await run('--run-dir /run/second podman install --print', {
      surroundings: { files: memoryFiles(files) },
    });
    expect([printed.code, files.size]).toEqual([0, 0]);
    expect(printed.out).toContain('/run/second/plugins.sock');
  });

  it('leaves a program of the same name alone', async () => {
    const files = new Map([['/x/overlayd', '#!/bin/sh']]);
    const refused = await run('podman install --plugin-dir /x', { surroundings: { files: memoryFiles(files) } });
    expect([refused.code, files.get('/x/overlayd')]).toEqual([1, '#!/bin/sh']);
    expect(refused.error).toContain('choose another --plugin-dir');
  });
});
