/** Reports of drift as messages, which are bounded, and back. */
import type { DriftReport, PutBack, ReportedDrift } from '../../core/drift/drift.ts';
import type { Drift, DriftBatch } from '../../gen/overlayd/v1/drift.ts';

const PER_MESSAGE = 500;
/** More than an agent of ours tells: nobody reads it, and it is not for the memory of who asks. */
const MOST_DRIFTS = 4_000;
const MOST_TEXT = 4_096;
const MOST_TEXT_IN_ALL = 4 * 1024 * 1024;

/** One at least. */
export function driftBatches({ differs, repaired, putBack, leftOut, isPartial }: DriftReport): DriftBatch[] {
  const batches: DriftBatch[] = [{ differs: [], repaired: [], putBack: [], leftOut, isPartial }];
  const next = (count: number): DriftBatch => {
    const last = batches.at(-1)!;
    if (count < PER_MESSAGE) return last;
    batches.push({ differs: [], repaired: [], putBack: [], leftOut: 0, isPartial });
    return batches.at(-1)!;
  };
  for (const drift of differs) next(batches.at(-1)!.differs.length).differs.push(drift);
  for (const drift of repaired) next(batches.at(-1)!.repaired.length).repaired.push(drift);
  for (const each of putBack) next(batches.at(-1)!.putBack.length).putBack.push(each);
  return batches;
}

/** Adds batches up. */
export class DriftReading {
  readonly #differs: ReportedDrift[] = [];
  readonly #repaired: ReportedDrift[] = [];
  readonly #putBack: PutBack[] = [];
  #leftOut = 0;
  #text = 0;
  #isPartial = false;

  /** False: no more is taken. */
  add({ differs, repaired, putBack, leftOut, isPartial }: DriftBatch): boolean {
    for (const drift of differs) {
      const told = this.#bounded(drift);
      if (told) this.#differs.push(told);
      else this.#leftOut += 1;
    }
    this.#repaired.push(...repaired.flatMap((drift) => this.#bounded(drift) ?? []));
    for (const { drift, ...rest } of putBack) {
      const told = drift && this.#bounded(drift);
      if (told) this.#putBack.push({ ...rest, drift: told });
    }
    this.#leftOut += leftOut;
    this.#isPartial ||= isPartial;
    const count = this.#differs.length + this.#repaired.length + this.#putBack.length;
    return count < MOST_DRIFTS && this.#text < MOST_TEXT_IN_ALL;
  }

  /** Undefined: there is no more room. */
  #bounded(drift: Drift): ReportedDrift | undefined {
    if (this.#text >= MOST_TEXT_IN_ALL) return undefined;
    const told = bounded(drift);
    for (const value of Object.values(told)) if (typeof value === 'string') this.#text += value.length;
    return told;
  }

  get report(): DriftReport {
    const [differs, repaired, putBack] = [this.#differs, this.#repaired, this.#putBack];
    return { differs, repaired, putBack, leftOut: this.#leftOut, isPartial: this.#isPartial };
  }
}

function bounded(drift: Drift): ReportedDrift {
  const cut = (text: string) => (text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}…` : text);
  const { kind, network, place, object, state, detail, why, hindered, sinceMs } = drift;
  return {
    ...{ kind: cut(kind), network: cut(network), place: cut(place), object: cut(object), state: cut(state) },
    ...{ detail: cut(detail), why: cut(why), hindered: cut(hindered), sinceMs },
  };
}
