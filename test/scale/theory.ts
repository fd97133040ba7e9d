/**
 * What the papers expect of protocols of this kind, to be held beside what is measured.
 *
 * Failure detection: SWIM (Das, Gupta, Motivala 2002): each member probes one random other per period, so the first one
 * to notice needs e / (e - 1) periods on average, whatever the size, and each member sends a constant number of messages
 * per period: its probe and one answer on average.
 * Anti-entropy (Demers et al. 1987, which Scuttlebutt, van Renesse et al. 2008, builds on): while few have an update,
 * each of them gives it to `fanout` others per round, so their number grows by 1 + fanout, ln n / ln(1 + fanout) rounds;
 * while few lack it, each of those meets fanout others that it asks and as many that ask it, so that e^(-2 fanout) of
 * them are left after a round, ln n / (2 fanout) rounds. With a fanout of one and pushes alone these are the two terms of
 * Frieze and Grimmett's log2 n + ln n (1985). A message gets there with probability 1 - loss, an exchange needs two.
 */
export interface Theory {
  /** Rounds of anti-entropy alone until all have an update. */
  readonly rounds: number;
  /** The same in milliseconds. */
  readonly convergenceMs: number;
  /** Until the first member notices a crash, before any suspicion is confirmed. */
  readonly firstDetectionMs: number;
  /** Per member and period while nothing happens. */
  readonly swimMessages: number;
}

export function theoryOf(nodes: number, loss: number, intervalMs: number, fanout: number): Theory {
  const delivered = (1 - loss) ** 2;
  const rounds = Math.log(nodes) / Math.log(1 + fanout * delivered) + Math.log(nodes) / (2 * fanout * delivered);
  const firstDetectionMs = (Math.E / (Math.E - 1)) * intervalMs;
  return { rounds, convergenceMs: rounds * intervalMs, firstDetectionMs, swimMessages: 2 - loss };
}
