import { expect, it } from 'vitest';
import { createContainers } from '../../../../src/adapters/system/containers.ts';
import { handedOver } from '../../../../src/core/container.ts';

it('of a full host are looked at a few in a turn, in order', async () => {
  const containers = createContainers();
  const looked: number[] = [];
  const all = Promise.all(
    Array.from({ length: 200 }, async (_, nth) => {
      expect(await containers.isAlive({ text: '', path: `/run/netns/nobody-${nth}`, identity: '' })).toBe(false);
      looked.push(nth);
    }),
  );
  const byTurn: number[] = [];
  for (let before = 0; before < 200; before = looked.length) {
    await new Promise(setImmediate);
    byTurn.push(looked.length - before);
  }
  await all;
  // Those of the first turn are known together with those of the second.
  expect(byTurn).toEqual([64, 32, 32, 32, 32, 8]);
  expect(looked).toEqual(Array.from({ length: 200 }, (_, nth) => nth));
});

it('that only an engine knows are never proved gone', async () => {
  const containers = createContainers();
  const sandbox = '/run/docker/netns/0123456789ab';
  expect(await containers.isAlive(handedOver({ endpointId: 'e'.repeat(64), sandbox }))).toBe(true);
  expect(await containers.isAlive({ text: 'netns:x', path: '/nowhere/x', identity: '1:1' })).toBe(false);
});
