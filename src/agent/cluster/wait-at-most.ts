import type { Latch } from '../../core/latch.ts';
import type { Clock } from '../../ports/runtime.ts';

/** Until the latch is set, for so long at most, or until the signal aborts. No `set` is lost to a wait that is over. */
export async function waitAtMost(
  latch: Latch,
  ms: number,
  clock: Pick<Clock, 'sleep'>,
  signal: AbortSignal,
): Promise<void> {
  const woken = new AbortController();
  void clock.sleep(ms, AbortSignal.any([signal, woken.signal]), 'loosely').then(
    () => latch.set(),
    () => signal.aborted && latch.set(),
  );
  await latch.wait();
  woken.abort();
}
