import { expect, test } from 'vitest';
import { describePeerTransport } from '../contract/peer-transport.ts';
import { realClock } from '../contract/store-clock.ts';
import { MemoryNetwork } from './memory-transport.ts';
import { VirtualClock } from './virtual-clock.ts';

const random = { next: () => 0.5 };

describePeerTransport('memory', async () => {
  const network = new MemoryNetwork({ clock: realClock, random });
  const node = (nodeId: string) => ({ nodeId, transport: network.transport(nodeId), address: () => nodeId });
  return { nodes: [node('a1'), node('b2'), node('c3')], close: () => undefined };
});

const message = { from: 'a', members: [] };
const toB = { nodeId: 'b', address: 'b' };
const unreachable = { code: 'peer-unreachable' };

async function createPair() {
  const clock = new VirtualClock();
  const network = new MemoryNetwork({ clock, random });
  const [a, b] = [network.transport('a'), network.transport('b')];
  const answered: string[] = [];
  await b.serve(async (from, request) => {
    answered.push(from);
    return { ...request, from: 'b' };
  }, new AbortController().signal);
  return { network, ask: () => clock.until(a.request(toB, message, 20)), answered };
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
