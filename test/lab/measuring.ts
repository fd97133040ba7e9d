/** What a scenario of `docs/faults.md` costs. `npm run faults` prints it and holds it against the limit; elsewhere nobody asks. */
import { appendFileSync } from 'node:fs';

// Agents inherit it, and refuse variables of their own prefix that they do not know.
const FILE = process.env.FAULTS_REPORT;

/** What the scenario needs minutes for is done in full by `npm run faults` alone. */
export const IS_LONG = FILE !== undefined;

export interface Measured {
  /** Name of the scenario. */
  readonly scenario: string;
  /** What was measured, where the scenario measures several things. */
  readonly what?: string;
  /** From the fault, or from its end, as the scenario's limit says. */
  readonly ms?: number;
  /** Packets of the traffic that ran, and how many of them got no answer. */
  readonly packets?: number;
  readonly lost?: number;
}

export function tell(measured: Measured): void {
  if (FILE !== undefined) appendFileSync(FILE, `${JSON.stringify(measured)}\n`);
}

/** Begins now; returns how long that is ago, in milliseconds. */
export function stopwatch(): () => number {
  const start = performance.now();
  return () => performance.now() - start;
}
