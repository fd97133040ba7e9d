import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Family } from '../../src/core/ip.ts';
import type { Host } from './host.ts';
import { until } from './until.ts';

/** The one address of the outside world; a name server answers there. */
export const INTERNET = '198.51.100.1';
/** By the family of the lab. */
export const OUTSIDE = { 4: INTERNET, 6: '2001:db8:5100::1' } as const;

const RESOLVER_LOG = 'resolver.log';
const RESOLVER = fileURLToPath(new URL('upstream-resolver.ts', import.meta.url));

/** It has no route back to any overlay subnet: what is not masqueraded is not answered. */
export async function startInternet(host: Host, family: Family): Promise<void> {
  await host.must(['ip', 'addr', 'add', OUTSIDE[family], 'dev', 'lo']);
  host.spawn(['node', RESOLVER, OUTSIDE[family]], { log: RESOLVER_LOG });
  await until('the upstream resolver', () => upstreamQueries(host).length > 0);
}

/** One line for each question that reached the outside world, the first one aside, which says that it listens. */
export function upstreamQueries(host: Host): readonly string[] {
  const log = readFileSync(join(host.directory, RESOLVER_LOG), 'utf8');
  return log.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}
