/** Asks the responder of a network as a container does: by a socket in the container's namespace. */
import { createSocket } from 'node:dgram';
import { OverlaydError } from '../../core/errors.ts';
import { isIpv4 } from '../../core/ip.ts';
import type { AskResponder } from '../../ports/names.ts';
import { insideNamespace } from '../native/namespace.ts';
import { AF_OF, bindSocket, closeDescriptor, inetAddress, openSocket, SOCK } from '../native/socket.ts';

const PORT = 53;

export const askResponder: AskResponder = async ({ namespacePath, from }, to, message, signal) => {
  signal.throwIfAborted();
  const fd = insideNamespace(namespacePath, () => bound(from));
  const socket = createSocket(isIpv4(from) ? 'udp4' : 'udp6');
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const late = () => reject(new OverlaydError('data-path-failed', `nobody answers at ${to}, port ${PORT}`));
  signal.addEventListener('abort', late, { once: true });
  socket.on('message', (data, { address, port }) => {
    if (address === to && port === PORT) resolve(data);
  });
  socket.on('error', reject);
  socket.bind({ fd, exclusive: true });
  socket.send(message, PORT, to, (error) => {
    if (error) reject(error);
  });
  try {
    return await promise;
  } finally {
    signal.removeEventListener('abort', late);
    socket.close();
  }
};

/** At a port of the kernel's choice. */
function bound(address: string): number {
  const fd = openSocket(AF_OF[isIpv4(address) ? 4 : 6], SOCK.DGRAM | SOCK.NONBLOCK);
  try {
    bindSocket(fd, inetAddress(address, 0));
    return fd;
  } catch (error) {
    closeDescriptor(fd);
    throw error;
  }
}
