/**
 * The name servers that this host depends on. `/etc/resolv.conf` often names a stub on the host itself
 * (systemd-resolved, dnsmasq, NetworkManager's); the servers that the stub asks are in files of its own.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { kindOf } from '../../core/cidr.ts';
import { SERVICE_ADDRESS } from '../../core/host-state.ts';
import { parseIp } from '../../core/ip.ts';
import { parseResolvConf } from './resolv-conf.ts';

export interface ResolverFiles {
  /** In the form of resolv.conf(5): the host's own, and those that stubs keep for their upstream servers. */
  readonly resolvConf: readonly string[];
  /** In the form of dnsmasq(8)'s configuration: files, and directories of such files. */
  readonly dnsmasq: readonly string[];
}

const RESOLVER_FILES: ResolverFiles = {
  resolvConf: [
    '/etc/resolv.conf',
    '/run/systemd/resolve/resolv.conf',
    '/run/NetworkManager/no-stub-resolv.conf',
    '/run/dnsmasq/resolv.conf',
  ],
  dnsmasq: ['/etc/dnsmasq.conf', '/etc/dnsmasq.d'],
};

/** IPv4 addresses, each once, sorted. What cannot be read names none. */
export async function findNameServers({ resolvConf, dnsmasq }: ResolverFiles = RESOLVER_FILES): Promise<string[]> {
  const [resolvers, stubs] = await Promise.all([readAll(resolvConf), readAll(dnsmasq)]);
  const further = await readAll(stubs.flatMap(resolvFiles));
  const servers = [
    ...resolvers.flatMap(parseResolvConf),
    ...further.flatMap(parseResolvConf),
    ...stubs.flatMap(upstreams),
  ];
  return [...new Set(servers)].filter(isForeign).sort();
}

/** `server=10.0.0.2`, `server=/corp/10.0.0.2#5353@eth0`: of all names, or of some. */
function upstreams(text: string): string[] {
  return settings(text, 'server').flatMap((value) => /^(?:\/.*\/)?([0-9.]+)(?:[#@].*)?$/.exec(value)?.[1] ?? []);
}

function resolvFiles(text: string): string[] {
  return settings(text, 'resolv-file');
}

function settings(text: string, name: string): string[] {
  return text.split('\n').flatMap((line) => {
    const [key, value = ''] = line.split('=', 2);
    return key?.trim() === name ? [value.replace(/\s#.*$/, '').trim()] : [];
  });
}

function isForeign(address: string): boolean {
  const ip = parseIp(address);
  if (ip?.family !== 4 || address === SERVICE_ADDRESS) return false;
  const kind = kindOf(ip);
  return kind !== 'unspecified' && kind !== 'loopback';
}

async function readAll(paths: readonly string[]): Promise<string[]> {
  return (await Promise.all(paths.map(readOne))).flat();
}

async function readOne(path: string): Promise<string[]> {
  try {
    return [await readFile(path, 'utf8')];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EISDIR') return [];
    const names = await readdir(path).catch(() => []);
    const texts = names.map((name) => readFile(join(path, name), 'utf8').catch(() => ''));
    return Promise.all(texts);
  }
}
