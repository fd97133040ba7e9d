import { readdirSync, readFileSync } from 'node:fs';
import type { Host } from '../lab/host.ts';
import { childrenOf } from '../lab/process.ts';

/** In which the kernel counts processor time. */
const MS_PER_TICK = 10;
const KIB = 1_024;

/** In this machine's numbers; not its parent, which entered the host's namespaces for it. */
export function agentPid(host: Host): number {
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const words = read(`/proc/${name}/cmdline`).split('\0');
    if (words.includes(host.dataDirectory) && words.some((word) => word.endsWith('/agent.cjs'))) return Number(name);
  }
  throw new Error(`no agent on ${host.name}`);
}

/** Processor time so far of the agent and all that it started, in milliseconds. */
export function cpuMs(pid: number): number {
  const stat = read(`/proc/${pid}/stat`);
  // proc(5): utime, stime, and those of children that have ended.
  const ticks = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15)
    .map(Number);
  const own = ticks.reduce((sum, value) => sum + value, 0) * MS_PER_TICK;
  return childrenOf(pid).reduce((sum, child) => sum + cpuMs(child), own);
}

export function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`))?.[1]) * KIB;
}

/** Of the process and all that it started; pages that several of them share count once (`Pss` of proc(5)). */
export function proportionalBytes(pid: number): number {
  const own = Number(/^Pss:\s+(\d+) kB/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0) * KIB;
  return childrenOf(pid).reduce((sum, child) => sum + proportionalBytes(child), own);
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
