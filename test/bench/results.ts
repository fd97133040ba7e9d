/** What a run leaves: all samples, and with what they were taken. The JSON file is exactly this. */
import { readFileSync } from 'node:fs';
import os from 'node:os';
import { PATH, ROOT } from '../lab/host.ts';
import { run } from '../lab/process.ts';
import type { Against, Column, Goal, Row, Side } from './row.ts';
import { median } from './statistics.ts';

export interface RowResult extends Row {
  /** By side, in the order of the rounds. */
  readonly samples: Readonly<Record<string, readonly number[]>>;
}

export interface ExperimentResult {
  readonly name: string;
  readonly title: string;
  readonly method: string;
  readonly xLabel?: string;
  readonly sides: readonly Side[];
  readonly rows: readonly RowResult[];
  readonly seconds: number;
  /** Why there are no figures, or not all. */
  readonly error?: string;
}

export interface Results {
  readonly date: string;
  readonly command: string;
  readonly quick: boolean;
  readonly seconds: number;
  readonly machine: Readonly<Record<string, string>>;
  readonly versions: Readonly<Record<string, string>>;
  /** The revision that it is compared with. */
  readonly before?: string;
  readonly experiments: readonly ExperimentResult[];
}

/** What the results have to say of rows: a comparison, of those that were measured. */
export function rowsOf(
  { before }: { readonly before?: string | undefined },
  { rows }: ExperimentResult,
): readonly RowResult[] {
  return before === undefined ? rows : rows.filter(({ samples }) => Object.keys(samples).length > 0);
}

/** Samples of the row's side in that column, if it has one. */
export function samplesOf(experiment: ExperimentResult, row: RowResult, column: Column): readonly number[] {
  for (const side of experiment.sides) {
    const samples = row.samples[side.name] ?? [];
    if (side.column === column && samples.length > 0) return samples;
  }
  return [];
}

/** Overlayd's figure over the other's, round by round. */
export function ratios(experiment: ExperimentResult, row: RowResult, against: Against): readonly number[] {
  const ours = samplesOf(experiment, row, 'overlayd');
  const theirs = samplesOf(experiment, row, against);
  return ours.slice(0, theirs.length).map((value, round) => value / theirs[round]!);
}

/** Ratio of the medians; NaN when one of them is not measured. */
export function ratio(experiment: ExperimentResult, row: RowResult, against: Against): number {
  return median(samplesOf(experiment, row, 'overlayd')) / median(samplesOf(experiment, row, against));
}

export function isMet(experiment: ExperimentResult, row: RowResult, goal: Goal): boolean {
  const value =
    goal.against === undefined ? median(samplesOf(experiment, row, 'overlayd')) : ratio(experiment, row, goal.against);
  return row.better === 'higher' ? value >= goal.bound : value <= goal.bound;
}

/** The row's goals that can be judged: those against another revision only beside it. */
export function goalsOf(experiment: ExperimentResult, row: RowResult): readonly Goal[] {
  const isComparison = experiment.sides.some(({ column }) => column === 'before');
  return (row.goals ?? []).filter(({ against }) => isComparison || against !== 'before');
}

/** `met`, `met, stretch too`, `MISSED`, `lost` to Swarm, or several of them; empty when there is nothing to judge. */
export function verdict(experiment: ExperimentResult, row: RowResult): string {
  // Of a floor alone there is nothing to judge.
  const isJudged = experiment.sides.some(({ column }) => column === 'overlayd');
  if (samplesOf(experiment, row, 'overlayd').length === 0) return isJudged ? 'NOT MEASURED' : '';
  const words: string[] = [];
  const of = (level: Goal['level']) => goalsOf(experiment, row).filter((goal) => goal.level === level);
  const met = of('goal').every((goal) => isMet(experiment, row, goal));
  if (of('goal').length > 0) words.push(met ? 'met' : 'MISSED');
  if (met && of('stretch').length > 0 && of('stretch').every((goal) => isMet(experiment, row, goal))) {
    words.push('stretch too');
  }
  const toSwarm = ratio(experiment, row, 'swarm');
  if (row.better === 'higher' ? toSwarm < 1 : toSwarm > 1) words.push('LOST to Swarm');
  return words.join(', ');
}

export function machine(): Readonly<Record<string, string>> {
  const cpus = os.cpus();
  const release = /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  return {
    processor: `${cpus.length} x ${cpus[0]?.model ?? 'unknown'}`,
    memory: `${(os.totalmem() / 2 ** 30).toFixed(1)} GiB`,
    kernel: os.release(),
    system: release ?? 'unknown',
    'load before': os
      .loadavg()
      .map((load) => load.toFixed(2))
      .join(' '),
  };
}

/** First line of what each program says of itself. */
export async function versions(): Promise<Readonly<Record<string, string>>> {
  const asked: readonly (readonly [string, readonly string[]])[] = [
    ['overlayd', ['overlayd', '--version']],
    ['commit', ['git', '-C', ROOT, 'describe', '--always', '--dirty']],
    ['node', ['node', '--version']],
    ['docker', ['dockerd', '--version']],
    ['etcd', ['etcd', '--version']],
    ['iperf3', ['iperf3', '--version']],
    ['sockperf', ['sockperf', '--version']],
    ['dnsperf', ['dnsperf', '-h']],
    ['wireguard-go', ['wireguard-go', '--version']],
  ];
  const told = await Promise.all(
    asked.map(async ([name, argv]) => {
      const { code, stdout, stderr } = await run(argv, { env: { PATH }, timeoutMs: 10_000 });
      const text = `${stdout}\n${stderr}`.trim().split('\n')[0] ?? '';
      return [name, code === 127 || text === '' ? 'missing' : text] as const;
    }),
  );
  return Object.fromEntries(told);
}
