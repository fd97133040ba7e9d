/** A port of this machine's loopback that leads to a Unix socket inside a host, as `ssh -L` makes one. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import type { Host } from './host.ts';

export interface SocketTunnel {
  readonly url: string;
  close(): void;
}

export async function tunnelTo(host: Host, socket: string): Promise<SocketTunnel> {
  const server = createServer((near) => {
    const far = connect(host.path(socket));
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
    near.pipe(far).pipe(near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}`,
    close: () => server.close(),
  };
}
