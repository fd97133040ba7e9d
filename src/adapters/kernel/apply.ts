/**
 * Carries a plan out: stage by stage, in a stage one process per namespace and tool, all side by side. A line that
 * fails does not stop the ones after it; each failure is told with the line and the kernel's words.
 */
import { randomInt } from 'node:crypto';
import { asOverlaydError, OverlaydError } from '../../core/errors.ts';
import {
  type ApplyResult,
  HOST,
  type OpFailure,
  type Place,
  type Plan,
  type PlannedOp,
  TABLE,
} from '../../core/host-state.ts';
import { isNetworkNamespace } from '../../core/plan/naming.ts';
import { Obstacles } from '../../core/plan/obstacles.ts';
import type { Run, RunResult } from './exec.ts';
import { forgetFlows } from './flows.ts';
import {
  isNoNamespace,
  type Line,
  placeOf,
  renderBridge,
  renderGroupDeletion,
  renderIp,
  type Tool,
  toolOf,
} from './iproute2.ts';
import { renderNft } from './nftables.ts';
import { inPlace } from './observe.ts';
import { explainRefusal } from './refusal.ts';

export async function apply(run: Run, plan: Plan, signal: AbortSignal | undefined): Promise<ApplyResult> {
  const failures: OpFailure[] = [];
  const obstacles = new Obstacles(plan);
  let writes = 0;
  for (const stage of plan.stages) {
    const { ready, kept } = obstacles.divide(stage);
    const groups = Map.groupBy(ready, ({ op }) => `${toolOf(op)} ${placeOf(op)}`);
    const results = await Promise.all([...groups.values()].map((ops) => applyGroup(run, ops, signal)));
    const failed = results.flat();
    obstacles.add(stage, failed);
    writes += ready.length - failed.length;
    failures.push(...failed, ...kept);
  }
  return { writes, failures };
}

/** Ops of one tool in one namespace. */
async function applyGroup(run: Run, ops: readonly PlannedOp[], signal: AbortSignal | undefined): Promise<OpFailure[]> {
  const [first] = ops;
  if (!first) return [];
  const tool = toolOf(first.op);
  const place = placeOf(first.op);
  try {
    if (tool === 'ip' || tool === 'bridge') return await applyBatch(run, tool, place, ops, signal);
    if (tool === 'perl') {
      const addresses = ops.flatMap(({ op }) => (op.kind === 'forget-flows' ? op.addresses : []));
      await forgetFlows(run, [...new Set(addresses)], signal);
      return [];
    }
    if (tool === 'sysctl') return await applySysctls(run, place, ops, signal);
    return await applyFilters(run, place, ops, signal);
  } catch (error) {
    return ops.map((planned) => ({ planned, error: asOverlaydError(error) }));
  }
}

interface Entry {
  readonly line: Line;
  /** On whose behalf: more than one op only where one line does what all of them want. */
  readonly planned: readonly PlannedOp[];
}

async function applyBatch(
  run: Run,
  tool: 'ip' | 'bridge',
  place: Place,
  ops: readonly PlannedOp[],
  signal: AbortSignal | undefined,
): Promise<OpFailure[]> {
  const lines = tool === 'ip' ? renderAll(place, ops) : ops.map((each) => entryOf(renderBridge(each.op), each));
  const failures = new Map<PlannedOp, Error>();
  const fail = ({ line, planned }: Entry, words: string) => {
    for (const each of planned) {
      if (failures.has(each)) continue;
      const cause = failedLine(tool, line.text, place, words || 'it did not say why');
      const explained = explainRefusal(each.op, words);
      const error = explained && new OverlaydError('data-path-failed', explained, { cause, retryable: true });
      failures.set(each, error || cause);
    }
  };
  const judge = (entry: Entry, words: string) => {
    if (!entry.line.tolerated?.test(words)) fail(entry, words);
  };
  let rest: readonly Entry[] = lines;
  while (rest.length > 0) {
    const input = `${rest.map(({ line }) => line.text).join('\n')}\n`;
    const result = await run([...inPlace(place, tool), '-force', '-batch', '-'], { input, quiet: true, signal });
    if (result.code === 0) break;
    const told = parseBatchErrors(result.stderr);
    for (const [number, words] of told.byLine) {
      const entry = rest[number - 1];
      if (entry) judge(entry, words);
    }
    if (told.rest === '' && told.byLine.size > 0) break;
    // The tool ended early, without a line number: a neighbour that the kernel refuses ends it, and so does a word that it
    // does not understand. The latter it quotes.
    const unknown = rest.slice(Math.max(0, ...told.byLine.keys()));
    const quoted = /argument "(.+?)" is wrong/.exec(told.rest)?.[1];
    const culprit = quoted === undefined ? -1 : unknown.findIndex(({ line }) => line.text.split(' ').includes(quoted));
    if (culprit < 0) {
      // Of none of these lines is known whether it ran. What the tool tolerates of one is no proof for the others, but
      // where there is no namespace.
      const blame = isNoNamespace(told.rest) ? judge : fail;
      for (const entry of unknown) blame(entry, told.rest);
      break;
    }
    judge(unknown[culprit]!, told.rest);
    rest = unknown.slice(culprit + 1);
  }
  return [...failures].map(([planned, error]) => ({ planned, error }));
}

