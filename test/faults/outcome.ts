/** What came of a scenario: its tests, what they measured, and the row that is printed of it. Pure. */
import type { Measured } from '../lab/measuring.ts';
import type { Scenario } from './scenario.ts';

export interface Tests {
  readonly passed: number;
  readonly failed: number;
}

export interface Outcome {
  readonly scenario: Scenario;
  readonly tests: Tests;
  readonly measured: readonly Measured[];
}

/** `over`: what was measured is more than the limit, or packets were lost. `missing`: nothing ran. */
export type Verdict = 'ok' | 'failed' | 'over' | 'missing' | 'not tested';

export function verdictOf({ measured, scenario, tests }: Outcome): Verdict {
  if (scenario.proofs.length === 0) return 'not tested';
  if (tests.failed > 0) return 'failed';
  if (tests.passed === 0) return 'missing';
  const isOver = measured.some(({ lost = 0, ms = 0, what = '' }) => {
    const limit = scenario.limitsMs?.[what] ?? Number.POSITIVE_INFINITY;
    return ms > limit || lost > (scenario.mayLose ?? Number.POSITIVE_INFINITY);
  });
  return isOver ? 'over' : 'ok';
}

/** Of several measurements of the same the worst. */
export function measuredText({ measured }: Outcome): string {
  const worst = new Map<string, number>();
  for (const { ms, what = '' } of measured) if (ms !== undefined) worst.set(what, Math.max(ms, worst.get(what) ?? 0));
  return [...worst].map(([what, ms]) => `${what}${what === '' ? '' : ' '}${secondsText(ms)}`).join(', ') || '–';
}

export function lostText({ measured }: Outcome): string {
  const counted = measured.filter(({ lost }) => lost !== undefined);
  if (counted.length === 0) return '–';
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return `${sum(counted.map(({ lost = 0 }) => lost))} of ${sum(counted.map(({ packets = 0 }) => packets))}`;
}

/** Columns as wide as what is in them; the last line says how many of each verdict there are. */
export function renderOutcomes(outcomes: readonly Outcome[]): string {
  const rows = [
    ['scenario', 'limit', 'measured', 'lost', 'tests', ''],
    ...outcomes.map((outcome) => {
      const { scenario, tests } = outcome;
      const count =
        tests.failed > 0 ? `${tests.failed} of ${tests.passed + tests.failed} failed` : String(tests.passed);
      return [scenario.name, scenario.limit, measuredText(outcome), lostText(outcome), count, verdictOf(outcome)];
    }),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
  const counts = Map.groupBy(outcomes, verdictOf);
  return [...lines, '', [...counts].map(([verdict, { length }]) => `${length} ${verdict}`).join(', ')].join('\n');
}

function secondsText(ms: number): string {
  return ms < 100 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

/** The table of `docs/faults.md`. */
export function renderScenarios(scenarios: readonly Scenario[]): string {
  const rows = scenarios.map(({ limit, name, proofs, title, why }) => {
    const files = [...new Set(proofs.map(({ file, suite }) => `\`${suite}/${file.replace(/\.test\.ts$/, '')}\``))];
    const cell = [files.join(', '), ...(why === undefined ? [] : [why])].filter((text) => text !== '').join('; ');
    return `| \`${name}\` | ${title} | ${limit} | ${cell} |`;
  });
  return ['| name | scenario | limit | tests |', '|---|---|---|---|', ...rows].join('\n');
}
