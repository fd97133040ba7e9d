/** What a scenario of `scenarios.ts` says. */

/**
 * A test file, and the names of its tests where not all of them belong to the scenario: how they begin, or a part. They run alone: one
 * that goes on where another one ended is named with it.
 */
export interface Proof {
  readonly suite: 'unit' | 'sim' | 'netns' | 'e2e';
  /** Below `test/` and the suite. */
  readonly file: string;
  readonly test?: string;
}

export interface Scenario {
  readonly name: string;
  /** What happens, and what must come of it. */
  readonly title: string;
  /** In words. */
  readonly limit: string;
  /** Of what is measured, by what it is called (`''`: by nothing). */
  readonly limitsMs?: Readonly<Record<string, number>>;
  /** Packets of traffic that runs meanwhile. */
  readonly mayLose?: number;
  readonly proofs: readonly Proof[];
  /** What is not tested, and why. */
  readonly why?: string;
}

const of =
  (suite: Proof['suite']) =>
  (file: string, test?: string): Proof => ({ suite, file, ...(test !== undefined && { test }) });

export const [unit, sim, netns, e2e] = [of('unit'), of('sim'), of('netns'), of('e2e')];
