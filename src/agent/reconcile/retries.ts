/** When what failed is tried again: soon at first, rarer the longer it goes on. */
import type { Clock } from '../../ports/runtime.ts';
import { MarkSet, type Marks } from './marks.ts';

const DELAYS_MS = [250, 500, 1_000, 2_000, 5_000] as const;

export class Retries {
  readonly #clock: Clock;
  readonly #again: (marks: Marks) => void;
  readonly #marks = new MarkSet();
  #dueAt = Number.POSITIVE_INFINITY;

  /** `again` is told what has to be looked at once more. */
  constructor(clock: Clock, again: (marks: Marks) => void) {
    this.#clock = clock;
    this.#again = again;
  }

  /** `passes`: that have failed in a row. What waits already comes along with what is due earlier. */
  add(marks: Marks, passes: number, signal: AbortSignal): void {
    const delay = DELAYS_MS[Math.min(passes, DELAYS_MS.length) - 1]!;
    const at = this.#clock.elapsed() + delay;
    this.#marks.merge(marks);
    if (at >= this.#dueAt) return;
    this.#dueAt = at;
    const due = () => {
      this.#dueAt = Number.POSITIVE_INFINITY;
      const marks = this.#marks.take();
      if (marks) this.#again(marks);
    };
    this.#clock.sleep(delay, signal).then(due, () => undefined);
  }
}
