import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { Host } from './host.ts';
import { childrenOf } from './process.ts';
import { until } from './until.ts';

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

/**
 * The agent of the host and every other process of ours there (which may outlive it, and is no child of it then), each
 * without its children: those whose command line names a program of a build, the command aside.
 */
function processesOf(host: Host): readonly number[] {
  const inside = linkOf(host.pid);
  const ours = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => isProgram(read(`/proc/${pid}/cmdline`).split('\0')) && linkOf(pid) === inside);
  const children = new Set(ours.flatMap(descendantsOf));
  return ours.filter((pid) => !children.has(pid));
}

function isProgram(words: readonly string[]): boolean {
  return words.some((word) => /\/dist\/lib\/[\w-]+\.cjs$/.test(word) && !word.endsWith('/cli.cjs'));
}

/** Which process namespace it is in. */
function linkOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return '';
  }
}

function descendantsOf(pid: number): readonly number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)]);
}

/** Ends by force those of our processes on the host that outlive the agent, which has ended; resolves when they are gone. */
export async function endSurvivors(host: Host): Promise<void> {
  for (const pid of processesOf(host)) process.kill(pid, 'SIGKILL');
  await until(`all processes of overlayd on ${host.name} to end`, async () => processesOf(host).length === 0);
}

/** Processor time so far of all our processes on the host, in milliseconds, with what they started. */
export function allCpuMs(host: Host): number {
  return processesOf(host).reduce((sum, pid) => sum + cpuMs(pid), 0);
}

/** Memory of all our processes on the host and what they started; pages that several share count once (`Pss` of proc(5)). */
export function allBytes(host: Host): number {
  return processesOf(host).reduce((sum, pid) => sum + proportionalBytes(pid), 0);
}

/** Processor time so far of the process and all that it started, in milliseconds. */
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

function proportionalBytes(pid: number): number {
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
