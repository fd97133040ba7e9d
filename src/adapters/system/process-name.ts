/** How this process is called by `ps`, `pgrep`, `systemctl status` and the kernel's messages: Node.js calls itself `MainThread`. */
import { writeFileSync } from 'node:fs';

/** Of the main thread, which gives the process its name; 15 bytes at most (proc_pid_comm(5)). Its arguments stay what they are. */
export function nameProcess(name: string): void {
  try {
    writeFileSync('/proc/self/comm', name);
  } catch {
    // Without /proc nobody can look either.
  }
}
