/** A duration in words: `0.4 ms`, `730 ms`, `2.1 s`. */
export function describeMillis(ms: number): string {
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(1)} s`;
  return ms >= 10 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`;
}
