/** A socket of UDP in a container's namespace, at one of its addresses and a port of the kernel's choice. */
import { createSocket, type Socket } from 'node:dgram';
import { isIpv4 } from '../../core/ip.ts';
import { insideNamespace } from './namespace.ts';
import { AF_OF, bindSocket, closeDescriptor, inetAddress, openSocket, SOCK } from './socket.ts';

/** `namespacePath` undefined: the host's own. Throws as system calls do. */
export function socketInside(namespacePath: string | undefined, address: string): Socket {
  const fd = insideNamespace(namespacePath, () => bound(address));
  const socket = createSocket(isIpv4(address) ? 'udp4' : 'udp6');
  socket.bind({ fd, exclusive: true });
  return socket;
}

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

/** What went wrong at a socket in there, in words. The kernel says EPERM of what a filter there drops (nf_hook_slow). */
export function wordsOf(error: NodeJS.ErrnoException): string {
  return error.code === 'EPERM' ? 'a packet filter inside of the container drops what it sends' : error.message;
}
