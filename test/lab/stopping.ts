/** Stopping a process for certain. */
import { readdirSync, readFileSync } from 'node:fs';
import { until } from './until.ts';

/**
 * SIGSTOP; resolves when no thread of the process runs any more. The signal goes to one of them, and the others go on until that one
 * has had a processor, which takes as long as the machine is busy.
 */
export async function stopProcess(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  await until(`process ${pid} to stop`, () => statesOf(pid).every((state) => state === 'T'));
}

function statesOf(pid: number): readonly string[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
    // proc(5): the state follows the name, which may have any characters but this one.
    return stat.charAt(stat.lastIndexOf(')') + 2);
  });
}