/**
 * Lines for `ip -batch`. The kernel waits some 20 ms for each link that is deleted by itself, and as long for a whole
 * group: so several in a namespace of ours, where nobody else has groups, go as one.
 */
function renderAll(place: Place, ops: readonly PlannedOp[]): Entry[] {
  const render = (planned: PlannedOp) => renderIp(planned.op).map((line) => entryOf(line, planned));
  const deletions = isNetworkNamespace(place) ? ops.filter(({ op }) => op.kind === 'delete-link') : [];
  if (deletions.length < 2) return ops.flatMap(render);
  // Another one each time: a link that bears the mark of a deletion that was cut off must not go with the next one.
  const group = randomInt(1, 2 ** 31);
  const { marks, end } = renderGroupDeletion(
    deletions.map(({ op }) => op),
    group,
  );
  return [
    ...deletions.map((planned, index) => entryOf(marks[index]!, planned)),
    { line: end, planned: deletions },
    ...ops.filter(({ op }) => op.kind !== 'delete-link').flatMap(render),
  ];
}

function entryOf(line: Line, planned: PlannedOp): Entry {
  return { line, planned: [planned] };
}

/** iproute2 prints the cause, then `Command failed -:LINE`. What follows the last such line ended the tool. */
export function parseBatchErrors(stderr: string): { byLine: Map<number, string>; rest: string } {
  const byLine = new Map<number, string>();
  let words: string[] = [];
  for (const line of stderr.split('\n')) {
    const failed = /^Command failed -:(\d+)/.exec(line);
    if (failed) {
      byLine.set(Number(failed[1]), words.join(' '));
      words = [];
    } else if (line.trim() !== '') {
      words.push(line.trim());
    }
  }
  return { byLine, rest: words.join(' ') };
}

async function applySysctls(
  run: Run,
  place: Place,
  ops: readonly PlannedOp[],
  signal: AbortSignal | undefined,
): Promise<OpFailure[]> {
  const values = ops.flatMap(({ op }) => (op.kind === 'set-sysctl' ? [`${op.key}=${op.value}`] : []));
  const result = await run([...inPlace(place, 'sysctl'), '-e', '-q', '-w', ...values], { quiet: true, signal });
  return failedAll(result, `sysctl -w ${values.join(' ')}`, place, ops);
}

async function applyFilters(
  run: Run,
  place: Place,
  ops: readonly PlannedOp[],
  signal: AbortSignal | undefined,
): Promise<OpFailure[]> {
  const input = ops.map(({ op }) => renderNft(op)).join('');
  const result = await run([...inPlace(place, 'nft'), '-f', '-'], { input, quiet: true, signal });
  return failedAll(result, `nft table ${TABLE}`, place, ops);
}

function failedAll(result: RunResult, what: string, place: Place, ops: readonly PlannedOp[]): OpFailure[] {
  if (result.code === 0) return [];
  const error = failedLine('', what, place, result.stderr.trim());
  return ops.map((planned) => ({ planned, error }));
}

function failedLine(tool: Tool | '', line: string, place: Place, words: string): OverlaydError {
  const where = place === HOST ? 'in the host' : `in namespace ${place}`;
  const hint = /File exists|already exists/.test(words)
    ? '; something else has that name or VNI, look at `ip -d link`'
    : '';
  return new OverlaydError('data-path-failed', `${`${tool} ${line}`.trim()} (${where}): ${words}${hint}`, {
    retryable: true,
  });
}
