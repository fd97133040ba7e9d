/** Wall clock, timers and chance of the machine. */
import { randomBytes } from 'node:crypto';
import type { Clock, Random } from '../../ports/runtime.ts';

export const systemClock: Clock = {
  now: () => Date.now(),
  // Whole milliseconds, as all durations of ours are.
  elapsed: () => Math.floor(performance.now()),
  sleep,
};

/** As that of `node:timers/promises`, which leaves more than twice the garbage: an idle agent does little else. */
function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal === undefined) {
      setTimeout(resolve, ms);
      return;
    }
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort);
      resolve();
    }, ms);
    signal.addEventListener('abort', abort, { once: true });
  });
}

export const systemRandom: Random = {
  next: () => Math.random(),
  hex: (bytes) => randomBytes(bytes).toString('hex'),
};
