/**
 * Carries a plan out: stage by stage, in a stage one process per namespace and tool, all side by side. A line that
 * fails does not stop the ones after it; each failure is told with the line and the kernel's words.
 */
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
import type { Run, RunResult } from './exec.ts';
import { type Line, placeOf, renderBridge, renderIp, type Tool, toolOf } from './iproute2.ts';
import { renderNft } from './nftables.ts';
import { inPlace } from './observe.ts';

export async function apply(run: Run, plan: Plan, signal: AbortSignal | undefined): Promise<ApplyResult> {
  const failures: OpFailure[] = [];
  let writes = 0;
  for (const stage of plan.stages) {
    const groups = Map.groupBy(stage.ops, ({ op }) => `${toolOf(op)} ${placeOf(op)}`);
    const results = await Promise.all([...groups.values()].map((ops) => applyGroup(run, ops, signal)));
    const failed = results.flat();
    writes += stage.ops.length - failed.length;
    failures.push(...failed);
    if (stage.essential && failed.length > 0) break;
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
    if (tool === 'sysctl') return await applySysctls(run, place, ops, signal);
    return await applyFilters(run, place, ops, signal);
  } catch (error) {
    return ops.map((planned) => ({ planned, error: asOverlaydError(error) }));
  }
}

interface Entry {
  readonly line: Line;
  readonly planned: PlannedOp;
}

async function applyBatch(
  run: Run,
  tool: 'ip' | 'bridge',
  place: Place,
  ops: readonly PlannedOp[],
  signal: AbortSignal | undefined,
): Promise<OpFailure[]> {
  const lines: Entry[] = [];
  for (const planned of ops) {
    const rendered = tool === 'ip' ? renderIp(planned.op) : [renderBridge(planned.op)];
    for (const line of rendered) lines.push({ line, planned });
  }
  const failures = new Map<PlannedOp, Error>();
  const fail = ({ line, planned }: Entry, words: string) => {
    if (line.tolerated?.test(words) || failures.has(planned)) return;
    failures.set(planned, failedLine(tool, line.text, place, words));
  };
  let rest: readonly Entry[] = lines;
  while (rest.length > 0) {
    const input = `${rest.map(({ line }) => line.text).join('\n')}\n`;
    const result = await run([...inPlace(place, tool), '-force', '-batch', '-'], { input, signal });
    if (result.code === 0) break;
    const told = parseBatchErrors(result.stderr);
    for (const [number, words] of told.byLine) {
      const entry = rest[number - 1];
      if (entry) fail(entry, words);
    }
    if (told.rest === '') break;
    // The tool ended early, without a line number. It quotes what it did not like; without that, nothing is known of
    // the lines after the last one that it named.
    const unknown = rest.slice(Math.max(0, ...told.byLine.keys()));
    const quoted = /argument "(.+?)" is wrong/.exec(told.rest)?.[1];
    const culprit = quoted === undefined ? -1 : unknown.findIndex(({ line }) => line.text.split(' ').includes(quoted));
    const blamed = culprit < 0 ? unknown : unknown.slice(culprit, culprit + 1);
    for (const entry of blamed) fail(entry, told.rest);
    rest = culprit < 0 ? [] : unknown.slice(culprit + 1);
  }
  return [...failures].map(([planned, error]) => ({ planned, error }));
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
  const result = await run([...inPlace(place, 'sysctl'), '-e', '-q', '-w', ...values], { signal });
  return failedAll(result, `sysctl -w ${values.join(' ')}`, place, ops);
}

async function applyFilters(
  run: Run,
  place: Place,
  ops: readonly PlannedOp[],
  signal: AbortSignal | undefined,
): Promise<OpFailure[]> {
  const input = ops.map(({ op }) => renderNft(op)).join('');
  const result = await run([...inPlace(place, 'nft'), '-f', '-'], { input, signal });
  return failedAll(result, `nft table ${TABLE}`, place, ops);
}

function failedAll(result: RunResult, what: string, place: Place, ops: readonly PlannedOp[]): OpFailure[] {
  if (result.code === 0) return [];
  const error = failedLine('', what, place, result.stderr.trim());
  return ops.map((planned) => ({ planned, error }));
}

function failedLine(tool: Tool | '', line: string, place: Place, words: string): OverlaydError {
  const where = place === HOST ? 'in the host' : `in namespace ${place}`;
  const hint = /File exists/.test(words) ? '; something else has that name or VNI, look at `ip -d link`' : '';
  return new OverlaydError('data-path-failed', `${`${tool} ${line}`.trim()} (${where}): ${words}${hint}`, {
    retryable: true,
  });
}
