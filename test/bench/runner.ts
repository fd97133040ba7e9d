import { ROOT } from '../lab/host.ts';
import { Lab } from '../lab/lab.ts';
import type { ExperimentResult } from './results.ts';
import type { Context, Experiment, Prepared, Sample, Side } from './row.ts';
import { openSharedLab, type SharedLab } from './shared-lab.ts';

const PREPARE_LIMIT_MS = 300_000;
const CLOSE_LIMIT_MS = 60_000;
const MEASURE_LIMIT_MS = 60_000;
/** Before the names of sides. */
const BEFORE = 'before-';

/** Runs experiments one after the other and ends the labs they asked for, however they end. */
export class Runner {
  readonly #quick: boolean;
  readonly #before: string | undefined;
  readonly #over = new AbortController();
  readonly #labs = new Set<Lab>();
  /** By checkout. */
  readonly #shared = new Map<string, Promise<SharedLab>>();

  /** `before`: directory of another checkout, whose build is measured in turn with this one's, in a lab like this one's. */
  constructor({ quick, before }: { readonly quick: boolean; readonly before?: string | undefined }) {
    this.#quick = quick;
    this.#before = before;
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
      this.#shared.clear();
    }
    return results;
  }

  /** Ends the measuring and every lab. */
  async interrupt(): Promise<void> {
    this.#over.abort(new Error('interrupted'));
    await this.#closeLabs(false);
  }

  async #runOne(experiment: Experiment): Promise<ExperimentResult> {
    const { name, title, method, xLabel } = experiment;
    const start = performance.now();
    process.stdout.write(`${name} `);
    const sides = this.#sidesOf(experiment);
    const samples = new Map<string, Map<string, number[]>>();
    const prepared = new Map<string, Prepared>();
    let error: string | undefined;
    try {
      const checkouts = [ROOT, ...(this.#before === undefined ? [] : [this.#before])];
      const prepareLimitMs = experiment.prepareLimitMs ?? PREPARE_LIMIT_MS;
      await Promise.all(
        checkouts.map((checkout) =>
          within('prepare', prepareLimitMs, this.#over.signal, async (signal) => {
            prepared.set(checkout, await experiment.prepare(this.#context(checkout, sides, signal)));
          }),
        ),
      );
      await this.#rounds(experiment, sides, prepared, samples);
    } catch (cause) {
      error = (cause as Error).message;
    }
    for (const { close } of prepared.values()) {
      try {
        await within('close', CLOSE_LIMIT_MS, this.#over.signal, async () => close?.());
      } catch (cause) {
        error ??= (cause as Error).message;
      }
    }
    if (experiment.lab === 'own') await this.#closeLabs(error !== undefined);
    const seconds = Math.round((performance.now() - start) / 100) / 10;
    console.log(` ${seconds} s${error === undefined ? '' : `\n  failed: ${error}`}`);
    const rows = experiment.rows.map((row) => ({ ...row, samples: Object.fromEntries(samples.get(row.name) ?? []) }));
    const axis = xLabel === undefined ? {} : { xLabel };
    return { name, title, method, ...axis, sides, rows, seconds, ...(error === undefined ? {} : { error }) };
  }

  /** In a comparison each side of ours has one of before, and others are there where a goal refers to them. */
  #sidesOf({ sides, rows }: Experiment): readonly Side[] {
    if (this.#before === undefined) return sides;
    const asked = new Set<string | undefined>(rows.flatMap(({ goals = [] }) => goals.map(({ against }) => against)));
    return sides.flatMap((side): readonly Side[] => {
      if (side.column !== 'overlayd') return asked.has(side.column) ? [side] : [];
      return [side, { name: BEFORE + side.name, column: 'before', label: `${side.label}, before` }];
    });
  }

  /** Every side once in each round, another one first each time. What comes of the warm-up is not kept. */
  async #rounds(
    experiment: Experiment,
    sides: readonly Side[],
    prepared: ReadonlyMap<string, Prepared>,
    samples: Map<string, Map<string, number[]>>,
  ): Promise<void> {
    const counted = this.#countOf(experiment);
    const measureOne = async ({ name }: Side): Promise<readonly [string, Sample]> => {
      const isBefore = name.startsWith(BEFORE);
      const of = prepared.get(isBefore ? this.#before! : ROOT)!;
      const limitMs = experiment.limitMs ?? MEASURE_LIMIT_MS;
      const sample = await within(`measuring ${name}`, limitMs, this.#over.signal, (signal) =>
        of.measure(isBefore ? name.slice(BEFORE.length) : name, signal),
      );
      return [name, sample];
    };
    for (let round = experiment.warmUp === false ? 1 : 0; round <= counted; round++) {
      const inTurn = sides.map((_, turn) => sides[(round + turn) % sides.length]!);
      const measured: (readonly [string, Sample])[] = [];
      if (this.#before !== undefined && experiment.mostlyWaits === true)
        measured.push(...(await Promise.all(inTurn.map(measureOne))));
      else for (const side of inTurn) measured.push(await measureOne(side));
      if (round > 0) for (const [side, sample] of measured) addSample(experiment, samples, side, sample);
      process.stdout.write('.');
    }
  }

  #countOf({ rounds = 7, quickRounds = 3, comparedRounds = 5 }: Experiment): number {
    if (this.#quick) return quickRounds;
    return this.#before === undefined ? rounds : Math.min(rounds, comparedRounds);
  }

  #context(checkout: string, sides: readonly Side[], signal: AbortSignal): Context {
    const isBefore = checkout === this.#before;
    return {
      quick: this.#quick,
      isComparison: this.#before !== undefined,
      measures: (side) => sides.some(({ name }) => name === (isBefore ? BEFORE + side : side)),
      signal,
      checkout,
      sharedLab: async () => {
        const opened = this.#shared.get(checkout) ?? openSharedLab(checkout, (lab) => this.#labs.add(lab));
        this.#shared.set(checkout, opened);
        return opened;
      },
      openLab: async (options) => {
        const lab = await Lab.open({ ...options, checkout });
        this.#labs.add(lab);
        if (signal.aborted) {
          // Nobody waits for it any more.
          this.#labs.delete(lab);
          await lab.close();
          throw signal.reason;
        }
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
