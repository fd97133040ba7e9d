/** Locks of whole files (flock(2)): they belong to the opened file, and so to all processes that have it from one opening. */
import { call, libc, type SystemCallError } from './system-call.ts';

const LOCK_EX = 2;
const LOCK_NB = 4;

const flock = libc('int flock(int fd, int operation)');

/** Returns whether the lock is held now. It ends when the last descriptor of this opening is closed. */
export function tryLock(fd: number): boolean {
  try {
    call('flock', flock, [fd, LOCK_EX | LOCK_NB]);
    return true;
  } catch (error) {
    if ((error as SystemCallError).code === 'EAGAIN') return false;
    throw error;
  }
}
