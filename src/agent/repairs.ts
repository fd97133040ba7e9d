import type { ApplyResult, Plan, PlannedOp } from '../core/host-state.ts';
import type { Marks } from './reconcile-marks.ts';

/**
 * The ops of a pass that put back what something else had changed: nobody had asked for a change there. `isAsked`: of the
 * network with that namespace.
 */
export function repairsOf(
  planned: Plan,
  { failures }: ApplyResult,
  marks: Marks,
  hostChanged: boolean,
  isAsked: (namespace: string) => boolean,
): PlannedOp[] {
  if (marks.asked) return [];
  const failed = new Set(failures.map((failure) => failure.planned));
  const ops = planned.stages.flatMap((stage) => stage.ops).filter((each) => !failed.has(each));
  return ops.filter(({ network }) => (network === undefined ? !hostChanged : !isAsked(network)));
}
