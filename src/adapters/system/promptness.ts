/**
 * Has this process run soon when it has something to do, also on a busy host: somebody waits for each of its answers, and each takes some
 * hundredths of a millisecond. What it may not have, or the kernel does not know, is left out. It is not of real time: who floods it with
 * questions must not take a processor from all others.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { askTimeSlice } from '../native/time-slice.ts';

/** Three times the share of others, where there is not enough for all. It takes CAP_SYS_NICE. */
const NICENESS = -5;
/** The least that the kernel grants; by default it is one to three milliseconds. */
const SLICE_NS = 100_000;

/** Each thread of this process, and those that they start later. */
export function bePrompt(): void {
  for (const thread of readdirSync('/proc/self/task').map(Number)) {
    attempt(() => setPriority(thread, NICENESS));
    attempt(() => askTimeSlice(thread, { niceness: getPriority(thread), ns: SLICE_NS }));
  }
  // Where sessions are scheduled one against the other, niceness counts inside of each alone (sched(7), "autogroup").
  attempt(() => {
    if (ownSession() === process.pid) writeFileSync('/proc/self/autogroup', String(NICENESS));
  });
}

function attempt(work: () => void): void {
  try {
    work();
  } catch {
    // Slower on a busy host, and as good otherwise.
  }
}

/** Process id of the session's leader. */
function ownSession(): number {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]);
}
