/**
 * The name servers that this host depends on. `/etc/resolv.conf` often names a stub on the host itself
 * (systemd-resolved, dnsmasq, NetworkManager's); the servers that the stub asks are in files of its own.
 *
 * It is asked every few seconds: a file is read when it changed, and on the spot. Each turn through Node.js's threads
 * costs more than the whole of it.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { kindOf } from '../../core/cidr.ts';
import { SERVICE_ADDRESS } from '../../core/host-state.ts';
import { formatIp, parseIp } from '../../core/ip.ts';
import { readPlainFile } from '../plain-file.ts';
import { parseResolvConf, versionOf } from './resolv-conf.ts';

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

/** Says them at the time of the call: addresses, each once, sorted. What cannot be read names none. */
export function hostNameServers({ resolvConf, dnsmasq }: ResolverFiles = RESOLVER_FILES): () => string[] {
  const known = new Map<string, Known>();
  const read = (path: string) => readFile(path, known);
  return () => {
    const stubs = dnsmasq.flatMap((path) => filesOf(path)).flatMap(read);
    const resolvers = [...resolvConf, ...stubs.flatMap(resolvFiles)].flatMap(read);
    const servers = [...resolvers.flatMap(parseResolvConf), ...stubs.flatMap(upstreams)];
    return [...new Set(servers.flatMap(foreignAddress))].sort();
  };
}

/** `server=10.0.0.2`, `server=/corp/2001:db8::2#5353@eth0`: of all names, or of some. */
function upstreams(text: string): string[] {
  return settings(text, 'server').flatMap(
    (value) => /^(?:\/.*\/)?([0-9a-fA-F.:]+)(?:[#@%].*)?$/.exec(value)?.[1] ?? [],
  );
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

/** Of IPv6 none that means another host on each link: no network can take it. */
function foreignAddress(text: string): string[] {
  const ip = parseIp(text);
  if (!ip || text === SERVICE_ADDRESS) return [];
  const kind = kindOf(ip);
  if (kind === 'unspecified' || kind === 'loopback' || (ip.family === 6 && kind === 'link-local')) return [];
  return [formatIp(ip)];
}

/** Lists of names that dnsmasq is to block are long. */
const MOST_BYTES = 16 * 1024 * 1024;

interface Known {
  readonly version: string;
  readonly text: string;
}

/** The text, or nothing where there is none to be had; read again when it changed. */
function readFile(path: string, known: Map<string, Known>): string[] {
  try {
    const version = versionOf(path);
    if (version === undefined) return [];
    const before = known.get(path);
    if (before?.version === version) return [before.text];
    const found = readPlainFile(path, MOST_BYTES);
    const text = found.kind === 'text' ? found.text : '';
    known.set(path, { version, text });
    return [text];
  } catch {
    return [];
  }
}

/** The file itself, or those of the directory. */
function filesOf(path: string): string[] {
  try {
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return [path];
    return readdirSync(path).map((name) => join(path, name));
  } catch {
    return [];
  }
}
