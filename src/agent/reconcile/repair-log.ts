/**
 * Tells of repairs: the first at once, those that follow within ten seconds in one line after these. Something that goes on
 * undoing what the agent writes, many times a second, is told as that, and does not fill the log.
 */
import type { PlannedOp } from '../../core/host-state.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';

const QUIET_MS = 10_000;

export interface RepairLogDeps {
  readonly clock: Pick<Clock, 'sleep'>;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

interface Repairs {
  writes: number;
  readonly kinds: Set<string>;
}

export class RepairLog {
  readonly #deps: RepairLogDeps;
  /** Not told yet; undefined: what comes next is told at once. */
  #held: Repairs | undefined;

  constructor(deps: RepairLogDeps) {
    this.#deps = deps;
  }

  note(repairs: readonly PlannedOp[]): void {
    if (repairs.length === 0) return;
    const isQuiet = this.#held === undefined;
    this.#held ??= { writes: 0, kinds: new Set() };
    this.#held.writes += repairs.length;
    for (const { op } of repairs) this.#held.kinds.add(op.kind);
    if (isQuiet) this.#tell(this.#held);
  }

  #tell({ writes, kinds }: Repairs): void {
    const { clock, logger, signal } = this.#deps;
    logger.warn({ writes, kinds: [...kinds] }, 'the kernel had drifted and was repaired');
    const held: Repairs = { writes: 0, kinds: new Set() };
    this.#held = held;
    clock.sleep(QUIET_MS, signal).then(
      () => {
        if (held.writes > 0) this.#tell(held);
        else this.#held = undefined;
      },
      () => undefined,
    );
  }
}
