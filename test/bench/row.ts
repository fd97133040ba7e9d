/** What is measured, and how a figure is judged. Types of the benchmarks; `bench.ts` runs them. */
import type { Lab, LabOptions } from '../lab/lab.ts';
import type { SharedLab } from './shared-lab.ts';

/**
 * Where a side stands in the table. The floor is what the machine itself takes: the plain wire, the bare calls. "before" is
 * overlayd of another revision, in a comparison.
 */
export type Column = 'overlayd' | 'before' | 'swarm' | 'floor';
/** What overlayd's figure is divided by. */
export type Against = Exclude<Column, 'overlayd'>;

/** One of the things that are measured in turn: A B C, B C A, C A B, … */
export interface Side {
  /** Unique within the experiment; given to `measure`. */
  readonly name: string;
  readonly column: Column;
  /** For figures and the page: "overlayd", "Docker Swarm", "raw underlay", … */
  readonly label: string;
}

/** Greater or less than the bound is good, as the row's `better` says. */
export interface Goal {
  readonly level: 'goal' | 'stretch';
  /** In the row's unit; with `against`, a multiple of that column's median. Against "before", it counts in comparisons. */
  readonly bound: number;
  readonly against?: Against;
}

/** One line of the table. */
export interface Row {
  /** Unique over all experiments; kebab-case. */
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  readonly better: 'higher' | 'lower';
  readonly goals?: readonly Goal[];
  /** Rows of one title are drawn as a line over the experiment's horizontal axis. */
  readonly curve?: { readonly title: string; readonly x: number };
}

/** One sample of each row that this side has a figure for, by the row's name. */
export type Sample = Readonly<Record<string, number>>;

export interface Prepared {
  /** One measurement of one side, seconds at most. Cleans up after itself. */
  measure(side: string, signal: AbortSignal): Promise<Sample>;
  /** Ends what `prepare` made, labs aside: the runner closes those. */
  close?(): Promise<void>;
}

/** Rows whose figures come from the same measurement. */
export interface Experiment {
  /** `npm run bench -- NAME`; kebab-case. */
  readonly name: string;
  readonly title: string;
  /** How it is measured, what is included and what is not: plain sentences for the page. */
  readonly method: string;
  readonly sides: readonly Side[];
  readonly rows: readonly Row[];
  /** Experiments on the shared lab run first; those with labs of their own when it is gone. */
  readonly lab: 'shared' | 'own';
  /** Counted rounds (each measures every side once). 7, and 3 with `--quick`. */
  readonly rounds?: number;
  readonly quickRounds?: number;
  /** In a comparison. 5. */
  readonly comparedRounds?: number;
  /** It takes next to no processor time: in a comparison all sides are measured at the same moment. */
  readonly mostlyWaits?: boolean;
  /** One more round before them is not counted. True; false where nothing is slower the first time. */
  readonly warmUp?: boolean;
  /** Of `prepare`. 300 s. */
  readonly prepareLimitMs?: number;
  /** Of one `measure`. 60 s. */
  readonly limitMs?: number;
  /** Of the horizontal axis, when rows lie on curves. */
  readonly xLabel?: string;
  prepare(context: Context): Promise<Prepared>;
}

export interface Context {
  readonly quick: boolean;
  /** Two revisions are compared: what no goal asks for need not be measured. */
  readonly isComparison: boolean;
  /** False: this side is not measured and need not be prepared. */
  measures(side: string): boolean;
  /** The run is over: Ctrl-C, or the time limit. */
  readonly signal: AbortSignal;
  /** Directory of the checkout whose build is measured. */
  readonly checkout: string;
  /** Three hosts with agents in one cluster and Docker engines in one Swarm. Made at its first use. */
  sharedLab(): Promise<SharedLab>;
  /** A lab for this experiment alone; closed after it. */
  openLab(options: Omit<LabOptions, 'checkout'>): Promise<Lab>;
}

export const OVERLAYD: Side = { name: 'overlayd', column: 'overlayd', label: 'overlayd' };
export const SWARM: Side = { name: 'swarm', column: 'swarm', label: 'Docker Swarm' };

/** `floor('raw underlay')`: a side named "floor". */
export function floor(label: string): Side {
  return { name: 'floor', column: 'floor', label };
}

/** `goal(0.98, 'swarm')`: 0.98 times Swarm's median or better. */
export function goal(bound: number, against?: Goal['against']): Goal {
  return { level: 'goal', bound, ...(against === undefined ? {} : { against }) };
}

export function stretch(bound: number, against?: Goal['against']): Goal {
  return { level: 'stretch', bound, ...(against === undefined ? {} : { against }) };
}

/** A row of which less is better: a time, a cost. */
export function lower(name: string, title: string, unit: string, ...goals: readonly Goal[]): Row {
  return { name, title, unit, better: 'lower', goals };
}

/** A row of which more is better: a rate. */
export function higher(name: string, title: string, unit: string, ...goals: readonly Goal[]): Row {
  return { name, title, unit, better: 'higher', goals };
}
