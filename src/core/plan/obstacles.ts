/**
 * What of a plan can still be begun. A failure in an essential stage keeps back what needs it and nothing else: a
 * network's failure keeps back that network. One of the host's part keeps back the rest of the host's part, and the
 * networks that the plan makes links for, since none may be there before the host's filter is. Neither before the network's
 * own: but what is there already stays, and is kept right.
 */
import type { Obstacle, Op, OpFailure, Plan, PlannedOp, Stage } from '../host-state.ts';

export class Obstacles {
  /** By network's namespace; undefined: the host. */
  readonly #causes = new Map<string | undefined, Error>();
  readonly #making: ReadonlySet<string | undefined>;

  constructor(plan: Plan) {
    const ops = plan.stages.flatMap((stage) => stage.ops);
    this.#making = new Set(ops.filter(({ op }) => makesLink(op)).map(({ network }) => network));
    for (const obstacle of plan.obstacles ?? []) this.#note(obstacle);
  }

  /** The stage's ops that can be begun, and the others with what stands in their way. */
  divide({ ops }: Stage): { readonly ready: readonly PlannedOp[]; readonly kept: readonly OpFailure[] } {
    const ready: PlannedOp[] = [];
    const kept: OpFailure[] = [];
    for (const planned of ops) {
      const error = this.#causes.get(planned.network);
      if (error) kept.push({ planned, error });
      else ready.push(planned);
    }
    return { ready, kept };
  }

  /** What failed of a stage. */
  add(stage: Stage, failures: readonly OpFailure[]): void {
    if (!stage.essential) return;
    for (const { planned, error } of failures) {
      const { op, network } = planned;
      if (network === undefined || op.kind !== 'set-filter' || this.#making.has(network))
        this.#note({ ...planned, error });
    }
  }

  #note({ network, endpointId, error }: Obstacle): void {
    if (endpointId !== undefined) return;
    const kept = network === undefined ? [undefined, ...this.#making] : [network];
    for (const each of kept) if (!this.#causes.has(each)) this.#causes.set(each, error);
  }
}

function makesLink({ kind }: Op): boolean {
  return kind === 'add-vxlan' || kind === 'add-bridge' || kind === 'add-veth';
}
