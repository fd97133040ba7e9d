/**
 * DNS over TCP (RFC 7766): messages behind their lengths, many at a time on one connection, answered as they are
 * ready. Everything that a client could hold on to is bounded: connections in all and per source, bytes of a message,
 * unanswered messages, unread answers, and the time between two whole messages.
 */
import type { Server, Socket } from 'node:net';

export interface StreamLimits {
  readonly connections: number;
  readonly connectionsPerSource: number;
  readonly idleMs: number;
  /** Questions are small; a longer one ends the connection. */
  readonly messageBytes: number;
  /** Messages being answered; more are read when some are. */
  readonly pipelined: number;
}

export const STREAM_LIMITS: StreamLimits = {
  connections: 100,
  connectionsPerSource: 20,
  idleMs: 10_000,
  messageBytes: 4096,
  pipelined: 16,
};

/** `answer` resolves undefined for no answer and never rejects. Returns what ends all connections. */
export function serveStreams(
  server: Server,
  answer: (query: Uint8Array, source: string) => Promise<Uint8Array | undefined>,
  limits: StreamLimits,
): () => void {
  const connections = new Set<Socket>();
  const bySource = new Map<string, number>();
  server.on('connection', (socket) => {
    const source = socket.remoteAddress ?? '';
    const own = bySource.get(source) ?? 0;
    if (connections.size >= limits.connections || own >= limits.connectionsPerSource) {
      socket.resetAndDestroy();
      return;
    }
    connections.add(socket);
    bySource.set(source, own + 1);
    socket.on('close', () => {
      connections.delete(socket);
      const left = (bySource.get(source) ?? 1) - 1;
      if (left === 0) bySource.delete(source);
      else bySource.set(source, left);
    });
    serveStream(socket, (query) => answer(query, source), limits);
  });
  return () => {
    for (const socket of connections) socket.destroy();
  };
}

function serveStream(
  socket: Socket,
  answer: (query: Uint8Array) => Promise<Uint8Array | undefined>,
  limits: StreamLimits,
): void {
  let received = Buffer.alloc(0);
  let answering = 0;
  // counted from message to message: a byte now and then keeps nothing alive
  const idle = setTimeout(() => socket.destroy(), limits.idleMs);

  const reply = async (query: Uint8Array) => {
    answering += 1;
    const message = await answer(query);
    answering -= 1;
    if (socket.destroyed) return;
    if (message !== undefined) {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(message.length);
      socket.cork();
      socket.write(length);
      socket.write(message);
      socket.uncork();
    }
    readOn();
  };

  const readOn = () => {
    let at = 0;
    while (answering < limits.pipelined && !socket.writableNeedDrain && received.length - at >= 2) {
      const length = received.readUInt16BE(at);
      if (length > limits.messageBytes) {
        socket.destroy();
        return;
      }
      if (received.length - at < 2 + length) break;
      idle.refresh();
      void reply(received.subarray(at + 2, at + 2 + length));
      at += 2 + length;
    }
    received = received.subarray(at);
    if (received.length > limits.messageBytes + 2) socket.pause();
    else socket.resume();
  };

  socket.on('data', (chunk) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    readOn();
  });
  socket.on('drain', readOn);
  socket.on('error', () => socket.destroy());
  socket.on('close', () => clearTimeout(idle));
}
