/** What the kernel takes its time to end is ended by another thread than the one that others wait for. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { holdRedirection } from '../../../src/adapters/netlink/redirect.ts';
import { openNetworkSocket } from '../../../src/adapters/path/network-socket.ts';
import { withBusyPool } from '../../fixtures/busy-pool.ts';
import { TestNamespace } from '../netlink/namespace.ts';

let namespace: TestNamespace;

beforeEach(() => {
  namespace = new TestNamespace('closing');
});
afterEach(() => namespace.remove());

it('a redirection', async () => {
  const to = { udp: 5_301, tcp: 5_302 };
  const release = holdRedirection(namespace.path, {
    ...{ table: 'redirected', address: '127.0.0.11', port: 53, to, exceptMark: 7 },
  });
  const tables = () => namespace.exec('nft', 'list', 'tables');
  let released: Promise<void> | undefined;
  await withBusyPool(() => {
    released = release();
    expect(tables()).toBe('table ip redirected\n');
  });
  await released;
  expect(tables()).toBe('');
});

it('a place where frames leave', async () => {
  const devices = { out: 'lo', in: 'lo' };
  const socket = openNetworkSocket(namespace.name, devices, { port: 5_303, message: () => undefined });
  const sockets = () => namespace.exec('cat', '/proc/net/packet').trim().split('\n').length - 1;
  expect(sockets()).toBe(1);
  let closed: Promise<void> | undefined;
  await withBusyPool(() => {
    closed = socket.close();
    expect(sockets()).toBe(1);
  });
  await closed;
  expect(sockets()).toBe(0);
});
