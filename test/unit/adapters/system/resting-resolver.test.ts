import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createContainers } from '../../../../src/adapters/system/containers.ts';
import { configureResting } from '../../../../src/adapters/system/resting-resolver.ts';

let root: string;
let outside: string;
const ref = { text: 'lxc:db' };
const file = () => join(root, 'etc/resolv.conf');
const configure = () => configureResting(root, ref, ['10.0.0.1', '10.0.1.1']);

beforeEach(() => {
  const made = mkdtempSync(join(tmpdir(), 'overlayd-resting-'));
  [root, outside] = [join(made, 'root'), join(made, 'outside')];
  mkdirSync(join(root, 'etc'), { recursive: true });
  mkdirSync(outside);
});
afterEach(() => rmSync(join(root, '..'), { recursive: true }));

it('names the servers where there was nothing, or nothing but ours', () => {
  expect(configure()).toBeUndefined();
  expect(readFileSync(file(), 'utf8')).toMatch(
    /^# .*overlayd.*\nnameserver 10.0.0.1\nnameserver 10.0.1.1\noptions ndots:0\n$/,
  );
  expect(statSync(file()).mode & 0o777).toBe(0o644);
  expect(configureResting(root, ref, ['10.0.9.1'])).toBeUndefined();
  expect(readFileSync(file(), 'utf8')).not.toContain('10.0.0.1');
  writeFileSync(file(), '\n');
  expect(configure()).toBeUndefined();
  expect(readFileSync(file(), 'utf8')).toContain('10.0.0.1');
});

it('leaves what is somebody’s, and says what it would have', () => {
  writeFileSync(file(), 'nameserver 192.0.2.53\n');
  expect(configure()).toContain('nameserver 10.0.0.1, nameserver 10.0.1.1');
  expect(readFileSync(file(), 'utf8')).toBe('nameserver 192.0.2.53\n');
});

it('follows no link out of the container', () => {
  writeFileSync(join(outside, 'resolv.conf'), '');
  symlinkSync(join(outside, 'resolv.conf'), file());
  expect(configure()).toContain('once its /etc/resolv.conf has');
  rmSync(join(root, 'etc'), { recursive: true });
  symlinkSync(outside, join(root, 'etc'));
  expect(configure()).toContain('once its /etc/resolv.conf has');
  expect(readFileSync(join(outside, 'resolv.conf'), 'utf8')).toBe('');
});

it('writes nothing that has another name as well', () => {
  writeFileSync(join(outside, 'other'), '');
  linkSync(join(outside, 'other'), file());
  expect(configure()).toContain('left alone');
  expect(readFileSync(join(outside, 'other'), 'utf8')).toBe('');
});

it('opens nothing but files', async () => {
  // Which cannot be opened at all: there is an error to see, where a device would have been opened.
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(file(), resolve));
  expect(configure()).toContain('left alone');
  await new Promise((resolve) => server.close(resolve));
});

it('is never that of the host, whoever calls a process a container', () => {
  expect(configureResting(root, ref, ['10.0.0.1'], root)).toContain('once its /etc/resolv.conf has');
  expect(existsSync(file())).toBe(false);
});

it('is only of a container that a hook has told of, once', async () => {
  const containers = createContainers({
    tools: { lxc: { processOf: async () => process.pid } },
    hostNamespace: '/proc/self/ns/uts',
  });
  const named = await containers.resolve(`lxc:db@${process.pid}`);
  expect(named.text).toBe('lxc:db');
  // No servers: nothing is written below this process' own root.
  expect(await containers.configureResolver(named, [])).toBeUndefined();
  expect(await containers.configureResolver(named, ['10.0.0.1'])).toContain('names resolve inside lxc:db once');
  await containers.resolve(`lxc:db@${process.pid}`);
  const running = await containers.resolve('lxc:db');
  expect(await containers.configureResolver(running, ['10.0.0.1'])).toContain('names resolve inside lxc:db once');
});

it('gives the file to whoever has the directory, as root of a container has another number outside', () => {
  chmodSync(join(root, 'etc'), 0o755);
  expect(configure()).toBeUndefined();
  expect([statSync(file()).uid, statSync(file()).gid]).toEqual([
    statSync(join(root, 'etc')).uid,
    statSync(join(root, 'etc')).gid,
  ]);
});
