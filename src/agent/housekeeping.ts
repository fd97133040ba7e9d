/**
 * What has to follow from the cluster's state besides the kernel and the answers: claims of this node compared with its
 * endpoints, networks that are being removed, the node's own record. Tried again until it is done.
 *
 * A wake-up that comes while nothing can be done is not lost: whatever ends that (a whole view, etcd's return) is a wake-up
 * itself, and each of them looks at everything.
 */
import { asOverlaydError } from '../core/errors.ts';
import { Latch } from '../core/latch.ts';
import type { Clock, Logger } from '../ports.ts';

export interface HousekeepingDeps {
  /** Absence is etcd's word of this moment, and this node is a member. */
  readonly ready: () => boolean;
  /** Before the steps. */
  readonly first: () => Promise<void>;
  /** None of them waits for what stands in another one's way. */
  readonly steps: readonly ((signal: AbortSignal) => Promise<void>)[];
  readonly clock: Clock;
  readonly logger: Logger;
}

const RETRY_MS = 1_000;

export class Housekeeping {
  readonly #deps: HousekeepingDeps;
  readonly #due = new Latch();

  constructor(deps: HousekeepingDeps) {
    this.#deps = deps;
  }

  wake(): void {
    this.#due.set();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger, first, ready, steps } = this.#deps;
    signal.addEventListener('abort', () => this.#due.set(), { once: true });
    let failing: string | undefined;
    while (!signal.aborted) {
      await this.#due.wait();
      if (signal.aborted || !ready()) continue;
      try {
        await first();
        const results = await Promise.allSettled(steps.map((step) => step(signal)));
        const failed = results.find((result) => result.status === 'rejected');
        if (failed) throw failed.reason;
        failing = undefined;
      } catch (error) {
        if (signal.aborted) return;
        const { message } = asOverlaydError(error);
        // The same again and again is said once.
        logger[message === failing ? 'debug' : 'warn']({ error }, 'housekeeping failed, trying again');
        failing = message;
        await clock.sleep(RETRY_MS, signal);
        this.#due.set();
      }
    }
  }
}
