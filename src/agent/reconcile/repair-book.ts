/** Which of a pass's writes put back what something else had changed: counted, told to the log, remembered object by object. */
import type { ApplyResult, Desired, Observed, Plan } from '../../core/host-state.ts';
import type { DriftLooks } from './drift-looks.ts';
import type { KnownNetworks } from './known-networks.ts';
import type { Marks } from './marks.ts';
import type { RepairLog } from './repair-log.ts';
import { doneBy, repairsOf } from './repairs.ts';

export interface RepairBookDeps {
  readonly known: Pick<KnownNetworks, 'idOf'>;
  readonly log: Pick<RepairLog, 'note'>;
  readonly drift: Pick<DriftLooks, 'noteRepairs' | 'noteOutcome'>;
}

/** A pass, and what came of it. */
export interface Pass {
  readonly marks: Marks;
  /** Something else was wanted of the host than in the pass before. */
  readonly hostChanged: boolean;
  readonly wanted: Desired;
  readonly observed: Observed;
}

export class RepairBook {
  readonly #deps: RepairBookDeps;
  readonly #expected = new Set<{ readonly networkId: string }>();

  constructor(deps: RepairBookDeps) {
    this.#deps = deps;
  }

  /** As of `Reconciler.expect`. */
  expect(networkId: string): () => void {
    const expected = { networkId };
    this.#expected.add(expected);
    return () => this.#expected.delete(expected);
  }

  /** Returns how many repairs there were. */
  note(planned: Plan, result: ApplyResult, { marks, hostChanged, wanted, observed }: Pass): number {
    const { drift, known, log } = this.#deps;
    const expected = new Set([...this.#expected].map(({ networkId }) => networkId));
    const repairs = repairsOf(planned, result, marks, hostChanged, (namespace) => {
      const networkId = known.idOf(namespace) ?? '';
      return marks.networks.get(networkId) === true || expected.has(networkId);
    });
    log.note(repairs);
    drift.noteRepairs(repairs, wanted, observed);
    const failed = result.failures.map((failure) => failure.planned);
    drift.noteOutcome({ done: () => doneBy(planned, result), failed }, wanted, observed);
    return repairs.length;
  }
}
