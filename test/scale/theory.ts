/**
 * What the papers expect of protocols of this kind, to be held beside what is measured.
 *
 * Failure detection: SWIM (Das, Gupta, Motivala 2002, §3.1 and §4): each member probes one random other per period, so
 * the first one to notice needs e / (e - 1) periods on average, whatever the size, and each member sends a constant
 * number of messages per period. Anti-entropy: push-pull reaches everybody in log2 n + ln n rounds at most (Karp et al.
 * 2000; van Renesse et al. 2008 for Scuttlebutt), a loss of p lengthens that by 1 / (1 - p) for each of both ways.
 */
export interface Theory {
  /** Rounds of anti-entropy alone until all have an update. */
  readonly rounds: number;
  /** The same in milliseconds. */
  readonly convergenceMs: number;
  /** Until the first member notices a crash, before any suspicion is confirmed. */
  readonly firstDetectionMs: number;
}

export function theoryOf(nodes: number, loss: number, intervalMs: number, fanout: number): Theory {
  const delivered = (1 - loss) ** 2;
  const rounds = Math.log(nodes) / Math.log(1 + fanout * delivered) + Math.log(nodes) / (2 * fanout * delivered);
  return { rounds, convergenceMs: rounds * intervalMs, firstDetectionMs: (Math.E / (Math.E - 1)) * intervalMs };
}
