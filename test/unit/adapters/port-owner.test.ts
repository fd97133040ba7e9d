import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { findPortOwner } from '../../../src/adapters/port-owner.ts';
import { withBusyPool } from '../../fixtures/busy-pool.ts';

it('reads what the host’s sockets are in another thread, which takes its time on a busy host', async () => {
  let isTold = false;
  let owner: Promise<unknown> | undefined;
  await withBusyPool(async () => {
    owner = findPortOwner('tcp', 1).finally(() => {
      isTold = true;
    });
    for (let passed = 0; passed < 10; passed++) await turn();
    expect(isTold).toBe(false);
  });
  expect(await owner).toBeUndefined();
});
