/**
 * How long a thread may run before others have their turn (sched_setattr(2)). Since Linux 6.12 who asks for less has its turn the sooner
 * when it wakes up, and no less of the processor. Kernels before it take the number and do nothing.
 */
import { call, libc } from './system-call.ts';

/** Of linux/sched/types.h, its first version: size, policy, flags, nice, priority, runtime, deadline, period. */
const ATTRIBUTES_BYTES = 48;
const NICE_AT = 16;
const RUNTIME_AT = 24;
const NUMBERS: Readonly<Partial<Record<NodeJS.Architecture, number>>> = { x64: 314, arm64: 274, riscv64: 274 };

const setAttributes = libc('int64_t syscall(int64_t number, int thread, void *attributes, uint64_t flags)');

/** For a thread of ordinary priority. Throws `EPERM` where it may not have that niceness, `ENOSYS` where the call is not known. */
export function askTimeSlice(
  thread: number,
  { niceness, ns }: { readonly niceness: number; readonly ns: number },
): void {
  const attributes = new DataView(new ArrayBuffer(ATTRIBUTES_BYTES));
  attributes.setUint32(0, ATTRIBUTES_BYTES, true);
  attributes.setInt32(NICE_AT, niceness, true);
  attributes.setBigUint64(RUNTIME_AT, BigInt(ns), true);
  call('sched_setattr', setAttributes, [NUMBERS[process.arch] ?? -1, thread, attributes, 0]);
}
