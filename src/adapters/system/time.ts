/** Wall clock, timers and chance of the machine. */
import { randomBytes } from 'node:crypto';
import type { Clock, Random } from '../../ports/runtime.ts';

export const systemClock: Clock = {
  now: () => Date.now(),
  // Whole milliseconds, as all durations of ours are.
  elapsed: () => Math.floor(performance.now()),
  sleep,
};

/** To wake up costs an idle process more than what it then does: what has time wakes up together, at whole seconds of ours. */
const LOOSE_MS = 1_000;
const looseEnds = new Map<number, LooseEnd>();

/** One timer, for all that wait for that moment. */
class LooseEnd {
  readonly #second: number;
  readonly #waiting = new Set<() => void>();
  readonly #timer: NodeJS.Timeout;

  constructor(second: number) {
    this.#second = second;
    this.#timer = setTimeout(() => this.#over(), second * LOOSE_MS - performance.now());
    looseEnds.set(second, this);
  }

  add(resolve: () => void): void {
    this.#waiting.add(resolve);
  }

  delete(resolve: () => void): void {
    this.#waiting.delete(resolve);
    if (this.#waiting.size > 0) return;
    clearTimeout(this.#timer);
    looseEnds.delete(this.#second);
  }

  #over(): void {
    looseEnds.delete(this.#second);
    for (const resolve of this.#waiting) resolve();
  }
}

function sleep(ms: number, signal?: AbortSignal, end?: 'loosely'): Promise<void> {
  return end === undefined || ms < LOOSE_MS ? sleepExactly(ms, signal) : sleepLoosely(ms, signal);
}

function sleepLoosely(ms: number, signal: AbortSignal | undefined): Promise<void> {
  const second = Math.round((performance.now() + ms) / LOOSE_MS);
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const end = looseEnds.get(second) ?? new LooseEnd(second);
    const over = () => {
      signal?.removeEventListener('abort', abort);
      resolve();
    };
    const abort = () => {
      end.delete(over);
      reject(signal!.reason);
    };
    end.add(over);
    signal?.addEventListener('abort', abort, { once: true });
  });
}

/** As that of `node:timers/promises`, which leaves more than twice the garbage: an idle agent does little else. */
function sleepExactly(ms: number, signal: AbortSignal | undefined): Promise<void> {
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
