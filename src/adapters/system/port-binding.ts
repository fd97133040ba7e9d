import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { BindProblem, PortBinding } from '../../core/host-facts.ts';
import { familyOf } from '../../core/ip.ts';
import { findPortOwner } from '../port-owner.ts';

/** Tries it, as the only sure way to know, and lets go at once. */
export async function findBindProblem(socket: PortBinding): Promise<BindProblem | undefined> {
  try {
    await (socket.transport === 'tcp' ? tryTcp(socket) : tryUdp(socket));
    return undefined;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'EADDRINUSE') return { kind: 'other', reason: message };
    return { kind: 'in-use', by: await findPortOwner(socket.transport, socket.port) };
  }
}

async function tryTcp({ address, port }: PortBinding): Promise<void> {
  const server = createServer();
  server.listen({ host: address, port, exclusive: true });
  await once(server, 'listening');
  server.close();
  await once(server, 'close');
}

async function tryUdp({ address, port }: PortBinding): Promise<void> {
  // As the kernel's own of IPv6, which leave IPv4 to others.
  const socket = createSocket(familyOf(address) === 6 ? { type: 'udp6', ipv6Only: true } : { type: 'udp4' });
  try {
    socket.bind({ address, port, exclusive: true });
    await once(socket, 'listening');
  } finally {
    socket.close();
  }
}
