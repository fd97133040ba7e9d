import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Flows } from '../../../../src/adapters/kernel/flows.ts';

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
