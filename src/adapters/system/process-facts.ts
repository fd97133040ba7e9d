/** What this process costs its host. */
import { readdir } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import type { ProcessFacts } from '../../ports/telemetry.ts';

export async function processFacts(): Promise<ProcessFacts> {
  const { user, system } = process.cpuUsage();
  const open = await readdir('/proc/self/fd').catch(() => undefined);
  return {
    cpu: (user + system) / 1e6,
    memory: process.memoryUsage.rss(),
    startTime: performance.timeOrigin / 1_000,
    openFiles: open?.length,
    loopBusy: performance.eventLoopUtilization().active / 1_000,
  };
}
