/** The end of a process that is none of our children (pidfd_open(2)), told by the event loop. */
import { closeDescriptor } from './socket.ts';
import { call, libc, whenReadable } from './system-call.ts';

/** The number is the same on every architecture. */
const SYS_PIDFD_OPEN = 434;

const pidfdOpen = libc('int64_t syscall(int64_t number, int pid, uint64_t flags)');

/** Returns what stops to wait. Throws `ESRCH` where there is no such process, or it has ended and only its parent does not know. */
export function whenProcessEnds(pid: number, tell: () => void): () => void {
  const fd = call('pidfd_open', pidfdOpen, [SYS_PIDFD_OPEN, pid, 0], `process ${pid}`);
  const waiting = whenReadable(fd, () => {
    stop();
    tell();
  });
  let stopped = false;
  const stop = () => {
    if (stopped) return;
    stopped = true;
    waiting.stop();
    closeDescriptor(fd);
  };
  return stop;
}
