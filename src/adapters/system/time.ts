/** Wall clock, timers and chance of the machine. */
import { randomBytes } from 'node:crypto';
import type { Clock, Random } from '../../ports/runtime.ts';

export const systemClock: Clock = {
  now: () => Date.now(),
  // Whole milliseconds, as all durations of ours are.
  elapsed: () => Math.floor(performance.now()),
  sleep,
};

/** A shorter sleep ends with its time. */
const LOOSE_MS = 1_000;
const MOST_LATE_MS = 1_000;

interface LooseSleep {
  readonly from: number;
  readonly to: number;
  readonly end: () => void;
}

/**
 * Sleeps that may end within a range. To wake up costs an idle process more than what it then does: so when one of them has to
 * end, an exact one ends, or the process is awake for another reason, all end that may. As timers of the kernel do that have a
 * slack (prctl(2), PR_SET_TIMERSLACK).
 */
class LooseSleeps {
  readonly #sleeps = new Set<LooseSleep>();
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  /** Before that none may end. */
  #from = Number.POSITIVE_INFINITY;

  add(sleep: LooseSleep): void {
    this.#sleeps.add(sleep);
    this.#from = Math.min(this.#from, sleep.from);
    if (sleep.to < this.#timerAt) this.#arm(sleep.to);
  }

  delete(sleep: LooseSleep): void {
    this.#sleeps.delete(sleep);
    if (this.#sleeps.size === 0) this.#disarm();
  }

  /** The process is awake. */
  endAll(): void {
    const now = performance.now();
    if (now < this.#from) return;
    let next = Number.POSITIVE_INFINITY;
    this.#from = Number.POSITIVE_INFINITY;
    for (const sleep of this.#sleeps) {
      if (sleep.from <= now) {
        this.#sleeps.delete(sleep);
        sleep.end();
      } else {
        next = Math.min(next, sleep.to);
        this.#from = Math.min(this.#from, sleep.from);
      }
    }
    if (next === this.#timerAt) return;
    this.#disarm();
    if (next < Number.POSITIVE_INFINITY) this.#arm(next);
  }

  #arm(at: number): void {
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => this.endAll(), at - performance.now());
  }

  #disarm(): void {
    clearTimeout(this.#timer);
    this.#timerAt = Number.POSITIVE_INFINITY;
  }
}

const looseSleeps = new LooseSleeps();

/** For who is woken by others again and again: what may end by now ends with that. */
export function endLooseSleeps(): void {
  looseSleeps.endAll();
}

function sleep(ms: number, signal?: AbortSignal, end?: 'loosely'): Promise<void> {
  return end === undefined || ms < LOOSE_MS ? sleepExactly(ms, signal) : sleepLoosely(ms, signal);
}

function sleepLoosely(ms: number, signal: AbortSignal | undefined): Promise<void> {
  const end = performance.now() + ms;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const sleep: LooseSleep = {
      from: end,
      to: end + Math.min(ms / 4, MOST_LATE_MS),
      end: () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      },
    };
    const abort = () => {
      looseSleeps.delete(sleep);
      reject(signal!.reason);
    };
    looseSleeps.add(sleep);
    signal?.addEventListener('abort', abort, { once: true });
  });
}

/** As that of `node:timers/promises`, which leaves more than twice the garbage: an idle agent does little else. */
function sleepExactly(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal === undefined) {
      setTimeout(() => {
        resolve();
        looseSleeps.endAll();
      }, ms);
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
      looseSleeps.endAll();
    }, ms);
    signal.addEventListener('abort', abort, { once: true });
  });
}

export const systemRandom: Random = {
  next: () => Math.random(),
  hex: (bytes) => randomBytes(bytes).toString('hex'),
};
