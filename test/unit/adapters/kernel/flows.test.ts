import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Flows } from '../../../../src/adapters/kernel/flows.ts';
import type { NetlinkSocket } from '../../../../src/adapters/netlink/socket.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it('is looked for a while after the owner went, once for all that went by then', async () => {
  let looked = 0;
  const flows = new Flows(() => {
    looked += 1;
    return undefined;
  });
  flows.release([]);
  flows.release(['10.0.0.2']);
  flows.release(['10.0.0.3']);
  await vi.advanceTimersByTimeAsync(10);
  expect(looked).toBe(0);
  await vi.runAllTimersAsync();
  expect(looked).toBe(1);
  flows.release(['10.0.0.4']);
  await vi.runAllTimersAsync();
  expect(looked).toBe(2);
});

it('is of the new owner alone as soon as an address is about to be used again', async () => {
  const listings: string[][] = [];
  let listed = Promise.withResolvers<void>();
  const socket = {
    dumpLater: async () => {
      listings.push([]);
      await listed.promise;
      return [];
    },
    request: () => [],
    close: () => undefined,
  } as unknown as NetlinkSocket;
  const flows = new Flows(() => socket);
  flows.release(['10.0.0.2']);
  await vi.advanceTimersByTimeAsync(15);
  const prepared = flows.prepare(['10.0.0.2']);
  // What was to be done for the former owner comes due meanwhile.
  await vi.advanceTimersByTimeAsync(30);
  listed.resolve();
  await prepared;
  const before = listings.length;
  listed = Promise.withResolvers<void>();
  listed.resolve();
  await vi.runAllTimersAsync();
  expect(listings).toHaveLength(before);
  // The next owner is not spared a look.
  await flows.prepare(['10.0.0.2']);
  expect(listings.length).toBeGreaterThan(before);
});
