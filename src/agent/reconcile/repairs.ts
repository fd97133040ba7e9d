import type { ApplyResult, Plan, PlannedOp } from '../../core/host-state.ts';
import { isOfRows, singleOps } from '../../core/plan/rows.ts';
import type { Marks } from './marks.ts';

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
  return doneBy(planned, { failures }, ({ network }) => (network === undefined ? !hostChanged : !isAsked(network)));
}

/** What was done of a plan, of the ops that are `wanted`: thousands of rows become ops of their own only then. */
export function doneBy(
  planned: Plan,
  { failures }: Pick<ApplyResult, 'failures'>,
  wanted: (planned: PlannedOp) => boolean = () => true,
): PlannedOp[] {
  const failed = new Set(failures.map((failure) => failure.planned));
  return planned.stages
    .flatMap((stage) => stage.ops)
    .filter((each) => wanted(each) && !failed.has(each))
    .flatMap((each) => (isOfRows(each.op) ? rowsOf(each, failures) : each));
}

/** As ops of their own, but for those that failed. */
function rowsOf(planned: PlannedOp, failures: ApplyResult['failures']): PlannedOp[] {
  if (failures.length === 0) return singleOps(planned.op).map((op) => ({ ...planned, op }));
  const failed = new Set(failures.map((failure) => JSON.stringify(failure.planned.op)));
  return singleOps(planned.op).flatMap((op) => (failed.has(JSON.stringify(op)) ? [] : { ...planned, op }));
}
