import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Clock } from '../../src/ports.ts';
import { describePeerTransport } from '../contract/peer-transport.ts';
import { MemoryNetwork } from './memory-transport.ts';

const clock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  sleep: (ms, signal) => setTimeout(ms, undefined, signal && { signal }),
};

function createNetwork(chances: readonly number[] = [0.5]) {
  let i = 0;
  return new MemoryNetwork({ clock, random: { next: () => chances[i++ % chances.length]! } });
}

describePeerTransport('memory', async () => {
  const network = createNetwork();
  const node = (nodeId: string) => ({ nodeId, transport: network.transport(nodeId), address: () => nodeId });
  return { nodes: [node('a1'), node('b2'), node('c3')], close: () => undefined };
});

const message = { from: 'a', members: [] };
const toB = { nodeId: 'b', address: 'b' };
const unreachable = { code: 'peer-unreachable' };

async function createPair() {
  const network = createNetwork();
  const [a, b] = [network.transport('a'), network.transport('b')];
  const answered: string[] = [];
  await b.serve(async (from, request) => {
    answered.push(from);
    return { ...request, from: 'b' };
  }, new AbortController().signal);
  return { network, ask: () => a.request(toB, message, 20), answered };
}

test('a cut stops messages both ways until it is healed', async () => {
  const { network, ask, answered } = await createPair();
  network.partition(['a'], ['b', 'c']);
  await expect(ask()).rejects.toMatchObject(unreachable);
  network.heal();
  expect((await ask()).from).toBe('b');
  expect(answered).toEqual(['a']);
});

test('a one-way cut towards the asker loses the reply only', async () => {
  const { network, ask, answered } = await createPair();
  network.cutOneWay('b', 'a');
  await expect(ask()).rejects.toMatchObject(unreachable);
  expect(answered).toEqual(['a']);
});

test('a crashed node is silent until it is revived', async () => {
  const { network, ask } = await createPair();
  network.crash('b');
  await expect(ask()).rejects.toMatchObject(unreachable);
  network.revive('b');
  expect((await ask()).from).toBe('b');
});

test('messages are lost at the given rate', async () => {
  const { network, ask } = await createPair();
  network.loss = 0.6;
  await expect(ask()).rejects.toMatchObject(unreachable);
  network.loss = 0.4;
  expect((await ask()).from).toBe('b');
});
