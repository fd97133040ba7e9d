/** The table, as text for the terminal and as Markdown for the page. */
import {
  type ExperimentResult,
  goalsOf,
  type Results,
  type RowResult,
  ratio,
  ratios,
  rowsOf,
  samplesOf,
  verdict,
} from './results.ts';
import type { Against, Column, Goal } from './row.ts';
import { median } from './statistics.ts';

type Cell = (experiment: ExperimentResult, row: RowResult) => string;

interface TableColumn {
  readonly head: string;
  readonly isText: boolean;
  readonly cell: Cell;
}

const NAMES: Readonly<Record<Against, string>> = { before: 'before', swarm: 'Swarm', floor: 'floor' };

const text = (head: string, cell: Cell): TableColumn => ({ head, isText: true, cell });
const middle = (head: string, column: Column): TableColumn => ({
  head,
  isText: false,
  cell: (experiment, row) => number(median(samplesOf(experiment, row, column))),
});
const times = (against: Against): TableColumn => ({
  head: `x ${NAMES[against]}`,
  isText: false,
  cell: (experiment, row) => number(ratio(experiment, row, against)),
});
const spread = (kinds: readonly Against[]): TableColumn =>
  text('spread', (experiment, row) => spreadOf(experiment, row, kinds));

const TITLE = [text('', (_, { title }) => title), text('unit', (_, { unit }) => unit)];
const GOALS = [text('goal', goalsText), text('', verdict)];

const COLUMNS: readonly TableColumn[] = [
  ...TITLE,
  middle('overlayd', 'overlayd'),
  middle('Swarm', 'swarm'),
  middle('floor', 'floor'),
  times('swarm'),
  times('floor'),
  spread(['swarm', 'floor']),
  ...GOALS,
];

const COMPARISON: readonly TableColumn[] = [
  ...TITLE,
  middle('before', 'before'),
  middle('after', 'overlayd'),
  times('before'),
  spread(['before']),
  middle('Swarm', 'swarm'),
  times('swarm'),
  middle('floor', 'floor'),
  ...GOALS,
];

/** Least and greatest of the ratios to the first that there are any of, round by round; else of the values. */
function spreadOf(experiment: ExperimentResult, row: RowResult, kinds: readonly Against[]): string {
  const lists = [...kinds.map((kind) => ratios(experiment, row, kind)), samplesOf(experiment, row, 'overlayd')];
  const values = lists.map((list) => list.filter(Number.isFinite)).find((list) => list.length > 0);
  return values === undefined ? '' : `${number(Math.min(...values))}–${number(Math.max(...values))}`;
}

function goalsText(experiment: ExperimentResult, row: RowResult): string {
  return goalsOf(experiment, row)
    .map((goal) => goalText(row.better, goal))
    .join('; ');
}

function goalText(better: 'higher' | 'lower', { level, bound, against }: Goal): string {
  const unit = against === undefined ? '' : ` x ${NAMES[against]}`;
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

interface Table {
  readonly columns: readonly TableColumn[];
  readonly lines: readonly (readonly string[])[];
}

/** A comparison is a table of its own, of what was measured of it. */
function tableOf({ experiments, before }: Pick<Results, 'experiments' | 'before'>): Table {
  const columns = before === undefined ? COLUMNS : COMPARISON;
  const lines = experiments.flatMap((experiment) =>
    rowsOf({ before }, experiment).map((row) => columns.map(({ cell }) => cell(experiment, row))),
  );
  return { columns, lines };
}

export function renderTable(results: Results): string {
  const { columns, lines } = tableOf(results);
  const all = [columns.map(({ head }) => head), ...lines];
  const widths = columns.map((_, column) => Math.max(...all.map((line) => line[column]!.length)));
  const rendered = all.map((line) =>
    line
      .map((cell, column) => (columns[column]!.isText ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd(),
  );
  rendered.splice(1, 0, widths.map((width) => '-'.repeat(width)).join('  '));
  const failed = results.experiments.filter(({ error }) => error !== undefined);
  rendered.push(...failed.map(({ name, error }) => `FAILED ${name}: ${error}`));
  return rendered.join('\n');
}

export function renderMarkdown(results: Pick<Results, 'experiments' | 'before'>): string {
  const { columns, lines } = tableOf(results);
  const line = (texts: readonly string[]) => `| ${texts.map((each) => each.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = columns.map(({ isText }) => (isText ? '---' : '---:'));
  return [line(columns.map(({ head }) => head)), line(rule), ...lines.map(line)].join('\n');
}
