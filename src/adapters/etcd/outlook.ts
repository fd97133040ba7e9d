/**
 * Whether so many of etcd's members answer that it can serve. A member whose leader is gone takes what it is asked, and waits: it
 * needs one to two seconds to know (its election timeout), and whoever asks would wait as long. So while a call takes long all
 * members are asked how they are, each on a new connection. Silence alone proves nothing: it counts where the member that has the
 * call answers, and the others take many times as long as it did. Where etcd is slow all are.
 */
import { majority } from '../../core/store-plan.ts';
import type { Clock } from '../../ports/runtime.ts';

export interface OutlookDeps {
  readonly clock: Pick<Clock, 'elapsed' | 'sleep'>;
  /** Whether it is there, whatever it says; does not resolve as long as it is silent. Never rejects. */
  readonly isThere: (endpoint: string, signal: AbortSignal) => Promise<boolean>;
}

/** Of fewer nobody knows whether they are all of them. */
const FEWEST = 3;
/** So long members have at least. */
const SILENT_MS = 400;
/** What the one that has the call took, times so much, the others have. */
const SLOWER = 10;
/** As long nobody asks again. */
const GOOD_MS = 2_000;

export class Outlook {
  readonly #deps: OutlookDeps;
  #asking: Promise<boolean> | undefined;
  #goodUntil = Number.NEGATIVE_INFINITY;

  constructor(deps: OutlookDeps) {
    this.#deps = deps;
  }

  /** False: most members do not answer, and the one at `own` does. Never rejects. */
  async hasMajority(endpoints: readonly string[], own: string): Promise<boolean> {
    const { clock } = this.#deps;
    if (endpoints.length < FEWEST || !endpoints.includes(own) || clock.elapsed() < this.#goodUntil) return true;
    this.#asking ??= this.#ask(endpoints, own).finally(() => {
      this.#asking = undefined;
    });
    return await this.#asking;
  }

  async #ask(endpoints: readonly string[], own: string): Promise<boolean> {
    const { clock, isThere } = this.#deps;
    const [startedAt, over] = [clock.elapsed(), new AbortController()];
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const needed = majority(endpoints.length);
    let [there, gone] = [0, 0];
    let isHeard = false;
    const note = (isOne: boolean) => {
      if (isOne) there++;
      else gone++;
      if (there >= needed) resolve(true);
      if (isHeard && endpoints.length - gone < needed) resolve(false);
    };
    const wait = async () => {
      isHeard = await isThere(own, over.signal);
      if (!isHeard) return resolve(true);
      note(true);
      const tookMs = clock.elapsed() - startedAt;
      await clock.sleep(Math.max(SILENT_MS, tookMs * SLOWER) - tookMs, over.signal);
      resolve(false);
    };
    // The end of the question ends it.
    void wait().catch(() => undefined);
    for (const endpoint of endpoints) if (endpoint !== own) void isThere(endpoint, over.signal).then(note);
    const isGood = await promise;
    over.abort();
    if (isGood) this.#goodUntil = clock.elapsed() + GOOD_MS;
    return isGood;
  }
}
