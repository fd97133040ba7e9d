import type { Latch } from '../../core/latch.ts';
import { OVER } from '../../core/over.ts';
import type { Clock } from '../../ports/runtime.ts';

/** Until the latch is set, for so long at most, or until the signal aborts. No `set` is lost to a wait that is over. */
export async function waitAtMost(
  latch: Latch,
  ms: number,
  clock: Pick<Clock, 'sleep'>,
  signal: AbortSignal,
): Promise<void> {
  const woken = new AbortController();
  // An idle agent waits like this all the time: without a signal made of two, and without an error for each.
  const end = () => woken.abort(OVER);
  if (signal.aborted) end();
  signal.addEventListener('abort', end, { once: true });
  void clock.sleep(ms, woken.signal, 'loosely').then(
    () => latch.set(),
    () => signal.aborted && latch.set(),
  );
  await latch.wait();
  signal.removeEventListener('abort', end);
  end();
}
