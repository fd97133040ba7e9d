import { asOverlaydError } from '../../core/errors.ts';
import type { Latch } from '../../core/latch.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import { waitAtMost } from './wait-at-most.ts';

export interface LookingDeps {
  /** Set: it is looked at once. */
  readonly due: Latch;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly logger: Logger;
}

export interface Looking {
  /** Looks, and does what is to be done. Returns in how many milliseconds at most to look again; 0: at once. */
  readonly look: () => Promise<number>;
  /** In words, what is not as it should be when `look` throws. The same error again and again is said once. */
  readonly problem: string;
  readonly retryMs: number;
  /** What the log says besides. */
  readonly about?: () => Readonly<Record<string, unknown>>;
}

/** Looks again and again; what stands in the way is tried again. Ends when the signal aborts. */
export async function keepLooking({ due, clock, logger }: LookingDeps, looking: Looking, signal: AbortSignal) {
  const { look, problem, retryMs, about } = looking;
  let failing: string | undefined;
  while (!signal.aborted) {
    let waitMs = retryMs;
    try {
      waitMs = await look();
      failing = undefined;
    } catch (error) {
      if (signal.aborted) return;
      const { message } = asOverlaydError(error);
      logger[message === failing ? 'debug' : 'warn']({ error, ...about?.() }, `${problem}, trying again`);
      failing = message;
    }
    if (waitMs > 0) await waitAtMost(due, waitMs, clock, signal);
  }
}
