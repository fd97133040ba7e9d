import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { findPortOwner, isPortHeld } from '../../../src/adapters/port-owner.ts';
import { withBusyPool } from '../../fixtures/busy-pool.ts';

it('reads the host’s table of sockets in another thread, which takes its time on a busy host', async () => {
  let isTold = false;
  let owner: Promise<unknown> | undefined;
  await withBusyPool(async () => {
    owner = findPortOwner('udp', 1).finally(() => {
      isTold = true;
    });
    for (let passed = 0; passed < 10; passed++) await turn();
    expect(isTold).toBe(false);
  });
  expect(await owner).toBeUndefined();
});

describe('who listens', () => {
  const OURS = { process: expect.stringMatching(new RegExp(`^\\S.* \\(pid ${process.pid}\\)$`)) };
  let server: Server | undefined;
  const listen = async (options: ListenOptions) => {
    server = createServer().listen({ port: 0, ...options });
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  afterEach(async () => {
    server?.close();
    if (server) await once(server, 'close');
    server = undefined;
  });

  it.each([
    { host: '127.0.0.1', of: ['127.0.0.1'], not: ['127.0.0.2', '::1'] },
    { host: '0.0.0.0', of: ['127.0.0.1', '192.0.2.1'], not: ['::1'] },
    // Another test may listen at that port of 127.0.0.1.
    { host: '::1', of: ['::1'], not: ['127.7.7.7', '::2'] },
    { host: '::', of: ['::1', '127.0.0.1'], not: [] },
  ])('at $host does so at $of and not at $not', async ({ host, of, not }) => {
    const port = await listen({ host });
    expect(await isPortHeld('tcp', port)).toBe(true);
    expect(await findPortOwner('tcp', port)).toEqual(OURS);
    for (const address of of) expect([address, await findPortOwner('tcp', port, { address })]).toEqual([address, OURS]);
    for (const address of not)
      expect([address, await findPortOwner('tcp', port, { address })]).toEqual([address, undefined]);
  });

  it('is none of those who are connected to that port, or from it', async () => {
    const port = await listen({ host: '127.0.0.1' });
    const client = connect(port, '127.0.0.1');
    const [[accepted]] = (await Promise.all([once(server!, 'connection'), once(client, 'connect')])) as [
      [Socket],
      unknown,
    ];
    server!.close();
    await vi.waitFor(async () => expect(await isPortHeld('tcp', port)).toBe(false));
    expect(await isPortHeld('tcp', client.localPort!)).toBe(false);
    client.destroy();
    accepted.destroy();
    server = undefined;
  });
});
