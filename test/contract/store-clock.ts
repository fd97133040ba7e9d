import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../src/ports/runtime.ts';

export const realClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  sleep: (ms, signal) => sleep(ms, undefined, signal && { signal }),
};

/** Real time, `factor` times as fast: what waits for minutes of silence need not take them. */
export function createFastClock(factor: number): Clock {
  const startedAt = Date.now();
  const begun = performance.now();
  const elapsed = () => (performance.now() - begun) * factor;
  return {
    now: () => startedAt + elapsed(),
    elapsed,
    sleep: (ms, signal) => realClock.sleep(ms / factor, signal),
  };
}
