/** How much a socket's receive buffer holds: what finds no room in it is lost. */
import { SO, SOL, setSocketOption } from './socket.ts';

/** What a host gives at least, without the right to more (`net.core.rmem_default`, 208 KiB). */
const LEAST_BUFFER_BYTES = 200 * 1024;

/** Beyond what the host gives everybody, where we may. Returns how many bytes it is sure to be. */
export function enlargeReceiveBuffer(fd: number, bytes: number): number {
  if (tolerating(() => setSocketOption(fd, SOL.SOCKET, SO.RCVBUFFORCE, bytes))) return bytes;
  tolerating(() => setSocketOption(fd, SOL.SOCKET, SO.RCVBUF, bytes));
  return LEAST_BUFFER_BYTES;
}

/** Returns whether it could be done. */
export function tolerating(task: () => void): boolean {
  try {
    task();
    return true;
  } catch {
    return false;
  }
}
