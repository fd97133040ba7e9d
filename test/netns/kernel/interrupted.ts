import type { ApplyResult, OpFailure, Plan, PlannedOp } from '../../../src/core/host-state.ts';
import { Obstacles } from '../../../src/core/plan/obstacles.ts';
import type { Kernel } from '../../../src/ports/kernel.ts';

/** Carries out each op of a plan by itself, with `between` before it: what it does comes in the midst of the plan. */
export function interrupted(kernel: Kernel, between: () => Promise<void>): Kernel {
  const apply = async (plan: Plan): Promise<ApplyResult> => {
    const obstacles = new Obstacles(plan);
    const failures: OpFailure[] = [];
    let writes = 0;
    for (const stage of plan.stages) {
      const { ready, kept } = obstacles.divide(stage);
      const failed: OpFailure[] = [];
      for (const planned of ready) {
        await between();
        const result = await kernel.apply(alone(planned, stage.essential));
        writes += result.writes;
        failed.push(...result.failures);
      }
      obstacles.add(stage, failed);
      failures.push(...failed, ...kept);
    }
    return { writes, failures };
  };
  return {
    apply,
    observe: (scope, signal) => kernel.observe(scope, signal),
    changes: (signal) => kernel.changes(signal),
    filters: (namespaces, signal) => kernel.filters(namespaces, signal),
    inside: (path) => kernel.inside(path),
  };
}

function alone(planned: PlannedOp, essential: boolean): Plan {
  return { stages: [{ essential, ops: [planned] }], gone: [] };
}
