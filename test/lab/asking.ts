import { fileURLToPath } from 'node:url';
import type { Host } from './host.ts';
import { startInside } from './inside-process.ts';

const ASKER = fileURLToPath(new URL('../netns/dns/asker.ts', import.meta.url));
const PER_SECOND = 500;

export interface AskReport {
  readonly asked: number;
  /** What no answer came to, and what had no address or pointer in it. */
  readonly lost: readonly string[];
  readonly wrong: readonly string[];
}

export interface AskOptions {
  readonly gateway: string;
  readonly least: number;
  readonly perSecond?: number;
}

/**
 * Asks from a container, 500 times a second if nothing else is said, each question once, names in turn (`….arpa`: their
 * pointers). Resolves when the first was answered, with what ends it: after `least` questions.
 */
export async function startAsking(
  host: Host,
  container: string,
  names: readonly string[],
  { gateway, least, perSecond = PER_SECOND }: AskOptions,
): Promise<() => Promise<AskReport>> {
  const node = ['ip', 'netns', 'exec', container, 'node', ASKER];
  const asker = await startInside(host, [...node, gateway, String(perSecond), String(least), ...names]);
  return async () => {
    asker.order('stop');
    return JSON.parse(await asker.line());
  };
}

/** The name that an address's pointer has. */
export function pointerOf(address: string): string {
  return `${address.split('.').reverse().join('.')}.in-addr.arpa`;
}
