/** A connection that its other end closes while calls are on their way: those that it did not take are not lost (RFC 9113, 8.7). */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type ServerHttp2Session } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createControlClient } from '../../../../src/adapters/grpc/control.ts';

const CALLS = 64;
/** An empty message, by gRPC's framing. */
const EMPTY = Buffer.alloc(5);

/** Takes the first call of its first connection, and says that it takes no more there; whoever comes again is answered. */
async function serveHastily(path: string) {
  const sessions: ServerHttp2Session[] = [];
  let answers = 0;
  const server = createServer();
  server.on('session', (session) => void sessions.push(session.on('error', () => undefined)));
  server.on('stream', (stream) => {
    stream.on('error', () => undefined);
    const isClosing = stream.session === sessions[0];
    if (isClosing && stream.id !== 1) return;
    if (isClosing) stream.session!.goaway(0, 1);
    answers++;
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(EMPTY);
  });
  server.listen(path);
  await once(server, 'listening');
  const close = () => {
    for (const session of sessions) session.destroy();
    server.close();
  };
  return { sessions, answers: () => answers, close };
}

test('calls at once on a connection that is closed meanwhile are all answered, each once', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'overlayd-refused-'));
  const path = join(directory, 'overlayd.sock');
  const server = await serveHastily(path);
  const client = createControlClient(path);
  try {
    await Promise.all(Array.from({ length: CALLS }, () => client.listNodes({})));
    expect(server.answers()).toBe(CALLS);
    expect(server.sessions).toHaveLength(2);
  } finally {
    client.close();
    server.close();
    await rm(directory, { recursive: true });
  }
});
