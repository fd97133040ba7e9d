/** What became of suites, in figures and lines: a suite that could not run is a failure. */
import { relative } from 'node:path';

export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** What failed, one line each. */
  readonly failures: readonly string[];
}

/** What vitest's JSON reporter writes, as much as is used here. */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

export const NOTHING: Tally = { passed: 0, failed: 0, skipped: 0, failures: [] };

/** A run of vitest over a suite. */
export interface SuiteRun {
  readonly code: number;
  /** What the JSON reporter wrote; undefined: nothing. */
  readonly report: string | undefined;
  /** What the files' names are shown relative to. */
  readonly root: string;
}

export function tallyOf(suite: string, { code, report, root }: SuiteRun): Tally {
  if (report === undefined) return couldNotRun(suite, `vitest ended with ${code}`);
  let tally: Tally;
  try {
    tally = count(suite, JSON.parse(report) as Report, root);
  } catch {
    return couldNotRun(suite, `vitest ended with ${code}, and its report is no whole one`);
  }
  if (tally.passed + tally.failed + tally.skipped === 0) return couldNotRun(suite, 'it has no tests');
  // Errors outside of any test: vitest tells them above and fails as a whole.
  if (code !== 0 && tally.failed === 0) return sum(tally, couldNotRun(suite, `vitest ended with ${code}`));
  return tally;
}

function count(suite: string, report: Report, root: string): Tally {
  const failures: string[] = [];
  let unloaded = 0;
  for (const result of report.testResults) {
    const file = relative(root, result.name);
    const failed = result.assertionResults.filter(({ status }) => status === 'failed');
    for (const { fullName } of failed) failures.push(`${suite}: ${file}: ${fullName}`);
    // A file that does not load, or whose hooks fail, fails without a test that does.
    if (result.status === 'failed' && failed.length === 0) {
      unloaded++;
      failures.push(`${suite}: ${file}: ${result.message.split('\n')[0] ?? 'could not run'}`);
    }
  }
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + unloaded,
    skipped: report.numPendingTests + report.numTodoTests,
    failures,
  };
}

export function couldNotRun(suite: string, why: string): Tally {
  return failure(`${suite}: could not run: ${why}`);
}

export function failure(line: string): Tally {
  return { passed: 0, failed: 1, skipped: 0, failures: [line] };
}

export function sum(a: Tally, b: Tally): Tally {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
    failures: [...a.failures, ...b.failures],
  };
}

export function summary({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`;
}
