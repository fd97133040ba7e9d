/** What was measured at each size, as a table for the terminal and as the page docs/scale.md. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { drawLines, type Panel, renderFigure } from '../bench/svg.ts';
import { ROOT } from '../lab/host.ts';
import { distributionOf } from './distribution.ts';
import { LATENCY_MS, type Measurements } from './experiment.ts';
import { judge } from './goals.ts';
import { theoryOf } from './theory.ts';

/** From here on the page is written by hand. */
const BY_HAND = '## What a member holds';
const INTERVAL_MS = 1_000;
const FANOUT = 3;

export interface Settings {
  readonly nodes: number;
  readonly loss: number;
  readonly seeds: number;
  readonly starved: number;
}

export interface Size {
  readonly nodes: number;
  readonly runs: readonly Measurements[];
}

const GOAL_HEADINGS = ['goal', 'nodes', 'measured', 'wanted', ''];

const COLUMNS: readonly (readonly [heading: string, cell: (size: Size, settings: Settings) => string])[] = [
  ['nodes', ({ nodes }) => String(nodes)],
  ['attach seen by a node, p50 / p99 ms', ({ runs }) => percentiles(runs.flatMap((run) => run.convergenceMs))],
  ['by the last node, p99 ms', ({ runs }) => ms(distributionOf(runs.flatMap((run) => run.lastNodeMs))?.p99)],
  [
    'anti-entropy alone, theory ms',
    ({ nodes }, { loss }) => ms(theoryOf(nodes, loss, INTERVAL_MS, FANOUT).convergenceMs),
  ],
  [
    'idle, B/s and messages/s per node',
    ({ runs }) => `${mean(runs, (run) => run.idle.bytes)} / ${mean(runs, (run) => run.idle.messages)}`,
  ],
  [
    'messages/s per node, SWIM theory',
    ({ nodes }, { loss }) => theoryOf(nodes, loss, INTERVAL_MS, FANOUT).swimMessages.toFixed(2),
  ],
  ['per attach, B per node', ({ runs }) => mean(runs, (run) => run.perAttach.bytes)],
  ['crash hidden, p50 / p99 ms', ({ runs }) => percentiles(runs.flatMap((run) => run.hiddenMs))],
  ['first notice, theory ms', ({ nodes }, { loss }) => ms(theoryOf(nodes, loss, INTERVAL_MS, FANOUT).firstDetectionMs)],
  ['crash hidden by the last node, p99 ms', ({ runs }) => ms(distributionOf(runs.map((run) => run.hiddenLastMs))?.p99)],
  ['partition healed, tables equal, p99 ms', ({ runs }) => ms(distributionOf(runs.map((run) => run.healedMs))?.p99)],
  ['partition healed, all names shown, p99 ms', ({ runs }) => ms(distributionOf(runs.map((run) => run.shownMs))?.p99)],
  [
    'false suspicions: calm / while hosts starve / of these, of healthy hosts',
    ({ runs }) => {
      const counts = runs.map((run) => run.falseSuspicions);
      const total = (of: (one: (typeof counts)[number]) => number) => counts.reduce((all, one) => all + of(one), 0);
      return `${total((one) => one.calm)} / ${total((one) => one.starved)} / ${total((one) => one.starvedOfHealthy)}`;
    },
  ],
  ['missed attaches', ({ runs }) => String(sum(runs, (run) => run.missed))],
];

function rows(sizes: readonly Size[], settings: Settings): string[][] {
  return [COLUMNS.map(([heading]) => heading), ...sizes.map((size) => COLUMNS.map(([, cell]) => cell(size, settings)))];
}

/** One line for each measure, one column for each size: the headings are long, the sizes few. */
export function renderTable(sizes: readonly Size[], settings: Settings): string {
  const [headings = [], ...columns] = rows(sizes, settings);
  return align(headings.map((heading, index) => [heading, ...columns.map((column) => column[index] ?? '')]));
}

export function renderGoals(sizes: readonly Size[]): string {
  return align([GOAL_HEADINGS, ...judge(sizes)]);
}

function align(lines: readonly (readonly string[])[]): string {
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map((line) =>
      line.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  '),
    )
    .join('\n');
}

