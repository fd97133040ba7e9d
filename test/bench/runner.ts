import { Lab, type LabOptions } from '../lab/lab.ts';
import type { ExperimentResult } from './results.ts';
import type { Context, Experiment, Prepared, Sample } from './row.ts';
import { openSharedLab, type SharedLab } from './shared-lab.ts';

const PREPARE_LIMIT_MS = 180_000;
const CLOSE_LIMIT_MS = 60_000;
const MEASURE_LIMIT_MS = 60_000;

/** Runs experiments one after the other and ends the labs they asked for, however they end. */
export class Runner {
  readonly #quick: boolean;
  readonly #over = new AbortController();
  readonly #labs = new Set<Lab>();
  #shared: Promise<SharedLab> | undefined;

  constructor({ quick }: { readonly quick: boolean }) {
    this.#quick = quick;
  }

  /** `keep` is given all results so far after each experiment. */
  async run(
    experiments: readonly Experiment[],
    keep: (results: readonly ExperimentResult[]) => void,
  ): Promise<readonly ExperimentResult[]> {
    const results: ExperimentResult[] = [];
    for (const lab of ['shared', 'own'] as const) {
      for (const experiment of experiments.filter((one) => one.lab === lab)) {
        const result = await this.#runOne(experiment);
        this.#over.signal.throwIfAborted();
        results.push(result);
        keep(results);
      }
      await this.#closeLabs(results.some(({ error }) => error !== undefined));
      this.#shared = undefined;
    }
    return results;
  }

  /** Ends the measuring and every lab. */
  async interrupt(): Promise<void> {
    this.#over.abort(new Error('interrupted'));
    await this.#closeLabs(false);
  }

  async #runOne(experiment: Experiment): Promise<ExperimentResult> {
    const { name, title, method, xLabel, sides } = experiment;
    const start = performance.now();
    process.stdout.write(`${name} `);
    const samples = new Map<string, Map<string, number[]>>();
    let error: string | undefined;
    let prepared: Prepared | undefined;
    try {
      prepared = await within('prepare', PREPARE_LIMIT_MS, this.#over.signal, (signal) =>
        experiment.prepare(this.#context(signal)),
      );
      await this.#rounds(experiment, prepared, samples);
    } catch (cause) {
      error = (cause as Error).message;
    }
    try {
      await within('close', CLOSE_LIMIT_MS, this.#over.signal, async () => prepared?.close?.());
    } catch (cause) {
      error ??= (cause as Error).message;
    }
    if (experiment.lab === 'own') await this.#closeLabs(error !== undefined);
    const seconds = Math.round((performance.now() - start) / 100) / 10;
    console.log(` ${seconds} s${error === undefined ? '' : `\n  failed: ${error}`}`);
    const rows = experiment.rows.map((row) => ({ ...row, samples: Object.fromEntries(samples.get(row.name) ?? []) }));
    const axis = xLabel === undefined ? {} : { xLabel };
    return { name, title, method, ...axis, sides, rows, seconds, ...(error === undefined ? {} : { error }) };
  }

  /** Every side once in each round, another one first each time. What comes of the warm-up is not kept. */
  async #rounds(experiment: Experiment, prepared: Prepared, samples: Map<string, Map<string, number[]>>) {
    const { sides } = experiment;
    const counted = this.#quick ? (experiment.quickRounds ?? 3) : (experiment.rounds ?? 7);
    for (let round = experiment.warmUp === false ? 1 : 0; round <= counted; round++) {
      for (let turn = 0; turn < sides.length; turn++) {
        const side = sides[(round + turn) % sides.length]!.name;
        const limitMs = experiment.limitMs ?? MEASURE_LIMIT_MS;
        const what = `measuring ${side}`;
        const sample = await within(what, limitMs, this.#over.signal, (signal) => prepared.measure(side, signal));
        if (round > 0) addSample(experiment, samples, side, sample);
      }
      process.stdout.write('.');
    }
  }

  #context(signal: AbortSignal): Context {
    return {
      quick: this.#quick,
      signal,
      sharedLab: () => {
        this.#shared ??= openSharedLab((lab) => this.#labs.add(lab));
        return this.#shared;
      },
      openLab: async (options: LabOptions) => {
        const lab = await Lab.open(options);
        this.#labs.add(lab);
        return lab;
      },
    };
  }

  async #closeLabs(keepFiles: boolean): Promise<void> {
    const labs = [...this.#labs];
    this.#labs.clear();
    await Promise.all(labs.map((lab) => lab.close({ keepFiles })));
  }
}

function addSample(experiment: Experiment, samples: Map<string, Map<string, number[]>>, side: string, sample: Sample) {
  for (const [row, value] of Object.entries(sample)) {
    if (!experiment.rows.some(({ name }) => name === row)) throw new Error(`${experiment.name} has no row ${row}`);
    if (!Number.isFinite(value)) throw new Error(`${row} of ${side} is ${value}`);
    const bySide = samples.get(row) ?? new Map<string, number[]>();
    samples.set(row, bySide.set(side, [...(bySide.get(side) ?? []), value]));
  }
}

/** The work's result, or an error when the time is up or the run is over, whatever the work does with its signal. */
async function within<T>(
  what: string,
  limitMs: number,
  over: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController();
  const signal = AbortSignal.any([over, limit.signal]);
  const timer = setTimeout(() => limit.abort(new Error(`${what} took more than ${limitMs / 1000} s`)), limitMs);
  try {
    return await new Promise<T>((resolve, reject) => {
      signal.throwIfAborted();
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      work(signal).then(resolve, reject);
    });
  } finally {
    clearTimeout(timer);
  }
}
