/** Carries ops out, in the kernel's thread: place by place, of each place what goes together at once. */
import { HOST, type Op } from '../../core/host-state.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { Batch, type Failures } from './batch.ts';
import { type Flows, forgetDatagrams } from './flows.ts';
import type { Refusal, StageOfWork, Work } from './jobs.ts';
import type { Leave } from './leave.ts';
import type { Looker } from './look.ts';
import { isNoNamespace, type Means, meansOf, pathOf } from './means.ts';
import { makeNamespace, removeNamespace } from './named-namespaces.ts';
import { renderNft } from './nftables.ts';
import { type PlainError, plainError } from './plain-error.ts';
import { removeLinks } from './removal.ts';
import { setSysctl } from './sysctl.ts';
import { runRules, type Tables } from './tables.ts';

/** An op, and its position in the work. */
interface Placed {
  readonly op: Op;
  readonly at: number;
}

/** What the kernel's thread keeps in mind of what it changes. */
export interface Memory {
  readonly tables: Tables;
  readonly flows: Flows;
  readonly looker: Pick<Looker, 'forget'>;
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
async function carryOutStage(memory: Memory, works: readonly Work[]): Promise<Refusal[]> {
  const { flows, leave } = memory;
  const all = works.map((work) => ({ work, failures: new Map() as Failures }));
  // Links that go have gone a moment later, and hold up whoever changes others meanwhile; the kernel looks for connections for
  // as long. So they come after all that is done at once.
  const later: (() => Promise<void>)[] = [];
  for (const { work, failures } of all) {
    const placed = work.ops.map((op, at) => ({ op, at }));
    for (const [means, ops] of Map.groupBy(placed, ({ op }) => meansOf(op))) {
      leave.check();
      if (means === 'removal') later.push(() => remove(work, ops, failures));
      else if (means === 'conntrack') later.push(() => forget(flows, work, ops, failures));
      else attempt(ops, failures, () => doAll(memory, work, means, ops, failures));
    }
  }
  await Promise.all(later.map((begin) => begin()));
  return all.flatMap(({ failures }, work) =>
    [...failures].flatMap(([op, failed]): Refusal[] =>
      failed instanceof Map
        ? [...failed].map(([row, error]) => ({ work, op, row, error }))
        : [{ work, op, error: failed as PlainError }],
    ),
  );
}

function doAll(
  memory: Memory,
  { place }: Work,
  means: Exclude<Means, 'removal' | 'conntrack'>,
  ops: readonly Placed[],
  failures: Failures,
): void {
  switch (means) {
    case 'rtnetlink':
      writeBatch(place, ops, failures);
      break;
    case 'nftables': {
      const run = (all: readonly Op[]) => runRules(place, all.map(renderNft).join(''));
      const wanted = ops.map(({ op }) => op);
      const first = run(wanted);
      // Somebody made the table meanwhile: nothing was done, and now it is replaced.
      const isThere = !first.ok && wanted.some(isFirstFilter);
      const { ok, errors } = isThere
        ? run(wanted.map((op) => (isFirstFilter(op) ? { ...op, isFirst: undefined } : op)))
        : first;
      // The first one, with the line and what of it: in a transaction the others follow from it.
      if (!ok) throw Object.assign(new Error(errors.trim().split('\n').slice(0, 3).join('\n')), { code: '' });
      break;
    }
    case 'sysctl':
    case 'namespace':
      for (const each of ops) attempt([each], failures, () => doOne(memory, each.op));
  }
}

function doOne({ tables, looker }: Memory, op: Op): void {
  switch (op.kind) {
    case 'set-sysctl':
      setSysctl(pathOf(op.at), op.key, op.value, op.required);
      break;
    case 'add-namespace':
      tables.forget(op.name);
      looker.forget(op.name);
      makeNamespace(op.name, op.id);
      break;
    case 'delete-namespace':
      tables.forget(op.name);
      looker.forget(op.name);
      removeNamespace(op.name);
      break;
  }
}

function writeBatch(place: string, ops: readonly Placed[], failures: Failures): void {
  const path = pathOf(place);
  const socket = new NetlinkSocket({ namespace: path });
  const batch = new Batch(socket, (key, value) => setSysctl(path, key, value));
  try {
    for (const { op, at } of ops) batch.add(op, at);
    batch.flush();
  } finally {
    batch.close();
    socket.close();
    for (const [at, error] of batch.failures) failures.set(at, error);
  }
}

async function remove({ place }: Work, ops: readonly Placed[], failures: Failures): Promise<void> {
  const positions = new Map(ops.map(({ op, at }) => [nameOf(op), at]));
  try {
    for (const [name, error] of await removeLinks(place, [...positions.keys()]))
      failures.set(positions.get(name)!, error);
  } catch (error) {
    failAll(ops, failures, error);
  }
}

async function forget(flows: Flows, { place }: Work, ops: readonly Placed[], failures: Failures): Promise<void> {
  const of = (owner: 'comes' | 'went') => [
    ...new Set(ops.flatMap(({ op }) => (op.kind === 'forget-flows' && op.owner === owner ? op.addresses : []))),
  ];
  try {
    if (place !== HOST) return await forgetDatagrams(pathOf(place), of('went'));
    flows.release(of('went'));
    await flows.prepare(of('comes'));
  } catch (error) {
    failAll(ops, failures, error);
  }
}

/** What fails as a whole fails each of the ops that did not fail by themselves. */
function attempt(ops: readonly Placed[], failures: Failures, task: () => void): void {
  try {
    task();
  } catch (error) {
    failAll(ops, failures, error);
  }
}

/** Where there is no namespace, what was to be taken away in it is gone. */
function failAll(ops: readonly Placed[], failures: Failures, cause: unknown): void {
  const error = plainError(cause);
  const left = isNoNamespace(cause) ? ops.filter(({ op }) => !takesAway(op)) : ops;
  for (const { at } of left) if (!failures.has(at)) failures.set(at, error);
}

function isFirstFilter(op: Op): op is Extract<Op, { kind: 'set-filter' }> {
  return op.kind === 'set-filter' && op.isFirst === true;
}

function takesAway({ kind }: Op): boolean {
  return kind.startsWith('delete-') || kind === 'remove-elements';
}

function nameOf(op: Op): string {
  return op.kind === 'delete-link' ? op.name : '';
}
