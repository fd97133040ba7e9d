/** A port of this machine's loopback that leads to a Unix socket inside a host, as `ssh -L` makes one. */
import type { AddressInfo } from 'node:net';
import type { Host } from './host.ts';
import { openDoor } from './socket-door.ts';

export interface SocketTunnel {
  readonly url: string;
  close(): void;
}

export async function tunnelTo(host: Host, socket: string): Promise<SocketTunnel> {
  const server = await openDoor(0, host.path(socket));
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}`,
    close: () => server.close(),
  };
}
