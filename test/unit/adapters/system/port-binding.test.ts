import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { findBindProblem } from '../../../../src/adapters/system/port-binding.ts';

const LOOPBACK = '127.0.0.1';
const OWN = { kind: 'in-use', by: { process: expect.stringMatching(new RegExp(`^\\S.* \\(pid ${process.pid}\\)$`)) } };

test('a TCP port is free, or held by a process that is named; asking leaves it free', async () => {
  const server = createServer().listen(0, LOOPBACK);
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const problem = (address: string) => findBindProblem({ transport: 'tcp', address, port });
  expect(await problem(LOOPBACK)).toEqual(OWN);
  expect(await problem('0.0.0.0')).toEqual(OWN);
  server.close();
  await once(server, 'close');
  expect(await problem(LOOPBACK)).toBeUndefined();
  expect(await problem(LOOPBACK)).toBeUndefined();
});

test('a UDP port likewise', async () => {
  const socket = createSocket('udp4').bind(0, LOOPBACK);
  await once(socket, 'listening');
  const { port } = socket.address();
  const problem = () => findBindProblem({ transport: 'udp', address: '0.0.0.0', port });
  expect(await problem()).toEqual(OWN);
  expect(await findBindProblem({ transport: 'tcp', address: LOOPBACK, port })).toBeUndefined();
  socket.close();
  await once(socket, 'close');
  expect(await problem()).toBeUndefined();
});

test('of UDP each family has its own, as the kernel’s VXLAN does', async () => {
  const socket = createSocket({ type: 'udp6', ipv6Only: true }).bind(0, '::1');
  await once(socket, 'listening');
  const { port } = socket.address();
  const problem = (address: string) => findBindProblem({ transport: 'udp', address, port });
  expect(await problem('::')).toEqual(OWN);
  expect(await problem('0.0.0.0')).toBeUndefined();
  socket.close();
});

test('an address that is not here is told in the words of the system', async () => {
  const problem = await findBindProblem({ transport: 'tcp', address: '192.0.2.1', port: 7946 });
  expect(problem).toMatchObject({ kind: 'other', reason: expect.stringContaining('EADDRNOTAVAIL') });
});
