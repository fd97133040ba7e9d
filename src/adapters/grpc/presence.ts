/**
 * Whether a host is there of which no agent answers: its kernel refuses a connection to a port that nobody listens at. Who is off,
 * or cut off, says nothing.
 */
import { connect } from 'node:net';
import { parseHostPort } from '../../core/host-port.ts';

/** `address`: `host:port`. Never rejects. */
export async function takesOrRefuses(address: string, timeoutMs: number): Promise<boolean> {
  const { host, port } = parseHostPort(address) ?? {};
  if (host === undefined || port === undefined) return false;
  const socket = connect({ host, port });
  try {
    return await new Promise((resolve) => {
      socket.setTimeout(timeoutMs, () => resolve(false));
      socket.once('connect', () => resolve(true));
      socket.once('error', ({ code }: NodeJS.ErrnoException) =>
        resolve(code === 'ECONNREFUSED' || code === 'ECONNRESET'),
      );
    });
  } finally {
    socket.on('error', () => undefined).destroy();
  }
}
