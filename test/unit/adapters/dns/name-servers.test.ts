import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { hostNameServers } from '../../../../src/adapters/dns/name-servers.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'overlayd-name-servers-'));
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

function file(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

it('finds the servers behind a stub', () => {
  const own = file('resolv.conf', 'nameserver 127.0.0.53\noptions edns0\n');
  const behind = file(
    'behind',
    '# by systemd-resolved\nnameserver 10.0.0.2\nnameserver fd00::1\nnameserver 10.0.0.2\n',
  );
  const resolvConf = [own, behind, join(directory, 'missing')];
  expect(hostNameServers({ resolvConf, dnsmasq: [] })()).toEqual(['10.0.0.2', 'fd00::1']);
});

it('finds the servers of dnsmasq', () => {
  mkdirSync(join(directory, 'dnsmasq.d'));
  const upstream = file('upstream', 'nameserver 10.0.3.3\n');
  const main = file('dnsmasq.conf', `#server=10.9.9.9\nserver=10.0.0.53\nresolv-file=${upstream}\nno-resolv\n`);
  file(
    'dnsmasq.d/corp.conf',
    'server=/corp.example/10.0.1.53#5353@eth0 # inside\nserver=/local/\nserver=::1\nserver=/six/FD00:5::53#53\n',
  );
  const dnsmasq = [main, join(directory, 'dnsmasq.d')];
  expect(hostNameServers({ resolvConf: [], dnsmasq })()).toEqual(['10.0.0.53', '10.0.1.53', '10.0.3.3', 'fd00:5::53']);
});

it('reads no pipe', () => {
  const own = file('resolv.conf', 'nameserver 10.0.0.2\n');
  const pipe = join(directory, 'pipe');
  expect(spawnSync('mkfifo', [pipe]).status).toBe(0);
  expect(hostNameServers({ resolvConf: [pipe, own], dnsmasq: [pipe] })()).toEqual(['10.0.0.2']);
});

it('leaves out what is on the host itself', () => {
  const own = file(
    'resolv.conf',
    'nameserver 127.0.0.1\nnameserver 0.0.0.0\nnameserver 169.254.53.53\nnameserver 10.0.0.2\nnameserver ::1\nnameserver fe80::1%eth0\nnameserver fe80::1\n',
  );
  expect(hostNameServers({ resolvConf: [own], dnsmasq: [] })()).toEqual(['10.0.0.2']);
});

it('says what the files say now', () => {
  const path = file('resolv.conf', 'nameserver 10.0.0.2\n');
  const directory = join(path, '..', 'dnsmasq.d');
  mkdirSync(directory);
  const find = hostNameServers({ resolvConf: [path], dnsmasq: [directory] });
  expect(find()).toEqual(['10.0.0.2']);
  file('dnsmasq.d/corp.conf', 'server=10.0.0.3\n');
  expect(find()).toEqual(['10.0.0.2', '10.0.0.3']);
  file('dnsmasq.d/corp.conf', 'server=10.0.0.33\n');
  expect(find()).toEqual(['10.0.0.2', '10.0.0.33']);
  rmSync(path);
  expect(find()).toEqual(['10.0.0.33']);
});