export function writePage(sizes: readonly Size[], settings: Settings): void {
  const [headings = [], ...columns] = rows(sizes, settings);
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const table = (head: readonly string[], body: readonly (readonly string[])[]) =>
    [line(head), line(head.map(() => '---')), ...body.map(line)].join('\n');
  const folder = join(ROOT, 'docs/scale');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'curves.svg'), renderFigure([timePanel(sizes, settings), bytesPanel(sizes)]));
  const command = `npm run sim -- --nodes ${settings.nodes} --loss ${settings.loss * 100} --seeds ${settings.seeds} --starved ${settings.starved * 100}`;
  const path = join(ROOT, 'docs/scale.md');
  const written = readFileSync(path, 'utf8');
  const page = `# Scale

How gossip and failure detection behave as a cluster grows, in virtual time: the agent's own classes for gossip, failure
detection and the replica, over a network in memory with a latency of ${LATENCY_MS[0]} to ${LATENCY_MS[1]} ms each way and ${settings.loss * 100} % of all messages
lost. etcd is away for all but the node that writes: with it, every member hears of a change in one step besides. Bytes
are those of the messages as the wire encodes them, without gRPC, TLS and TCP around them. While hosts starve
(${settings.starved * 100} % of them), they run 50 ms and stall for 1 to 4 s. ${settings.seeds} seeds of each size. Made by
\`${command} --docs\`; the same seeds give the same figures on any machine.

## Goals

${table(GOAL_HEADINGS, judge(sizes))}

## As the cluster grows

${table(headings, columns)}

![time and bytes by size](scale/curves.svg)

Theory: SWIM (Das, Gupta, Motivala 2002) for the first notice of a crash and the constant load per member: here it is
about three times SWIM's, because the exchanges that ask are those that reconcile, ${FANOUT} per interval. A crash is hidden later
than it is first noticed: a member is asked for 3.5 s before it is accused, a second accuser has to agree, and the accused
one has time to refute. Push-pull anti-entropy (Demers et al. 1987; van Renesse et al. 2008) for the time that reconciling
alone would take: attaches are faster, because they are pushed; what a lost push missed, reconciling brings.

${written.slice(written.indexOf(BY_HAND))}`;
  writeFileSync(path, page);
}

function timePanel(sizes: readonly Size[], settings: Settings): Panel {
  return drawLines(
    [
      {
        label: 'attach known everywhere, p99',
        colour: 0,
        points: points(sizes, (runs) => distributionOf(runs.flatMap((run) => run.lastNodeMs))?.p99),
      },
      {
        label: 'crash hidden, p99',
        colour: 1,
        points: points(sizes, (runs) => distributionOf(runs.flatMap((run) => run.hiddenMs))?.p99),
      },
      {
        label: 'anti-entropy alone, theory',
        colour: 2,
        points: sizes.map(({ nodes }) => [nodes, theoryOf(nodes, settings.loss, INTERVAL_MS, FANOUT).convergenceMs]),
      },
    ],
    { xLabel: 'nodes', yLabel: 'ms' },
  );
}

function bytesPanel(sizes: readonly Size[]): Panel {
  return drawLines(
    [
      {
        label: 'idle, per node and second',
        colour: 0,
        points: points(sizes, (runs) => sum(runs, (run) => run.idle.bytes) / runs.length),
      },
      {
        label: 'one attach, per node',
        colour: 1,
        points: points(sizes, (runs) => sum(runs, (run) => run.perAttach.bytes) / runs.length),
      },
    ],
    { xLabel: 'nodes', yLabel: 'bytes' },
  );
}

function points(sizes: readonly Size[], value: (runs: readonly Measurements[]) => number | undefined) {
  return sizes.flatMap(({ nodes, runs }) => {
    const y = value(runs);
    return y === undefined || !Number.isFinite(y) ? [] : [[nodes, y] as const];
  });
}

function ms(value: number | undefined): string {
  return value === undefined ? '–' : Number.isFinite(value) ? value.toFixed(value < 10 ? 1 : 0) : 'never';
}

function percentiles(samples: readonly number[]): string {
  const found = distributionOf(samples);
  return `${ms(found?.p50)} / ${ms(found?.p99)}`;
}

function mean(runs: readonly Measurements[], value: (run: Measurements) => number): string {
  const average = sum(runs, value) / runs.length;
  return average.toFixed(average < 10 ? 1 : 0);
}

function sum(runs: readonly Measurements[], value: (run: Measurements) => number): number {
  return runs.reduce((total, run) => total + value(run), 0);
}
