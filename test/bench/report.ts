/** The table, as text for the terminal and as Markdown for the page. */
import { type ExperimentResult, type Results, type RowResult, ratio, ratios, samplesOf, verdict } from './results.ts';
import type { Column, Goal } from './row.ts';
import { median } from './statistics.ts';

export const HEAD = ['', 'unit', 'overlayd', 'Swarm', 'floor', 'x Swarm', 'x floor', 'spread', 'goal', ''];

/** Cells of one row, as in `HEAD`. */
export function cells(experiment: ExperimentResult, row: RowResult): readonly string[] {
  const mid = (column: Column) => number(median(samplesOf(experiment, row, column)));
  const times = (against: 'swarm' | 'floor') => number(ratio(experiment, row, against));
  const figures = [mid('overlayd'), mid('swarm'), mid('floor'), times('swarm'), times('floor')];
  const goals = (row.goals ?? []).map((goal) => goalText(row.better, goal)).join('; ');
  return [row.title, row.unit, ...figures, spread(experiment, row), goals, verdict(experiment, row)];
}

/** Least and greatest of the ratios to Swarm (else to the floor, else of the values), round by round. */
function spread(experiment: ExperimentResult, row: RowResult): string {
  const kinds = [
    ratios(experiment, row, 'swarm'),
    ratios(experiment, row, 'floor'),
    samplesOf(experiment, row, 'overlayd'),
  ];
  const values = kinds.map((list) => list.filter(Number.isFinite)).find((list) => list.length > 0);
  return values === undefined ? '' : `${number(Math.min(...values))}–${number(Math.max(...values))}`;
}

function goalText(better: 'higher' | 'lower', { level, bound, against }: Goal): string {
  const unit = against === undefined ? '' : ` x ${against === 'swarm' ? 'Swarm' : 'floor'}`;
  return `${level === 'stretch' ? 'stretch ' : ''}${better === 'higher' ? '≥' : '≤'} ${number(bound)}${unit}`;
}

/** Three significant digits; nothing for what is not measured. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return '';
  if (value === 0) return '0';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  const rounded = Number(value.toFixed(Math.min(digits, 6)));
  return Math.abs(rounded) >= 10_000 ? Math.round(value).toLocaleString('en-US') : String(rounded);
}

export function renderTable(results: Results): string {
  const lines = results.experiments.flatMap((experiment) => experiment.rows.map((row) => cells(experiment, row)));
  const all = [HEAD, ...lines];
  const widths = HEAD.map((_, column) => Math.max(...all.map((line) => line[column]!.length)));
  const isText = (column: number) => column < 2 || column > 6;
  const text = all.map((line) =>
    line
      .map((cell, column) => (isText(column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd(),
  );
  text.splice(1, 0, widths.map((width) => '-'.repeat(width)).join('  '));
  const failed = results.experiments.filter(({ error }) => error !== undefined);
  text.push(...failed.map(({ name, error }) => `FAILED ${name}: ${error}`));
  return text.join('\n');
}

export function renderMarkdown(experiments: readonly ExperimentResult[]): string {
  const line = (texts: readonly string[]) => `| ${texts.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`;
  const rows = experiments.flatMap((experiment) => experiment.rows.map((row) => line(cells(experiment, row))));
  const rule = HEAD.map((_, column) => (column < 2 || column > 6 ? '---' : '---:'));
  return [line(HEAD), line(rule), ...rows].join('\n');
}
