import { fileURLToPath } from 'node:url';
import type { Host } from './host.ts';
import { until } from './until.ts';

/** The router on the switch, and the one address of the outside world; a name server answers there. */
export const ROUTER = '10.77.0.254';
export const INTERNET = '198.51.100.1';

const RESOLVER = fileURLToPath(new URL('upstream-resolver.ts', import.meta.url));

/** It has no route back to any overlay subnet: what is not masqueraded is not answered. */
export async function startInternet(host: Host): Promise<void> {
  await host.must(['ip', 'addr', 'add', `${INTERNET}/32`, 'dev', 'lo']);
  const resolver = host.spawn(['node', RESOLVER, INTERNET]);
  await until('the upstream resolver', () => resolver.output.includes('listening'));
}
