import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { waitAtMost } from '../../../../src/agent/cluster/wait-at-most.ts';
import { Latch } from '../../../../src/core/latch.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

const { signal } = new AbortController();

test('who waits for a time at most is woken before it, or by its end', async () => {
  const [latch, clock] = [new Latch(), new VirtualClock()];
  let woken = 0;
  const wait = () => void waitAtMost(latch, 1_000, clock, signal).then(() => woken++);
  wait();
  await clock.advance(500);
  expect(woken).toBe(0);
  latch.set();
  await clock.advance(0);
  expect(woken).toBe(1);
  wait();
  await clock.advance(1_001);
  expect(woken).toBe(2);
});

test('what is said after a wait that ended by time, before the next one, is not lost', async () => {
  const [latch, clock] = [new Latch(), new VirtualClock()];
  const first = waitAtMost(latch, 10, clock, signal);
  await clock.advance(11);
  await first;
  latch.set();
  await clock.advance(0);
  let isWoken = false;
  void waitAtMost(latch, 60_000, clock, signal).then(() => {
    isWoken = true;
  });
  await clock.advance(1);
  expect(isWoken).toBe(true);
});

test('an end by the signal ends it as well', async () => {
  const [latch, clock, quit] = [new Latch(), new VirtualClock(), new AbortController()];
  const waiting = waitAtMost(latch, 60_000, clock, quit.signal);
  quit.abort();
  await waiting;
});

test('a wait that is over leaves nothing at the signal, and no sleep', async () => {
  const [latch, clock, quit] = [new Latch(), new VirtualClock(), new AbortController()];
  const waiting = waitAtMost(latch, 60_000, clock, quit.signal);
  expect(getEventListeners(quit.signal, 'abort')).toHaveLength(1);
  latch.set();
  await waiting;
  expect(getEventListeners(quit.signal, 'abort')).toEqual([]);
  // Its sleep would set it.
  await clock.advance(60_001);
  let isWoken = false;
  void latch.wait().then(() => {
    isWoken = true;
  });
  await clock.advance(0);
  expect(isWoken).toBe(false);
});
