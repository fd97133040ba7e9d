/** A port of the loopback that leads to a Unix socket, as `ssh -L` and `socat` make one. */
import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';

/** `port` 0: any. Resolves when it listens. */
export async function openDoor(port: number, socket: string): Promise<Server> {
  const server = createServer((near) => {
    const far = connect(socket);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
    near.pipe(far).pipe(near);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
