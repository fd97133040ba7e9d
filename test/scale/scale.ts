/**
 * `npm run sim -- --nodes 1000 --loss 1 --seeds 20`: how gossip and membership behave as clusters grow, over virtual
 * time, from a seed. See docs/scale.md.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { drawLines, renderFigure } from '../bench/svg.ts';
import { ROOT } from '../lab/host.ts';
import { distributionOf } from './distribution.ts';
import { LATENCY_MS, type Measurements, measure } from './experiment.ts';
import { theoryOf } from './theory.ts';

const USAGE = `usage: npm run sim [-- [--nodes N] [--loss PERCENT] [--seeds N] [--starved PERCENT] [--json FILE] [--docs]]

  --nodes N          the largest cluster, 2 to 5000; sizes from 10 upward are simulated (default: 100)
  --loss PERCENT     messages that are lost, 0 to 50 (default: 1)
  --seeds N          runs of each size, 1 to 1000 (default: 3); the first seed is 1
  --starved PERCENT  hosts that get little CPU for a while, 0 to 50 (default: 5)
  --json FILE        where everything measured is written
  --docs             write docs/scale.md and its figure`;

const SIZES = [10, 30, 100, 300, 1_000, 3_000];
const INTERVAL_MS = 1_000;
const FANOUT = 3;

interface Settings {
  readonly nodes: number;
  readonly loss: number;
  readonly seeds: number;
  readonly starved: number;
}

interface Size {
  readonly nodes: number;
  readonly runs: readonly Measurements[];
}

function numberOf(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value >= least && value <= most) return value;
  throw new Error(`--${name}: "${text}" is not a number from ${least} to ${most}`);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string', default: '100' },
      loss: { type: 'string', default: '1' },
      seeds: { type: 'string', default: '3' },
      starved: { type: 'string', default: '5' },
      json: { type: 'string' },
      docs: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const settings: Settings = {
    nodes: Math.trunc(numberOf('nodes', values.nodes, 2, 5_000)),
    loss: numberOf('loss', values.loss, 0, 50) / 100,
    seeds: Math.trunc(numberOf('seeds', values.seeds, 1, 1_000)),
    starved: numberOf('starved', values.starved, 0, 50) / 100,
  };
  const sizes: Size[] = [];
  for (const nodes of [...new Set([...SIZES.filter((size) => size < settings.nodes), settings.nodes])]) {
    const runs: Measurements[] = [];
    for (let seed = 1; seed <= settings.seeds; seed++) {
      process.stderr.write(`\r${nodes} nodes, seed ${seed} of ${settings.seeds} `);
      runs.push(await measure({ seed, nodes, loss: settings.loss, starved: settings.starved }));
    }
    sizes.push({ nodes, runs });
  }
  process.stderr.write('\r');
  console.log(renderTable(sizes, settings));
  if (values.json !== undefined) {
    mkdirSync(dirname(values.json), { recursive: true });
    writeFileSync(values.json, `${JSON.stringify({ settings, sizes }, null, 1)}\n`);
  }
  if (values.docs) writePage(sizes, settings);
  return 0;
}

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
function renderTable(sizes: readonly Size[], settings: Settings): string {
  const [headings = [], ...columns] = rows(sizes, settings);
  const lines = headings.map((heading, index) => [heading, ...columns.map((column) => column[index] ?? '')]);
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map((line) =>
      line.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  '),
    )
    .join('\n');
}

function writePage(sizes: readonly Size[], settings: Settings): void {
  const [headings = [], ...columns] = rows(sizes, settings);
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const curves = drawLines(
    [
      {
        label: 'attach seen by a node, p99',
        colour: 0,
        points: points(sizes, (runs) => distributionOf(runs.flatMap((run) => run.convergenceMs))?.p99),
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
  const folder = join(ROOT, 'docs/scale');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'time.svg'), renderFigure([curves]));
  const command = `npm run sim -- --nodes ${settings.nodes} --loss ${settings.loss * 100} --seeds ${settings.seeds} --starved ${settings.starved * 100}`;
  const page = `# Scale

How gossip and membership behave as a cluster grows, in virtual time: the agent's own classes for gossip, failure
detection and the replica, over a network in memory with a latency of ${LATENCY_MS[0]} to ${LATENCY_MS[1]} ms each way and ${settings.loss * 100} % of all messages lost. etcd is away for all but the node that writes: with it,
every member hears of a change in one step besides. Bytes are those of the
messages as the wire encodes them, without gRPC, TLS and TCP around them. While hosts starve (${settings.starved * 100} % of them), they run 50 ms and stall for 1 to 4 s.
${settings.seeds} seeds of each size. Made by \`${command} --docs\`; the same seeds give the same figures on any machine.

${line(headings)}
${line(headings.map(() => '---'))}
${columns.map(line).join('\n')}

![time by size](scale/time.svg)

Theory: SWIM (Das, Gupta, Motivala 2002) for the first notice of a crash and the constant load per member; push-pull
anti-entropy (Demers et al. 1987; van Renesse et al. 2008) for the rounds that reconciling alone would take. Attaches are
faster than that because they are pushed besides.
`;
  writeFileSync(join(ROOT, 'docs/scale.md'), page);
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

process.exitCode = await main().catch((error: unknown) => {
  console.error(`sim: ${(error as Error).message}\n\n${USAGE}`);
  return 2;
});
