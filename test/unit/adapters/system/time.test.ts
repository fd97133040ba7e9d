import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { endLooseSleeps, systemClock } from '../../../../src/adapters/system/time.ts';

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

  test('all that may end do when one has to, by one timer', async () => {
    const ended: number[] = [];
    sleepAll(ended, 2_000);
    vi.advanceTimersByTime(500);
    sleepAll(ended, 1_500, 1_600, 2_000);
    expect(vi.getTimerCount()).toBe(1);
    // The second one has to, the last one may not.
    await vi.advanceTimersByTimeAsync(1_874);
    expect(ended).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(ended).toEqual([2_375, 2_375, 2_375]);
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(ended).toEqual([2_375, 2_375, 2_375, 3_000]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('all that may end do when an exact one does, and none does before its time', async () => {
    const ended: number[] = [];
    sleepAll(ended, 1_000, 1_200, 60_000);
    void systemClock.sleep(999);
    void systemClock.sleep(1_210, new AbortController().signal);
    await vi.advanceTimersByTimeAsync(1_230);
    expect(ended).toEqual([1_210, 1_210]);
    await vi.advanceTimersByTimeAsync(58_769);
    void systemClock.sleep(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(ended).toEqual([1_210, 1_210, 60_000]);
  });

  test('all that may end do when the process is awake for another reason', async () => {
    const ended: number[] = [];
    sleepAll(ended, 2_000, 4_000);
    await vi.advanceTimersByTimeAsync(1_999);
    endLooseSleeps();
    await vi.advanceTimersByTimeAsync(1);
    expect(ended).toEqual([]);
    endLooseSleeps();
    await vi.advanceTimersByTimeAsync(0);
    expect(ended).toEqual([2_000]);
    // One that begins later may end sooner.
    sleepAll(ended, 1_000);
    await vi.advanceTimersByTimeAsync(1_100);
    endLooseSleeps();
    await vi.advanceTimersByTimeAsync(0);
    expect(ended).toEqual([2_000, 3_100]);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(ended).toEqual([2_000, 3_100, 5_000]);
  });

  test('a shorter one ends with its time', async () => {
    const ended: number[] = [];
    sleepAll(ended, 999);
    await vi.advanceTimersByTimeAsync(999);
    expect(ended).toEqual([999]);
  });

  test('one ends with its signal, and the last one takes the timer with it', async () => {
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
