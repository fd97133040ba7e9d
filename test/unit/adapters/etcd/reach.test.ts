import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { takesConnections } from '../../../../src/adapters/etcd/reach.ts';

async function openPort() {
  const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { server, url: `https://127.0.0.1:${port}` };
}

test('a host takes a connection where somebody listens, whatever that one says, and none where nobody does', async () => {
  const { signal } = new AbortController();
  const { server, url } = await openPort();
  expect(await takesConnections(url, signal)).toBe(true);
  const closed = once(server, 'close');
  server.close();
  await closed;
  expect(await takesConnections(url, signal)).toBe(false);
});

test('of a name that nobody knows nothing is concluded', async () => {
  expect(await takesConnections('https://etcd.invalid:2379', new AbortController().signal)).toBe(true);
});

test('nobody waits for it who has given up', async () => {
  const { server, url } = await openPort();
  const over = new AbortController();
  const knocked = takesConnections(url, over.signal);
  over.abort();
  expect(await knocked).toBe(false);
  expect(await takesConnections(url, over.signal)).toBe(false);
  server.close();
});
