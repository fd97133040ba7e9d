/**
 * When a host gets round to what is due. A host with enough CPU does so at once. A starved one runs for a moment, is
 * stalled for seconds, and so on: timers and messages that fall into a stall wait for its end.
 */
import type { Clock, Random } from '../../src/ports/runtime.ts';

export interface Starvation {
  readonly runMs: number;
  /** Uniform between the two. */
  readonly stallMs: readonly [least: number, most: number];
}

export class Cpu {
  readonly #clock: Clock;
  readonly #random: Random;
  #starvation: Starvation | undefined;
  /** Stalls so far planned, in order. */
  #stalls: { readonly from: number; readonly to: number }[] = [];

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  get starved(): boolean {
    return this.#starvation !== undefined;
  }

  starve(starvation: Starvation): void {
    this.#starvation = starvation;
    const now = this.#clock.now();
    const [least, most] = starvation.stallMs;
    // Somewhere within a stall: hosts do not stall in step.
    this.#stalls = [{ from: now, to: now + this.#random.next() * (least + this.#random.next() * (most - least)) }];
  }

  recover(): void {
    this.#starvation = undefined;
    this.#stalls = [];
  }

  /** How long something that is due in `ms` has to wait. */
  delayed(ms: number): number {
    if (!this.#starvation) return ms;
    const now = this.#clock.now();
    const due = now + ms;
    const { runMs, stallMs } = this.#starvation;
    this.#stalls = this.#stalls.filter(({ to }) => to >= now);
    let last = this.#stalls.at(-1) ?? { from: now, to: now };
    while (last.to <= due) {
      const from = last.to + runMs;
      last = { from, to: from + stallMs[0] + this.#random.next() * (stallMs[1] - stallMs[0]) };
      this.#stalls.push(last);
    }
    const stall = this.#stalls.find(({ from, to }) => due >= from && due < to);
    return stall ? stall.to - now : ms;
  }
}
