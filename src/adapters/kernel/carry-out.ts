/** Carries ops out, in the kernel's thread: place by place, of each place what goes together at once. */
import type { Op } from '../../core/host-state.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { Batch } from './batch.ts';
import type { Flows } from './flows.ts';
import type { Refusal, StageOfWork, Step, Work } from './jobs.ts';
import type { Leave } from './leave.ts';
import { isNoNamespace, type Means, meansOf, pathOf } from './means.ts';
import { makeNamespace, removeNamespace } from './named-namespaces.ts';
import { renderNft } from './nftables.ts';
import { type PlainError, plainError } from './plain-error.ts';
import { removeLinks } from './removal.ts';
import { setSysctl } from './sysctl.ts';
import { runRules, type Tables } from './tables.ts';

/** A step, and the position of its first op. */
interface Placed {
  readonly step: Step;
  readonly at: number;
}
type Failures = Map<number, PlainError>;

/** What the kernel's thread keeps in mind of what it changes. */
export interface Memory {
  readonly tables: Tables;
  readonly flows: Flows;
  /** Asked: the rest is not begun. */
  readonly leave: Pick<Leave, 'check'>;
}

/** As `Jobs` says. */
export async function carryOut(memory: Memory, stages: readonly StageOfWork[]): Promise<Refusal[][]> {
  const refusals: Refusal[][] = [];
  for (const { essential, works } of stages) {
    const ofStage = await carryOutStage(memory, works);
    refusals.push(ofStage);
    if (essential && ofStage.length > 0) break;
  }
  return refusals;
}

/** Returns what was not done, and why. */
async function carryOutStage({ tables, flows, leave }: Memory, works: readonly Work[]): Promise<Refusal[]> {
  const all = works.map((work) => ({ work, failures: new Map<number, PlainError>() }));
  // Links that go have gone a moment later, and the kernel looks for connections for as long: meanwhile the rest is done.
  const later: Promise<void>[] = [];
  for (const { work, failures } of all) {
    const byMeans = Map.groupBy(placedSteps(work), ({ step }) => meansOfStep(step));
    for (const [means, steps] of byMeans) {
      leave.check();
      if (means === 'removal') later.push(remove(work, steps, failures));
      else if (means === 'conntrack') later.push(forget(flows, steps, failures));
      else attempt(steps, failures, () => doAll(tables, work, means, steps, failures));
    }
  }
  await Promise.all(later);
  return all.flatMap(({ failures }, work) => [...failures].map(([op, error]) => ({ work, op, error })));
}

function doAll(
  tables: Tables,
  { place }: Work,
  means: Exclude<Means, 'removal' | 'conntrack'>,
  steps: readonly Placed[],
  failures: Failures,
): void {
  switch (means) {
    case 'rtnetlink':
      writeBatch(place, steps, failures);
      break;
    case 'nftables': {
      const text = steps.map(({ step }) => renderNft(opOf(step))).join('');
      const { ok, errors } = runRules(place, text);
      if (!ok) throw Object.assign(new Error(errors.trim()), { code: '' });
      break;
    }
    case 'sysctl':
    case 'namespace':
      for (const each of steps) attempt([each], failures, () => doOne(tables, opOf(each.step)));
  }
}

function doOne(tables: Tables, op: Op): void {
  switch (op.kind) {
    case 'set-sysctl':
      setSysctl(pathOf(op.at), op.key, op.value);
      break;
    case 'add-namespace':
      tables.forget(op.name);
      makeNamespace(op.name, op.id);
      break;
    case 'delete-namespace':
      tables.forget(op.name);
      removeNamespace(op.name);
      break;
  }
}

function writeBatch(place: string, steps: readonly Placed[], failures: Failures): void {
  const socket = new NetlinkSocket({ namespace: pathOf(place) });
  const batch = new Batch(socket);
  try {
    for (const { step, at } of steps) batch.add(step, at);
    batch.flush();
  } finally {
    batch.close();
    socket.close();
    for (const [at, error] of batch.failures) failures.set(at, error);
  }
}

async function remove({ place }: Work, steps: readonly Placed[], failures: Failures): Promise<void> {
  const positions = new Map(steps.map(({ step, at }) => [nameOf(opOf(step)), at]));
  try {
    for (const [name, error] of await removeLinks(place, [...positions.keys()]))
      failures.set(positions.get(name)!, error);
  } catch (error) {
    failAll(steps, failures, error);
  }
}

async function forget(flows: Flows, steps: readonly Placed[], failures: Failures): Promise<void> {
  const ops = steps.flatMap(({ step }) => (step.kind === 'op' && step.op.kind === 'forget-flows' ? [step.op] : []));
  const of = (owner: 'comes' | 'went') => [...new Set(ops.flatMap((op) => (op.owner === owner ? op.addresses : [])))];
  flows.release(of('went'));
  try {
    await flows.prepare(of('comes'));
  } catch (error) {
    failAll(steps, failures, error);
  }
}

/** What fails as a whole fails each of the ops that did not fail by themselves. */
function attempt(steps: readonly Placed[], failures: Failures, task: () => void): void {
  try {
    task();
  } catch (error) {
    failAll(steps, failures, error);
  }
}

/** Where there is no namespace, what was to be taken away in it is gone. */
function failAll(steps: readonly Placed[], failures: Failures, cause: unknown): void {
  const error = plainError(cause);
  const left = isNoNamespace(cause) ? steps.filter(({ step }) => !takesAway(step)) : steps;
  for (const { step, at } of left) {
    for (let op = at; op < at + countOf(step); op++) if (!failures.has(op)) failures.set(op, error);
  }
}

function takesAway(step: Step): boolean {
  const { kind } = step.kind === 'op' ? step.op : step;
  return kind.startsWith('delete-') || kind === 'remove-elements';
}

function placedSteps({ steps }: Work): Placed[] {
  let at = 0;
  return steps.map((step) => {
    const placed = { step, at };
    at += countOf(step);
    return placed;
  });
}

function countOf(step: Step): number {
  if (step.kind === 'op') return 1;
  return step.macs.length;
}

function meansOfStep(step: Step): Means {
  return step.kind === 'op' ? meansOf(step.op) : 'rtnetlink';
}

function opOf(step: Step): Op {
  if (step.kind !== 'op') throw new Error('rows are done by rtnetlink');
  return step.op;
}

function nameOf(op: Op): string {
  return op.kind === 'delete-link' ? op.name : '';
}
