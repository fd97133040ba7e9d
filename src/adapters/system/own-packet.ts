/**
 * Whether packets get from inside of a container to another one and back: UDP to a port at which nobody listens, which the other one's
 * kernel answers, whatever runs there (RFC 1122, 4.1.3.1: port unreachable).
 */
import type { SendPacket } from '../../ports/look.ts';
import { socketInside, wordsOf } from '../native/inside-socket.ts';

/** Traceroute's first. */
const PORT = 33_434;
const AGAIN_MS = 400;

export const sendPacket: SendPacket = async ({ namespacePath, from }, to, signal) => {
  signal.throwIfAborted();
  const socket = socketInside(namespacePath, from);
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const note = (error: NodeJS.ErrnoException | null | undefined) => {
    if (error) resolve(error.code === 'ECONNREFUSED' ? undefined : wordsOf(error));
  };
  const late = () => resolve('nothing comes back');
  signal.addEventListener('abort', late, { once: true });
  socket.on('message', () => resolve(undefined));
  socket.on('error', note);
  const send = () => socket.send('overlayd', note);
  let again: NodeJS.Timeout | undefined;
  socket.connect(PORT, to, (error?: Error) => {
    note(error);
    if (error || signal.aborted) return;
    send();
    again = setInterval(send, AGAIN_MS);
  });
  try {
    return await promise;
  } finally {
    clearInterval(again);
    signal.removeEventListener('abort', late);
    socket.close();
  }
};
