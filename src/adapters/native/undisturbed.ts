/** Calls into libraries that take a signal for a failure. */
import { libc } from './system-call.ts';

/** `asm-generic/signal-defs.h`; a set of signals has one bit for each (`sigset_t`, of glibc and musl alike). */
const SIG = { BLOCK: 0, SETMASK: 2 } as const;
const SET_BYTES = 128;
/** What the processor raises: SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS. One that is blocked ends the process. */
const FAULTS = [4, 5, 6, 7, 8, 11, 31] as const;

const pthreadSigmask = libc('int pthread_sigmask(int how, const void *set, void *before)');

const all = new Uint8Array(SET_BYTES).fill(0xff);
for (const signal of FAULTS) all[(signal - 1) >> 3]! &= ~(1 << ((signal - 1) & 7));

/**
 * Runs the task, which must be synchronous, while this thread handles no signal (pthread_sigmask(3)). Those of the process are
 * handled by its other threads; one that is this thread's own is handled afterwards.
 */
export function undisturbed<T>(task: () => T): T {
  const before = new Uint8Array(SET_BYTES);
  pthreadSigmask(SIG.BLOCK, all, before);
  try {
    return task();
  } finally {
    pthreadSigmask(SIG.SETMASK, before, null);
  }
}
