import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../src/ports.ts';

export const realClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) => sleep(ms, undefined, signal && { signal }),
};

/** Real time, `factor` times as fast: what waits for minutes of silence need not take them. */
export function createFastClock(factor: number): Clock {
  const startedAt = Date.now();
  return {
    now: () => startedAt + (Date.now() - startedAt) * factor,
    sleep: (ms, signal) => realClock.sleep(ms / factor, signal),
  };
}
