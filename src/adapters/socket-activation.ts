/**
 * Sockets that the service manager listens on for us (sd_listen_fds(3)): whoever connects waits while we start, instead
 * of being refused.
 */

const VARIABLES = ['LISTEN_PID', 'LISTEN_PIDFDID', 'LISTEN_FDS', 'LISTEN_FDNAMES'] as const;
const FIRST_FD = 3;

/**
 * File descriptors by name (`FileDescriptorName=`), the first of each name. Removes the claim from the environment: a
 * child would take other files of ours for its sockets. Node.js itself closes the descriptors in children.
 */
export function takeActivatedSockets(
  environment: Record<string, string | undefined>,
  pid: number,
): ReadonlyMap<string, number> {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = environment;
  for (const name of VARIABLES) delete environment[name];
  const sockets = new Map<string, number>();
  if (LISTEN_PID !== String(pid)) return sockets;
  const names = LISTEN_FDNAMES?.split(':') ?? [];
  for (let index = 0; index < Number(LISTEN_FDS); index += 1) {
    const name = names[index] || 'unknown';
    if (!sockets.has(name)) sockets.set(name, FIRST_FD + index);
  }
  return sockets;
}
