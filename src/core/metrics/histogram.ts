/** A histogram as Prometheus has them: observations counted by the first bound that they do not pass. Pure. */

/** Bounds go up; `counts` has one more, for what passes them all, and adds up nothing. */
export interface HistogramCounts {
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  readonly sum: number;
}

/** What waits for the kernel, for etcd, or for both; seconds. */
export const STEP_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;
/** What people and tools wait for; seconds. */
export const REQUEST_BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10] as const;
/** An answer out of memory takes microseconds, one of another server as long as that takes; seconds. */
export const DNS_BOUNDS = [0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5] as const;

export class Histogram implements HistogramCounts {
  readonly bounds: readonly number[];
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    const { bounds, counts } = this;
    let at = 0;
    while (at < bounds.length && value > bounds[at]!) at += 1;
    counts[at]! += 1;
    this.sum += value;
  }
}
