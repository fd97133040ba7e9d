/** What a host's kernel says to a connection of TCP, whatever runs there. */
import { connect } from 'node:net';

/**
 * `refused`: it is there, and nobody listens at that port. `failed`: there is no way to it, as this host's kernel or a router says.
 * `given-up`: the signal aborted, and nothing was heard until then.
 */
export type Knocked = 'taken' | 'refused' | 'failed' | 'given-up';

/** Does not resolve as long as nothing is heard and the signal has not aborted. The connection is closed at once. Never rejects. */
export function knock(place: { readonly host: string; readonly port: number }, signal: AbortSignal): Promise<Knocked> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve('given-up');
    const socket = connect(place);
    const end = (knocked: Knocked) => {
      signal.removeEventListener('abort', giveUp);
      socket.destroy();
      resolve(knocked);
    };
    const giveUp = () => end('given-up');
    signal.addEventListener('abort', giveUp, { once: true });
    socket.once('connect', () => end('taken'));
    // It stays: an error after the end is nobody's.
    socket.on('error', ({ code }: NodeJS.ErrnoException) =>
      end(code === 'ECONNREFUSED' || code === 'ECONNRESET' ? 'refused' : 'failed'),
    );
  });
}
