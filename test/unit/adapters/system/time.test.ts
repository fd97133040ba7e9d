import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
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

describe('loosely', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
  afterEach(() => void vi.useRealTimers());

  /** Fills `ended` with when each was over. */
  function sleepAll(ended: number[], ...lengths: readonly number[]): void {
    for (const ms of lengths)
      void systemClock.sleep(ms, undefined, 'loosely').then(() => ended.push(performance.now()));
  }

  test('sleeps of a second or more end together, by one timer', async () => {
    const ended: number[] = [];
    vi.advanceTimersByTime(5_100);
    sleepAll(ended, 2_000);
    vi.advanceTimersByTime(700);
    sleepAll(ended, 1_000, 1_250);
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(1_199);
    expect(ended).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(ended).toEqual([7_000, 7_000, 7_000]);
  });

  test('what looks every second does so every second', async () => {
    const looks: number[] = [];
    vi.advanceTimersByTime(300);
    const looking = async () => {
      for (let look = 0; look < 4; look++) {
        await systemClock.sleep(1_000, undefined, 'loosely');
        looks.push(performance.now());
        // It takes some time.
        vi.advanceTimersByTime(20);
      }
    };
    const done = looking();
    await vi.advanceTimersByTimeAsync(5_000);
    await done;
    expect(looks).toEqual([1_000, 2_000, 3_000, 4_000]);
  });

  test('a shorter one ends with its time', async () => {
    const ended: number[] = [];
    sleepAll(ended, 999);
    await vi.advanceTimersByTimeAsync(999);
    expect(ended).toEqual([999]);
  });

  test('one ends with its signal, and the last one of a moment takes the timer with it', async () => {
    const [one, two] = [new AbortController(), new AbortController()];
    const first = systemClock.sleep(1_000, one.signal, 'loosely');
    const second = systemClock.sleep(1_000, two.signal, 'loosely');
    one.abort(new Error('over'));
    await expect(first).rejects.toThrow('over');
    expect(vi.getTimerCount()).toBe(1);
    two.abort(new Error('over'));
    await expect(second).rejects.toThrow('over');
    expect(vi.getTimerCount()).toBe(0);
    await expect(systemClock.sleep(1_000, two.signal, 'loosely')).rejects.toThrow('over');
  });
});
