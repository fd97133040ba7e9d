/** Asks the responder of a network as a container does: by a socket in the container's namespace. */
import { OverlaydError } from '../../core/errors.ts';
import type { AskResponder } from '../../ports/names.ts';
import { socketInside, wordsOf } from '../native/inside-socket.ts';

const PORT = 53;

export const askResponder: AskResponder = async ({ namespacePath, from }, to, message, signal) => {
  signal.throwIfAborted();
  const socket = socketInside(namespacePath, from);
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const late = () => reject(new OverlaydError('data-path-failed', `nobody answers at ${to}, port ${PORT}`));
  signal.addEventListener('abort', late, { once: true });
  socket.on('message', (data, { address, port }) => {
    if (address === to && port === PORT) resolve(data);
  });
  const fail = (error: Error) =>
    reject(new OverlaydError('data-path-failed', `${to}, port ${PORT}: ${wordsOf(error)}`, { cause: error }));
  socket.on('error', fail);
  socket.send(message, PORT, to, (error) => {
    if (error) fail(error);
  });
  try {
    return await promise;
  } finally {
    signal.removeEventListener('abort', late);
    socket.close();
  }
};
