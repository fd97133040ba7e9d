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
  /** Of the network with that namespace; undefined when it is gone. */
  readonly nameOf: (namespace: string) => string | undefined;
}

interface Repairs {
  writes: number;
  readonly kinds: Set<string>;
  /** By name; none: the host's own part. */
  readonly networks: Set<string>;
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
    this.#held ??= none();
    this.#held.writes += repairs.length;
    for (const { op, network } of repairs) {
      this.#held.kinds.add(op.kind);
      const name = network === undefined ? undefined : this.#deps.nameOf(network);
      if (name !== undefined) this.#held.networks.add(name);
    }
    if (isQuiet) this.#tell(this.#held);
  }

  #tell({ writes, kinds, networks }: Repairs): void {
    const { clock, logger, signal } = this.#deps;
    const event = { event: 'kernel-repaired', writes, kinds: [...kinds], network: [...networks] } as const;
    logger.warn(event, 'the kernel had drifted and was repaired');
    const held = none();
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

function none(): Repairs {
  return { writes: 0, kinds: new Set(), networks: new Set() };
}
