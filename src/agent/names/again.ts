/** Tries again where names could not be answered: who holds a port there ends without telling anybody. */
import type { Clock } from '../../ports/runtime.ts';

const AGAIN_MS = 5_000;

export class Again {
  readonly #clock: Pick<Clock, 'sleep'>;
  readonly #waiting = new Set<string>();

  constructor(clock: Pick<Clock, 'sleep'>) {
    this.#clock = clock;
  }

  /** `attempt`, in a while, unless it waits for that place already or `isDue` says then that it need not. */
  async later(place: string, signal: AbortSignal | undefined, isDue: () => boolean, attempt: () => Promise<void>) {
    if (this.#waiting.has(place)) return;
    this.#waiting.add(place);
    const ended = await this.#clock.sleep(AGAIN_MS, signal).then(
      () => signal?.aborted ?? false,
      () => true,
    );
    this.#waiting.delete(place);
    if (!ended && isDue()) await attempt().catch(() => undefined);
  }
}
