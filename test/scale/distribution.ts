/** What many measurements of one thing come to. */
export interface Distribution {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly mean: number;
}

/** Percentiles by nearest rank; undefined of nothing. */
export function distributionOf(samples: readonly number[]): Distribution | undefined {
  if (samples.length === 0) return undefined;
  const sorted = Float64Array.from(samples).sort();
  const rank = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
  let sum = 0;
  for (const sample of sorted) sum += sample;
  return { count: sorted.length, p50: rank(0.5), p99: rank(0.99), max: rank(1), mean: sum / sorted.length };
}
