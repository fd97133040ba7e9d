/** What is good enough at a size, beside what was measured there. */
import { distributionOf } from './distribution.ts';
import type { Measurements } from './experiment.ts';

interface Goal {
  readonly what: string;
  /** Sizes at which it is looked at; all when absent. */
  readonly nodes?: number;
  readonly unit: 'ms' | '';
  readonly limit: number;
  readonly stretch?: number;
  readonly measured: (runs: readonly Measurements[]) => number;
}

const p99 = (samples: readonly number[]) => distributionOf(samples)?.p99 ?? Number.POSITIVE_INFINITY;
const total = (samples: readonly number[]) => samples.reduce((sum, sample) => sum + sample, 0);

const attachKnown = (runs: readonly Measurements[]) => p99(runs.flatMap((run) => run.lastNodeMs));

const GOALS: readonly Goal[] = [
  { what: 'attach known everywhere, p99', nodes: 50, unit: 'ms', limit: 1_000, stretch: 500, measured: attachKnown },
  {
    what: 'attach known everywhere, p99',
    nodes: 1_000,
    unit: 'ms',
    limit: 3_000,
    stretch: 1_500,
    measured: attachKnown,
  },
  {
    what: 'crash hidden, p99',
    unit: 'ms',
    limit: 10_000,
    stretch: 5_000,
    measured: (runs) => p99(runs.flatMap((run) => run.hiddenMs)),
  },
  {
    what: 'false suspicions, calm and while hosts starve',
    unit: '',
    limit: 0,
    measured: (runs) => total(runs.flatMap(({ falseSuspicions: { calm, starved } }) => [calm, starved])),
  },
  {
    what: 'partition healed, tables equal, p99',
    nodes: 50,
    unit: 'ms',
    limit: 2_000,
    stretch: 1_000,
    measured: (runs) => p99(runs.map((run) => run.healedMs)),
  },
];

/** One row for each goal and size: what, nodes, measured, goal, verdict. */
export function judge(
  sizes: readonly { readonly nodes: number; readonly runs: readonly Measurements[] }[],
): string[][] {
  return GOALS.flatMap((goal) =>
    sizes
      .filter(({ nodes }) => goal.nodes === undefined || goal.nodes === nodes)
      .map(({ nodes, runs }) => {
        const measured = goal.measured(runs);
        const show = (value: number) => `${Number.isFinite(value) ? Math.round(value) : 'never'} ${goal.unit}`.trim();
        const limits = goal.stretch === undefined ? [goal.limit] : [goal.limit, goal.stretch];
        return [
          goal.what,
          String(nodes),
          show(measured),
          limits.map(show).join(', stretch '),
          verdictOf(goal, measured),
        ];
      }),
  );
}

function verdictOf({ limit, stretch }: Goal, measured: number): string {
  if (measured > limit) return 'MISSED';
  return stretch !== undefined && measured <= stretch ? 'met, stretch too' : 'met';
}
