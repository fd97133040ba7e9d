/** What there is to know of a lab in which a test failed, for who sees no more of it than what the tests print. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from './cluster.ts';
import type { Host } from './host.ts';
import type { Lab } from './lab.ts';

/** As many lines of a log as tell what went before. */
const LINES = 40;
const WIDTH = 400;
/** `<time> <level> <message> <key>=<value>…`; what is said at debug is told by the kept log alone. */
const WORTH = /^\S+ (info|warn|error|fatal) |^#|^ /;

/** Per host: what its agent says of itself, and what it logged last. Throws nothing. */
export async function tellOf(lab: Lab): Promise<string> {
  const told = await Promise.all(lab.hosts.map(tellOfHost));
  return told.join('\n\n');
}

async function tellOfHost(host: Host): Promise<string> {
  return [
    `--- ${host.name}: ${host.isOn ? await describe(host) : 'off'}`,
    ...lastLines(join(host.directory, 'agent.log')),
  ].join('\n');
}

function lastLines(path: string): readonly string[] {
  if (!existsSync(path)) return ['no log'];
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines
    .filter((line) => WORTH.test(line))
    .slice(-LINES)
    .map((line) => line.slice(0, WIDTH));
}
