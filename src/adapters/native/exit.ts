/** Ends of the whole process, whatever its threads are doing: `process.exit` waits for them, `process.abort` is the main thread's. */
import { writeSync } from 'node:fs';
import { libc } from './system-call.ts';

const native = { exit: libc('void _exit(int status)'), abort: libc('void abort()') };

/** For a thread that hangs in a call (_exit(2)): nothing more is done or written. */
export function exitNow(code: number): never {
  native.exit(code);
  throw new Error('_exit returned');
}

/** With the reason as the last words, past what this program still has to write. */
export function abortNow(reason: string): never {
  writeSync(2, `overlayd: ${reason}\n`);
  native.abort();
  throw new Error('abort returned');
}
