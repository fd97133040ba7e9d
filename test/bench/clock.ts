import { setTimeout as pause } from 'node:timers/promises';

/** Milliseconds of the machine's monotonic clock: the same in every process. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = nowMs();
  await work();
  return nowMs() - start;
}

export function settle(ms: number): Promise<void> {
  return pause(ms);
}
