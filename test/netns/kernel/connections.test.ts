/** Connections that stand, and end because of who is at the other end, or since nothing comes from there. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { endConnections, endSilent } from '../../../src/adapters/kernel/connections.ts';
import { TestNamespace } from '../netlink/namespace.ts';

/**
 * A server on a port, and clients from three addresses, one of them of IPv4 at a socket of IPv6; says who is gone. At 7002 only the
 * client goes on to talk, at 7003 only the server.
 */
const PROGRAM = `
  const net = require('node:net');
  const open = (localAddress, host, port) => {
    const socket = net.connect({ host, port, localAddress });
    socket.on('error', () => undefined);
    if (port === 7002) setInterval(() => socket.write('more'), 50);
    socket.on('close', () => console.log('gone ' + localAddress + ' ' + port));
    return new Promise((resolve) => socket.on('data', resolve));
  };
  const serve = (port) => new Promise((resolve) => {
    const server = net.createServer((socket) => { socket.on('error', () => undefined).resume(); socket.write('hello');
      if (port === 7003) setInterval(() => socket.write('more'), 50);
    });
    server.listen({ port, host: '::' }, resolve);
  });
  Promise.all([serve(7001), serve(7002), serve(7003)])
    .then(() => Promise.all([
      open('127.0.0.2', '127.0.0.1', 7001), open('127.0.0.3', '127.0.0.1', 7001), open('fd00::2', 'fd00::1', 7001),
      open('127.0.0.2', '127.0.0.1', 7002), open('127.0.0.2', '127.0.0.1', 7003),
    ]))
    .then(() => console.log('ready'));
`;

let space: TestNamespace;
let child: ChildProcess;
const said: string[] = [];
beforeEach(async () => {
  said.length = 0;
  space = new TestNamespace('connections');
  for (const address of ['fd00::1/128', 'fd00::2/128']) space.ip('addr', 'add', address, 'dev', 'lo', 'nodad');
  child = spawn('ip', ['netns', 'exec', space.name, process.execPath, '-e', PROGRAM], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout! });
  lines.on('line', (line) => said.push(line));
  await once(lines, 'line');
  expect(said).toEqual(['ready']);
});
afterEach(async () => {
  child.kill('SIGKILL');
  await once(child, 'exit');
  space.remove();
});

test('end by port and address, of either family, and no others', async () => {
  expect(endConnections({ ports: [7001], addresses: ['127.0.0.9'] }, space.path)).toBe(0);
  expect(endConnections({ ports: [7001], addresses: ['127.0.0.2', 'fd00::2'] }, space.path)).toBe(2);
  while (said.length < 3) await new Promise((resolve) => child.stdout!.once('data', resolve));
  expect(said.slice(1).sort()).toEqual(['gone 127.0.0.2 7001', 'gone fd00::2 7001']);
  expect(endConnections({ ports: [7001, 7002], addresses: ['127.0.0.2'] }, space.path)).toBe(1);
});

test('end whose other end, be it the one that was called, has said and acknowledged nothing for so long, and no others', async () => {
  const silent = { port: 7001, addresses: ['127.0.0.1', 'fd00::1'], forMs: 2_000 };
  await pause(silent.forMs + 200);
  expect(endSilent({ ...silent, addresses: ['127.0.0.9'] }, space.path)).toBe(0);
  expect(endSilent({ ...silent, forMs: 3_600_000 }, space.path)).toBe(0);
  for (const port of [7002, 7003])
    expect(endSilent({ ...silent, port, addresses: ['127.0.0.1', '127.0.0.2'] }, space.path)).toBe(0);
  expect(endSilent({ ...silent, addresses: ['127.0.0.1'] }, space.path)).toBe(2);
  expect(endSilent({ ...silent, addresses: ['fd00::2'] }, space.path)).toBe(1);
  while (said.length < 4) await new Promise((resolve) => child.stdout!.once('data', resolve));
  expect(said.slice(1).sort()).toEqual(['gone 127.0.0.2 7001', 'gone 127.0.0.3 7001', 'gone fd00::2 7001']);
});
