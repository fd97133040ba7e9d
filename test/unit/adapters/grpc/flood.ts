import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';

/** Connections to a port of this machine that say nothing, as many as that. `open`: how many of them stand. */
export async function flood(port: number, count: number): Promise<{ open(): number }> {
  const sockets = Array.from({ length: count }, () => connect({ host: '127.0.0.1', port }));
  await Promise.all(
    sockets.map(
      (socket) =>
        new Promise<void>((resolve) => {
          socket.on('error', () => resolve()).once('connect', resolve);
        }),
    ),
  );
  return { open: () => sockets.filter(({ readyState }) => readyState === 'open').length };
}

/** How many connections to a port of this machine stand, as its kernel counts them. */
export async function connectionsTo(port: number): Promise<number> {
  const end = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = (await readFile('/proc/net/tcp', 'utf8')).split('\n').map((row) => row.trim().split(/\s+/));
  return rows.filter((row) => row[1]?.endsWith(end) && row[3] === '01').length;
}
