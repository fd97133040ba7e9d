/** Calls of container tools that come while the agent, or what it knows of the cluster, is a moment away: they wait for it. */
import type { Lifecycle } from '../agent/lifecycle.ts';
import { isOverlaydError } from '../core/errors.ts';
import type { Clock } from '../ports/runtime.ts';

export interface PatienceDeps {
  readonly lifecycle: Pick<Lifecycle, 'current' | 'situation'>;
  readonly clock: Clock;
  /** Resolves when the agent is the member that it was, or knows that it is none. */
  readonly ready: Promise<void>;
}

type Handle<Call, Answer> = (call: Call, signal: AbortSignal) => Promise<Answer>;

export type Patience = <Call, Answer>(handle: Handle<Call, Answer>) => Handle<Call, Answer>;

const RETRY_MS = 200;

/** Tries again, until the signal aborts, what fails by what may pass while the agent starts. */
export function createPatience({ lifecycle, clock, ready }: PatienceDeps): Patience {
  /** True while etcd, and what it knows, may be a moment away. A peer may be quicker. */
  const isStarting = () => {
    const current = lifecycle.current;
    return current ? current.member.storeState === 'awaited' : lifecycle.situation.busy !== undefined;
  };
  return (handle) => async (call, signal) => {
    await ready;
    for (;;) {
      const starting = isStarting();
      try {
        return await handle(call, signal);
      } catch (error) {
        const mayPass = isOverlaydError(error) && (error.retryable || error.code === 'network-not-found');
        // A member that starts anew in this process may have gone away in the middle of the call.
        if (!(starting || isStarting()) || !mayPass || signal.aborted) throw error;
        await clock.sleep(RETRY_MS, signal).catch(() => undefined);
        if (signal.aborted) throw error;
      }
    }
  };
}
