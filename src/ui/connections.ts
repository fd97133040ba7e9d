/**
 * Connections to the page's server. Anybody who reaches it may open some; those over which nobody has shown yet that they may look make
 * room when they are many, the oldest first, so that they keep nobody out.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';

const MOST = 256;
const MOST_STRANGERS = 64;

export class Connections {
  /** The oldest first. */
  readonly #strangers = new Set<Socket>();

  constructor(server: Server) {
    server.maxConnections = MOST;
    server.on('connection', (socket: Socket) => {
      this.#strangers.add(socket);
      socket.once('close', () => this.#strangers.delete(socket));
      const [oldest] = this.#strangers;
      if (this.#strangers.size > MOST_STRANGERS) oldest!.destroy();
    });
  }

  /** Who is at the other end may look. */
  know(socket: Socket): void {
    this.#strangers.delete(socket);
  }
}
