import { setTimeout as pause } from 'node:timers/promises';

const LEAST_PAUSE_MS = 20;
const MOST_PAUSE_MS = 100;

/**
 * Waits until `probe` gives something other than undefined or false, and returns it. The limit is there to end a test
 * that cannot succeed, not to measure: keep it generous. A probe that throws counts as "not yet"; its last error is
 * told when the time is up. A whole suite beside other work on two cores has had to wait for half a minute. What is asked
 * for long is asked the less often: commands take processors from what is waited for.
 */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  limitMs = 120_000,
): Promise<T> {
  const end = performance.now() + limitMs;
  let last = '';
  for (;;) {
    const begin = performance.now();
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      last = `: ${(error as Error).message}`;
    }
    const now = performance.now();
    if (now > end) throw new Error(`waited ${limitMs} ms for ${what}${last}`);
    await pause(Math.min(MOST_PAUSE_MS, Math.max(LEAST_PAUSE_MS, now - begin)));
  }
}
