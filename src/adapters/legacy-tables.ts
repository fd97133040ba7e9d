/**
 * Whether iptables-legacy has tables in a namespace of networks: it tells nobody of them, and to list one by the program makes it.
 * Read at once, and by the thread: another one of this process may read while this one is in a container's namespace.
 */
import { readFileSync } from 'node:fs';

/** `net`: the directory of the namespace's files, e.g. `/proc/PID/net` of a process that is in it; by default this thread's. */
export function hasLegacyTables(family: 4 | 6, net = '/proc/thread-self/net'): boolean {
  try {
    return readFileSync(`${net}/${family === 4 ? 'ip' : 'ip6'}_tables_names`, 'utf8').trim() !== '';
  } catch (error) {
    // Its module is not loaded. What cannot be read may be there.
    return (error as NodeJS.ErrnoException).code !== 'ENOENT';
  }
}
