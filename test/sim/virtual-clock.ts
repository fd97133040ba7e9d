/**
 * Time for a cluster in one process: it passes only when told to. Timers fire in order of their time, then of their
 * making; between two of them everything that can run without time passing runs.
 */
import { DueQueue } from '../../src/core/due-queue.ts';
import type { Clock } from '../../src/ports/runtime.ts';

export class VirtualClock implements Clock {
  /** Since the clock was made. */
  #now = 0;
  /** Wall time at that moment, as it is thought to have been now. */
  #startMs: number;
  readonly #timers = new DueQueue<() => void>();

  constructor(startMs = 1_700_000_000_000) {
    this.#startMs = startMs;
  }

  /** Whole milliseconds, as a real clock tells them. */
  now(): number {
    return Math.floor(this.#startMs + this.#now);
  }

  elapsed(): number {
    return this.#now;
  }

  /** Somebody sets the wall clock forwards or backwards; no timer fires sooner or later for it. */
  step(ms: number): void {
    this.#startMs += ms;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const abort = () => {
        this.#timers.delete(fire);
        reject(signal?.reason);
      };
      const fire = () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#timers.put(fire, this.#now + Math.max(0, ms));
    });
  }

  /** Lets time pass. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (;;) {
      const nextAt = this.#timers.firstAt;
      if (nextAt === undefined || nextAt > end) break;
      this.#now = Math.max(this.#now, nextAt);
      this.#timers.take(this.#now)!();
      await settle();
    }
    this.#now = end;
  }

  /** Lets time pass until the promise is settled, `limitMs` at most; rejects when that is not enough. */
  async until<T>(promise: Promise<T>, limitMs = 60_000): Promise<T> {
    let settled = false;
    const mark = () => {
      settled = true;
    };
    promise.then(mark, mark);
    const end = this.#now + limitMs;
    await settle();
    while (!settled) {
      const nextAt = this.#timers.firstAt;
      if (nextAt === undefined || nextAt > end)
        throw new Error(`nothing came of it within ${limitMs} ms of virtual time`);
      await this.advance(nextAt - this.#now);
    }
    return await promise;
  }
}

/** Everything that is ready to run, microtasks and their followers, has run when this resolves. */
export async function settle(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}
