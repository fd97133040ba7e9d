/** Wall clock, timers and chance of the machine. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock, Random } from '../../ports.ts';

export const systemClock: Clock = {
  now: () => Date.now(),
  // Whole milliseconds, as all durations of ours are.
  elapsed: () => Math.floor(performance.now()),
  sleep: async (ms, signal) => {
    try {
      await sleep(ms, undefined, signal ? { signal } : {});
    } catch (error) {
      throw signal?.aborted ? signal.reason : error;
    }
  },
};

export const systemRandom: Random = {
  next: () => Math.random(),
  hex: (bytes) => randomBytes(bytes).toString('hex'),
};
