/** How long the agent's steps took, by step and labels. Numbers alone: text is made when it is asked for. Pure. */
import { type Labels, STEPS, type Step } from '../telemetry.ts';
import type { Sample } from './family.ts';
import { Histogram, REQUEST_BOUNDS, STEP_BOUNDS } from './histogram.ts';

const BOUNDS: Readonly<Record<Step, readonly number[]>> = {
  ...{ attach: STEP_BOUNDS, detach: STEP_BOUNDS, reconcile: STEP_BOUNDS, store: STEP_BOUNDS, kernel: STEP_BOUNDS },
  ...{ control: REQUEST_BOUNDS, tool: REQUEST_BOUNDS },
};
/** Of labels that somebody else chooses there are no more than that; the rest is counted together. */
const MOST_SERIES = 200;
const REST = '(others)';
/** Series that are told before there is anything in them, so that the first is seen to be one more. */
const BEGUN: readonly (readonly [Step, Labels])[] = ['ok', 'error', 'refused'].map((result) => ['attach', { result }]);

interface Series {
  readonly labels: Labels;
  readonly histogram: Histogram;
}

export class StepMeter {
  readonly #steps = new Map<Step, Map<string, Series>>(STEPS.map((step) => [step, new Map()]));

  constructor() {
    for (const [step, labels] of BEGUN) this.#seriesOf(step, labels);
  }

  note(step: Step, labels: Labels, seconds: number): void {
    this.#seriesOf(step, labels).histogram.observe(seconds);
  }

  samples(step: Step): Sample[] {
    return [...this.#steps.get(step)!.values()].map(({ labels, histogram }) => ({ labels, value: histogram }));
  }

  #seriesOf(step: Step, labels: Labels): Series {
    const series = this.#steps.get(step)!;
    const key = Object.values(labels).join(' ');
    const known = series.get(key);
    if (known) return known;
    if (series.size >= MOST_SERIES) {
      const rest = Object.fromEntries(Object.keys(labels).map((name) => [name, REST]));
      if (key !== Object.values(rest).join(' ')) return this.#seriesOf(step, rest);
    }
    const made = { labels, histogram: new Histogram(BOUNDS[step]) };
    series.set(key, made);
    return made;
  }
}
