import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { STREAM_LIMITS, type StreamLimits, serveStreams } from '../../../../src/adapters/dns/stream.ts';

let server: Server;
let endAll: () => void;
const clients: Socket[] = [];

type Answer = (query: Uint8Array) => Promise<Uint8Array | undefined>;

async function serve(answer: Answer, limits: Partial<StreamLimits> = {}): Promise<void> {
  server = createServer();
  endAll = serveStreams(server, answer, { ...STREAM_LIMITS, ...limits });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
}

function dial(): Socket {
  const { port } = server.address() as AddressInfo;
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  clients.push(socket);
  return socket;
}

async function open(): Promise<Socket> {
  const socket = dial();
  await once(socket, 'connect');
  return socket;
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.resume().on('close', () => resolve());
  });
}

afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
  endAll();
  server.close();
});

const framed = (...texts: string[]) =>
  Buffer.concat(texts.map((text) => Buffer.concat([Buffer.from([0, text.length]), Buffer.from(text)])));

/** The next `count` messages. */
async function messages(socket: Socket, count: number): Promise<string[]> {
  let received = Buffer.alloc(0);
  const found: string[] = [];
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    received = Buffer.concat([received, chunk]);
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
      found.push(received.subarray(2, 2 + received.readUInt16BE(0)).toString());
      received = received.subarray(2 + received.readUInt16BE(0));
    }
    if (found.length >= count) break;
  }
  return found;
}

const echo: Answer = async (query) => query.slice();

describe('DNS over TCP', () => {
  it('answers many questions of one connection, whatever way they are cut', async () => {
    await serve(echo);
    const socket = await open();
    for (const byte of framed('one', 'two')) socket.write(Buffer.from([byte]));
    socket.write(framed('three', 'four'));
    expect(await messages(socket, 4)).toEqual(['one', 'two', 'three', 'four']);
  });

  it('answers in the order in which answers are ready', async () => {
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    await serve(async (query) => {
      if (Buffer.from(query).toString() === 'slow') await held;
      else release();
      return query;
    });
    const socket = await open();
    socket.write(framed('slow', 'fast'));
    expect((await messages(socket, 2)).sort()).toEqual(['fast', 'slow']);
  });

  it('reads on only when earlier questions are answered', async () => {
    const releases: (() => void)[] = [];
    let most = 0;
    let now = 0;
    await serve(
      async (query) => {
        most = Math.max(most, ++now);
        await new Promise<void>((resolve) => {
          releases.push(resolve);
          if (releases.length === 2) for (const release of releases.splice(0)) setImmediate(release);
        });
        now -= 1;
        return query;
      },
      { pipelined: 2 },
    );
    const socket = await open();
    socket.write(framed('1', '2', '3', '4', '5', '6'));
    expect((await messages(socket, 6)).sort()).toEqual(['1', '2', '3', '4', '5', '6']);
    expect(most).toBe(2);
  });

  it('ends a connection that announces too long a message, and one that says nothing', async () => {
    await serve(echo, { messageBytes: 100, idleMs: 30 });
    const long = await open();
    long.write(Buffer.from([1, 0]));
    await closed(long);
    const slow = await open();
    slow.write(Buffer.from([0, 5, 97]));
    await closed(slow);
  });

  it('bounds connections of one source without touching those that are open', async () => {
    await serve(echo, { connectionsPerSource: 2 });
    const first = await open();
    await open();
    await closed(dial());
    first.write(framed('still'));
    expect(await messages(first, 1)).toEqual(['still']);
    first.destroy();
    await expect.poll(tryAgain).toBe('again');
  });
});

async function tryAgain(): Promise<string | undefined> {
  const socket = dial();
  socket.write(framed('again'));
  return (await messages(socket, 1).catch(() => []))[0];
}
