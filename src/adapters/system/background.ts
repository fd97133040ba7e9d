import { readdirSync } from 'node:fs';
import { setPriority } from 'node:os';

const NICENESS = 10;

/** Lets whoever else wants a processor have it first: for each thread of this process, as the kernel knows no other way (sched(7)). */
export function stayInBackground(): void {
  for (const thread of readdirSync('/proc/self/task')) {
    try {
      setPriority(Number(thread), NICENESS);
    } catch {
      // It has ended meanwhile.
    }
  }
}
