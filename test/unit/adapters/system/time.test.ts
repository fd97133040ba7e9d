import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { systemClock } from '../../../../src/adapters/system/time.ts';

test('a sleep ends with its time, and leaves nothing at the signal', async () => {
  const { signal } = new AbortController();
  await systemClock.sleep(1, signal);
  await systemClock.sleep(1);
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

test('a sleep ends with its signal, for the reason of that', async () => {
  const over = new AbortController();
  const reason = new Error('the agent stops');
  const sleeping = systemClock.sleep(3_600_000, over.signal);
  over.abort(reason);
  await expect(sleeping).rejects.toBe(reason);
  await expect(systemClock.sleep(3_600_000, over.signal)).rejects.toBe(reason);
  expect(getEventListeners(over.signal, 'abort')).toEqual([]);
});
