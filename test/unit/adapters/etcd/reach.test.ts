import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { Reach } from '../../../../src/adapters/etcd/reach.ts';

async function openPort() {
  const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const close = async () => {
    const closed = once(server, 'close');
    server.close();
    await closed;
  };
  return { close, port };
}

/** `names`: where they lead; others nobody knows. */
function fixture(names: Record<string, readonly string[]> = {}) {
  const now = { ms: 0 };
  const asked: string[] = [];
  const failure = { code: 'ENOTFOUND' };
  const reach = new Reach({
    clock: { elapsed: () => now.ms },
    addressesOf: async (name) => {
      asked.push(name);
      return names[name] ?? Promise.reject(Object.assign(new Error('not known'), { code: failure.code }));
    },
  });
  const takes = (host: string, port: number, signal = new AbortController().signal) =>
    reach.takesConnections(`https://${host}:${port}`, signal);
  return { asked, failure, now, reach, takes };
}

/** What was looked up is there. */
const told = () => new Promise((resolve) => setImmediate(resolve));

test('a host takes a connection where somebody listens, whatever that one says, and none where nobody does', async () => {
  const { takes } = fixture();
  const { close, port } = await openPort();
  expect(await takes('127.0.0.1', port)).toBe(true);
  await close();
  expect(await takes('127.0.0.1', port)).toBe(false);
});

test('of a name nothing is concluded as long as nobody knows where it leads', async () => {
  const { reach, takes } = fixture();
  expect(await takes('etcd.example', 9)).toBe(true);
  reach.remember(['https://etcd.example:9']);
  await told();
  expect(await takes('etcd.example', 9)).toBe(true);
});

test('one that was looked up while all was well takes a connection where one of its addresses does', async () => {
  const { close, port } = await openPort();
  // Nobody is at the first one.
  const { asked, reach, takes } = fixture({ 'etcd.example': ['127.77.0.1', '127.0.0.1'] });
  reach.remember([`https://etcd.example:${port}`, 'https://127.0.0.1:1']);
  await told();
  expect(await takes('etcd.example', port)).toBe(true);
  await close();
  expect(await takes('etcd.example', port)).toBe(false);
  expect(asked).toEqual(['etcd.example']);
});

test('names are looked up once a minute, and one that leads nowhere any more is forgotten', async () => {
  const names: Record<string, readonly string[]> = { 'etcd.example': ['127.0.0.1'] };
  const { asked, failure, now, reach, takes } = fixture(names);
  const { close, port } = await openPort();
  await close();
  const look = async () => {
    reach.remember([`https://etcd.example:${port}`]);
    await told();
  };
  await look();
  await look();
  delete names['etcd.example'];
  now.ms = 60_000;
  expect(await takes('etcd.example', port)).toBe(false);
  // The name server may be on the host that is gone.
  failure.code = 'EAI_AGAIN';
  await look();
  expect(await takes('etcd.example', port)).toBe(false);
  failure.code = 'ENOTFOUND';
  now.ms = 120_000;
  await look();
  expect(await takes('etcd.example', port)).toBe(true);
  expect(asked).toHaveLength(3);
});

test('nobody waits for it who has given up', async () => {
  const { takes } = fixture();
  const { close, port } = await openPort();
  const over = new AbortController();
  const knocked = takes('127.0.0.1', port, over.signal);
  over.abort();
  expect(await knocked).toBe(false);
  expect(await takes('127.0.0.1', port, over.signal)).toBe(false);
  await close();
});
