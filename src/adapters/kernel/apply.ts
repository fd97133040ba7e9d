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
import type { FdbColumns, NeighbourColumns, Step } from './jobs.ts';
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
      writes += ready.length - ofStage.length;
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
    works: ofStage.map(([place, planned]) => ({ place, steps: stepsOf(planned) })),
  }));
  // Nothing but what is kept back.
  if (groups.every((ofStage) => ofStage.length === 0)) return groups.map(() => []);
  try {
    const refusals = await thread.ask('carryOut', works, signal);
    return refusals.map((ofStage, at) =>
      ofStage.map(({ work, op, error }) => {
        const planned = groups[at]![work]![1][op]!;
        return { planned, error: errorOf(planned.op, error) };
      }),
    );
  } catch (error) {
    // Of none of them is known whether it was done.
    return divided.map(({ ready }) => ready.map((planned) => ({ planned, error: error as Error })));
  }
}

/** Rows of one link that are written one after another become columns: of thousands of ops, nobody clones the objects. */
export function stepsOf(planned: readonly PlannedOp[]): Step[] {
  const steps: Step[] = [];
  for (const { op } of planned) {
    const last = steps.at(-1);
    if (op.kind === 'set-neighbour' || op.kind === 'delete-neighbour') {
      const { link, address, mac } = op.neighbour;
      const columns = last?.kind === op.kind && last.link === link ? (last as Growing<NeighbourColumns>) : undefined;
      if (columns) {
        columns.addresses.push(address);
        columns.macs.push(mac);
      } else steps.push({ kind: op.kind, link, addresses: [address], macs: [mac] });
    } else if (op.kind === 'set-fdb' || op.kind === 'delete-fdb') {
      const { link, mac, vtep, port } = op.row;
      const columns = last?.kind === op.kind && last.link === link ? (last as Growing<FdbColumns>) : undefined;
      if (columns) {
        columns.macs.push(mac);
        columns.vteps.push(vtep);
        columns.ports.push(port);
      } else steps.push({ kind: op.kind, link, macs: [mac], vteps: [vtep], ports: [port] });
    } else steps.push({ kind: 'op', op });
  }
  return steps;
}

type Growing<T> = { [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };

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
