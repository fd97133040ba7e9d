import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hostResolvers, parseResolvConf } from '../../../../src/adapters/dns/resolv-conf.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'resolv-'));
});
afterEach(() => rm(directory, { recursive: true }));

describe('resolv.conf', () => {
  it('lists numeric nameservers in order', () => {
    const text =
      '# nameserver 9.9.9.9\nsearch a b\nnameserver 192.0.2.1\n nameserver\tfe80::1%eth0 \nnameserver host\n';
    expect(parseResolvConf(text)).toEqual(['192.0.2.1', 'fe80::1%eth0']);
  });

  it('is read again when it changes, without our own gateways, three at most', async () => {
    const path = join(directory, 'resolv.conf');
    let now = 0;
    const servers = hostResolvers(path, { isOwn: (address) => address === '10.0.1.1', now: () => now });
    expect(servers()).toEqual([]);
    await writeFile(path, 'nameserver 10.0.1.1\nnameserver 192.0.2.1\n');
    now += 1000;
    expect(servers()).toEqual(['192.0.2.1']);
    await writeFile(path, [1, 2, 3, 4].map((host) => `nameserver 192.0.2.${host}\n`).join(''));
    now += 1000;
    expect(servers()).toEqual(['192.0.2.1', '192.0.2.2', '192.0.2.3']);
    await rm(path);
    now += 1000;
    expect(servers()).toEqual([]);
  });
  it('names none where it is a pipe', () => {
    const path = join(directory, 'resolv.conf');
    expect(spawnSync('mkfifo', [path]).status).toBe(0);
    expect(hostResolvers(path, { isOwn: () => false })()).toEqual([]);
  });
});
