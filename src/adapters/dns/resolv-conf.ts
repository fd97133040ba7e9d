/** The host's upstream servers as resolv.conf(5) lists them. */
import { statSync } from 'node:fs';
import { familyOf } from '../../core/ip.ts';
import { readPlainFile } from '../plain-file.ts';

/** As many as the C library asks. */
const SERVERS = 3;
/** How often a change of the file is looked for. */
const CHECK_MS = 1000;

/** Numeric addresses of the `nameserver` lines, in order. */
export function parseResolvConf(text: string): string[] {
  const servers: string[] = [];
  for (const line of text.split('\n')) {
    const [keyword, address] = line.trim().split(/\s+/);
    if (keyword === 'nameserver' && address !== undefined && familyOf(address) !== undefined) servers.push(address);
  }
  return servers;
}

export interface HostResolversDeps {
  /** True for an address that one of our own responders listens on: asking it would go round in circles. */
  readonly isOwn: (address: string) => boolean;
  /** Milliseconds of a clock that goes on evenly. */
  readonly now?: () => number;
}

/**
 * The servers that the file names at the time of the call, at most three. The file is read again when it changed; one
 * that cannot be read names none.
 */
export function hostResolvers(path: string, deps: HostResolversDeps): () => readonly string[] {
  const now = deps.now ?? (() => performance.now());
  let servers: readonly string[] = [];
  let version: string | undefined;
  let checkedAt = Number.NEGATIVE_INFINITY;
  return () => {
    if (now() - checkedAt >= CHECK_MS) {
      checkedAt = now();
      const current = versionOf(path);
      if (current !== version) {
        version = current;
        servers = current === undefined ? [] : readServers(path);
      }
    }
    return servers.filter((server) => !deps.isOwn(server)).slice(0, SERVERS);
  };
}

/** Tells a file from what it was; undefined where there is none. */
export function versionOf(path: string): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
  return stat && `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}`;
}

function readServers(path: string): string[] {
  const found = readPlainFile(path);
  return found.kind === 'text' ? parseResolvConf(found.text) : [];
}
