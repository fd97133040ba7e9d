/** Whether a host is there at all, told by its kernel alone. */
import { connect, isIP } from 'node:net';
import { parseHttpUrl } from '../../core/host-port.ts';

/**
 * Whether the endpoint takes a connection of TCP. No program there has a part in that, however busy it is: one that is silent for
 * longer than a packet takes there and back has no power, or is cut off. Does not resolve as long as it is; false when the signal
 * aborts. Of an endpoint with a name silence may be its name server's: it counts as one that takes connections. Never rejects.
 */
export function takesConnections(endpoint: string, signal: AbortSignal): Promise<boolean> {
  const { host = '', port = 2379 } = parseHttpUrl(endpoint) ?? {};
  return new Promise((resolve) => {
    if (signal.aborted || isIP(host) === 0) return resolve(!signal.aborted);
    const socket = connect({ host, port });
    const end = (isTaken: boolean) => {
      signal.removeEventListener('abort', giveUp);
      socket.destroy();
      resolve(isTaken);
    };
    const giveUp = () => end(false);
    signal.addEventListener('abort', giveUp, { once: true });
    socket.once('connect', () => end(true)).on('error', () => end(false));
  });
}
