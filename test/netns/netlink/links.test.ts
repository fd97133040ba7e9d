/** What a link is made with, and whether it is there, as iproute2 says. */
import { closeSync, openSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { newVeth } from '../../../src/adapters/netlink/link.ts';
import { NetlinkSocket } from '../../../src/adapters/netlink/socket.ts';
import { TestNamespace } from './namespace.ts';

let space: TestNamespace;
let other: TestNamespace;
let socket: NetlinkSocket;

beforeEach(() => {
  space = new TestNamespace('links');
  other = new TestNamespace('links-other');
  socket = new NetlinkSocket({ namespace: space.path });
});
afterEach(() => {
  socket.close();
  space.remove();
  other.remove();
});

it('both ends of a pair have one queue, however many processors there are', () => {
  const namespaceFd = openSync(other.path, 'r');
  const end = { mac: '02:00:00:00:00:01', mtu: 1450 };
  const outcomes = socket.request([newVeth({ ...end, name: 'e1' }, { ...end, name: 'eth0', namespaceFd })]);
  closeSync(namespaceFd);
  expect(outcomes).toEqual([{ ok: true }]);
  const ends = [...space.ipRows('link', 'show', 'e1'), ...other.ipRows('link', 'show', 'eth0')];
  expect(ends).toMatchObject(Array(2).fill({ num_tx_queues: 1, num_rx_queues: 1 }));
});

it('is found by its name and by its index, in the namespace of the socket alone', () => {
  space.ip('link', 'add', 'fifteen-letters', 'index', '77', 'type', 'bridge');
  other.ip('link', 'add', 'elsewhere', 'index', '78', 'type', 'bridge');
  const names = ['fifteen-letters', 'fifteen-letters-and-more', 'elsewhere', 'lo', ''];
  expect(names.map((name) => socket.indexOf(name))).toEqual([77, undefined, undefined, 1, undefined]);
  expect([77, 78].map((index) => socket.hasIndex(index))).toEqual([true, false]);
  space.ip('link', 'delete', 'fifteen-letters');
  expect(socket.hasIndex(77)).toBe(false);
});
