/**
 * Carries a plan out: stage by stage, all of them as one job of the kernel's thread, unless an essential one fails. An op that
 * fails does not stop the ones after it; each failure is told with the op and the kernel's words.
 */
import { OverlaydError } from '../../core/errors.ts';
import {
  type ApplyResult,
  HOST,
  type Op,
  type OpFailure,
  type Plan,
  type PlannedOp,
  type Stage,
  TABLE,
} from '../../core/host-state.ts';
import { Obstacles } from '../../core/plan/obstacles.ts';
import { isOfRows, rowOp, writesOf } from '../../core/plan/rows.ts';
import type { KernelThread } from './kernel-thread.ts';
import { placeOf } from './means.ts';
import { failure, type PlainError } from './plain-error.ts';
import { explainRefusal } from './refusal.ts';

/** Never throws: of what is not known to be done, the result says why. */
export async function apply(
  thread: Pick<KernelThread, 'ask'>,
  plan: Plan,
  signal: AbortSignal | undefined,
): Promise<ApplyResult> {
  const failures: OpFailure[] = [];
  const obstacles = new Obstacles(plan);
  let writes = 0;
  for (let rest = plan.stages; rest.length > 0; ) {
    const divided = rest.map((stage) => obstacles.divide(stage));
    const failed = await applyStages(thread, rest, divided, signal);
    for (const [at, ofStage] of failed.entries()) {
      const { ready, kept } = divided[at]!;
      obstacles.add(rest[at]!, ofStage);
      writes += count(ready) - count(ofStage.map(({ planned }) => planned));
      failures.push(...ofStage, ...kept);
    }
    rest = rest.slice(failed.length);
  }
  return { writes, failures };
}

/** Returns what failed of each stage, up to one whose failures keep back what is in later ones. */
async function applyStages(
  thread: Pick<KernelThread, 'ask'>,
  stages: readonly Stage[],
  divided: readonly { readonly ready: readonly PlannedOp[] }[],
  signal: AbortSignal | undefined,
): Promise<readonly OpFailure[][]> {
  const groups = divided.map(({ ready }) => [...Map.groupBy(ready, ({ op }) => placeOf(op))]);
  const works = groups.map((ofStage, at) => ({
    essential: stages[at]!.essential,
    works: ofStage.map(([place, planned]) => ({ place, ops: planned.map(({ op }) => op) })),
  }));
  // Nothing but what is kept back.
  if (groups.every((ofStage) => ofStage.length === 0)) return groups.map(() => []);
  try {
    const refusals = await thread.ask('carryOut', works, signal);
    return refusals.map((ofStage, at) =>
      ofStage.map(({ work, op, row, error }) => {
        const whole = groups[at]![work]![1][op]!;
        const planned = row !== undefined && isOfRows(whole.op) ? { ...whole, op: rowOp(whole.op, row) } : whole;
        return { planned, error: errorOf(planned.op, error) };
      }),
    );
  } catch (error) {
    // Of none of them is known whether it was done.
    return divided.map(({ ready }) => ready.map((planned) => ({ planned, error: error as Error })));
  }
}

function count(ops: readonly PlannedOp[]): number {
  return ops.reduce((sum, { op }) => sum + writesOf(op), 0);
}

function errorOf(op: Op, error: PlainError): OverlaydError {
  const cause = failure(describe(op), error);
  const explained = explainRefusal(op, error);
  return explained === undefined ? cause : new OverlaydError('data-path-failed', explained, { cause, retryable: true });
}

/** The op in words, and where. */
function describe(op: Op): string {
  const place = placeOf(op);
  return `${op.kind} ${subjectOf(op)} (${place === HOST ? 'in the host' : `in namespace ${place}`})`;
}

function subjectOf(op: Op): string {
  switch (op.kind) {
    case 'add-veth':
      return `${op.end.name} with ${op.peer.name} in ${op.peer.at === HOST ? 'the host' : op.peer.at}`;
    case 'set-sysctl':
      return `${op.key}=${op.value}`;
    case 'add-address':
    case 'delete-address':
      return `${op.address.address}/${op.address.prefix} of ${op.address.link}`;
    case 'set-route':
    case 'delete-route':
      return `${op.route.destination} by ${op.route.link}`;
    case 'set-neighbour':
    case 'delete-neighbour':
      return `${op.neighbour.address} on ${op.neighbour.link}`;
    case 'set-fdb':
    case 'delete-fdb':
      return `${op.row.mac} on ${op.row.link}`;
    case 'set-rows':
    case 'delete-rows':
      return `of ${writesOf(op)} rows on ${[...op.rows.links.values()].join(', ')}`;
    case 'forget-flows':
      return op.addresses.join(', ');
    case 'set-filter':
    case 'delete-filter':
    case 'add-elements':
    case 'remove-elements':
      return `of table ${TABLE}`;
    default:
      return op.name;
  }
}
