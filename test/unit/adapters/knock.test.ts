import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { knock } from '../../../src/adapters/knock.ts';

const HOST = '127.0.0.1';

test('a port is taken, refused, or nobody waits for it any more', async () => {
  const server = createServer((socket) => socket.destroy()).listen(0, HOST);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const open = new AbortController().signal;
  expect(await knock({ host: HOST, port }, open)).toBe('taken');
  const over = new AbortController();
  const knocked = knock({ host: HOST, port }, over.signal);
  over.abort();
  expect(await knocked).toBe('given-up');
  expect(await knock({ host: HOST, port }, over.signal)).toBe('given-up');
  const closed = once(server, 'close');
  server.close();
  await closed;
  expect(await knock({ host: HOST, port }, open)).toBe('refused');
});

test('there is no way to an address of no host', async () => {
  expect(await knock({ host: '255.255.255.255', port: 9 }, new AbortController().signal)).toBe('failed');
});
