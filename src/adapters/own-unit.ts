/**
 * Moves what outlives the agent out of the agent's unit into one of its own, where systemd runs the agent: it would be a
 * left-over process of it at each restart. Whoever started it, and when, does not matter. Without systemd, or its bus,
 * everything is as good; only systemd grumbles.
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../ports/runtime.ts';

const TRIES = 5;
const AGAIN_MS = 200;
const AGENT_UNIT = /\/overlayd\.service$/m;

export interface OwnUnit {
  /** A scope's: `overlayd-….scope`. */
  readonly name: string;
  readonly description: string;
  /** Of systemd.resource-control(5); 100 is what others have. */
  readonly cpuWeight?: number;
}

export interface OwnUnitDeps {
  /** Runs a program to its end, whatever its exit code. */
  readonly run: (argv: readonly string[]) => Promise<{ readonly code: number; readonly stderr: string }>;
  readonly logger: Logger;
}

/** Never throws. */
export async function moveToOwnUnit({ run, logger }: OwnUnitDeps, unit: OwnUnit, pid: number): Promise<void> {
  const groups = await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '');
  if (!AGENT_UNIT.test(groups)) return;
  try {
    // The unit of one that has just ended may be there for a moment yet.
    for (let left = TRIES; ; left--) {
      const { code, stderr } = await run(['busctl', ...renderScope(unit, pid)]);
      if (code === 0) return;
      if (left === 1) throw new Error(stderr.trim() || `busctl ended with ${code}`);
      await sleep(AGAIN_MS);
    }
  } catch (error) {
    const { name } = unit;
    logger.warn({ pid, name, error }, 'a process stays in the unit of the agent; systemd calls it a left-over process');
  }
}

/** `StartTransientUnit(name, mode, properties, aux)` of org.freedesktop.systemd1(5). At shutdown it ends after the agent. */
export function renderScope({ name, description, cpuWeight }: OwnUnit, pid: number): readonly string[] {
  const manager = ['org.freedesktop.systemd1', '/org/freedesktop/systemd1', 'org.freedesktop.systemd1.Manager'];
  const properties = [
    ['Description', 's', description],
    ['PIDs', 'au', '1', String(pid)],
    ['Before', 'as', '1', 'overlayd.service'],
    // One that has failed, for its process had ended before it was in it, would be in the way of the next one for ever.
    ['CollectMode', 's', 'inactive-or-failed'],
    ...(cpuWeight === undefined ? [] : [['CPUWeight', 't', String(cpuWeight)]]),
  ];
  const call = ['StartTransientUnit', 'ssa(sv)a(sa(sv))', name, 'fail', String(properties.length)];
  return ['call', ...manager, ...call, ...properties.flat(), '0'];
}
