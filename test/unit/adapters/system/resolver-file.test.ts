import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { configureResolver, resolverDrift, withResolver } from '../../../../src/adapters/system/resolver-file.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'overlayd-resolver-'));
});
afterEach(() => rm(directory, { recursive: true }));

const c1 = { text: 'netns:c1', path: '/run/netns/c1', identity: '1' };
const read = () => readFile(join(directory, 'c1/resolv.conf'), 'utf8');

describe('the resolver file', () => {
  it('names the servers, says whose it is, and goes again', async () => {
    expect(await configureResolver(directory, c1, ['10.0.0.1', '10.0.1.1'])).toBeUndefined();
    expect((await read()).split('\n')).toEqual([
      expect.stringMatching(/^# .*overlayd/),
      'nameserver 10.0.0.1',
      'nameserver 10.0.1.1',
      'options ndots:0',
      '',
    ]);
    await configureResolver(directory, c1, ['10.0.1.1']);
    expect(await read()).not.toContain('10.0.0.1');
    await configureResolver(directory, c1, []);
    expect(await readdir(directory)).toEqual([]);
  });

  it('tells whose containers have one, and leaves out what is not ours', async () => {
    await configureResolver(directory, c1, ['10.0.0.1']);
    await mkdir(join(directory, 'c2'));
    await mkdir(join(directory, 'c3'));
    await writeFile(join(directory, 'c3/resolv.conf'), 'nameserver 192.0.2.1\n');
    expect(await withResolver(directory)).toMatchObject([{ text: 'netns:c1' }]);
    expect(await withResolver(join(directory, 'none'))).toEqual([]);
  });

  it("leaves a user's own file alone and says so", async () => {
    await mkdir(join(directory, 'c1'));
    await writeFile(join(directory, 'c1/resolv.conf'), 'nameserver 192.0.2.1\n');
    expect(await configureResolver(directory, c1, ['10.0.0.1'])).toContain('nameserver 10.0.0.1');
    expect(await configureResolver(directory, c1, [])).toBeUndefined();
    expect(await read()).toBe('nameserver 192.0.2.1\n');
  });

  it('tells how it differs from what is written there, but for a file that is not ours', async () => {
    const differs = () => resolverDrift(directory, c1, ['10.0.0.1']);
    expect(differs()).toEqual({ path: '/etc/netns/c1/resolv.conf', state: 'missing', detail: '' });
    await configureResolver(directory, c1, ['10.0.0.1']);
    expect(differs()).toBeUndefined();
    await writeFile(join(directory, 'c1/resolv.conf'), (await read()).replace('10.0.0.1', '10.0.0.66'));
    expect(differs()).toMatchObject({ state: 'wrong', detail: expect.stringContaining('nameserver 10.0.0.1') });
    await writeFile(join(directory, 'c1/resolv.conf'), 'nameserver 192.0.2.1\n');
    expect(differs()).toBeUndefined();
    expect(resolverDrift(directory, c1, [])).toBeUndefined();
  });

  it.each([
    ['a pipe', 'mkfifo "$0"'],
    ['a directory', 'mkdir "$0"'],
    ['a huge file', 'truncate -s 1G "$0"'],
  ])('leaves %s alone, unread', async (_, make) => {
    const path = join(directory, 'c1/resolv.conf');
    await mkdir(join(directory, 'c1'));
    expect(spawnSync('sh', ['-c', make, path]).status).toBe(0);
    expect(resolverDrift(directory, c1, ['10.0.0.1'])).toBeUndefined();
    expect(await configureResolver(directory, c1, ['10.0.0.1'])).toContain('was left alone');
    expect(await configureResolver(directory, c1, [])).toBeUndefined();
    expect(await readdir(join(directory, 'c1'))).toEqual(['resolv.conf']);
  });

  it('leaves other files of the container alone', async () => {
    await mkdir(join(directory, 'c1'));
    await writeFile(join(directory, 'c1/hosts'), '');
    await configureResolver(directory, c1, ['10.0.0.1']);
    await configureResolver(directory, c1, []);
    expect(await readdir(join(directory, 'c1'))).toEqual(['hosts']);
  });

  it('says what to do where there is no such file to write', async () => {
    const ref = { text: 'pid:42', path: '/proc/42/ns/net', identity: '42:1' };
    expect(await configureResolver(directory, ref, ['10.0.0.1'])).toContain('nameserver 10.0.0.1');
    expect(await configureResolver(directory, ref, [])).toBeUndefined();
  });

  it("leaves an engine's containers to the engine", async () => {
    const ref = { text: 'docker:api', path: '/proc/42/ns/net', identity: '42:1' };
    expect(await configureResolver(directory, ref, ['10.0.0.1'])).toBeUndefined();
    expect(await readdir(directory)).toEqual([]);
  });
});
