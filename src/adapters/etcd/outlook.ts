/**
 * Whether the member that has a call is the only one of etcd's that answers. A member whose leader is gone takes what it is asked,
 * and waits: it needs one to two seconds to know (its election timeout), and whoever asks would wait as long. So while a call
 * takes long all endpoints are asked how they are, each on a new connection. Silence alone proves nothing: it counts where the
 * member that has the call answers, and the others take many times as long as it does, and as calls usually do, which of members
 * far apart is long. Where not even the kernels of the others take a connection their hosts are gone, or cut off, which is
 * certain sooner: that takes one packet there and back, and no processor time of anybody's. The same is so of the member that has
 * the call, where another one answers. Nothing is counted: a member may be listed with several addresses.
 */
import type { Clock } from '../../ports/runtime.ts';
import type { Reach } from './reach.ts';

/** `alone`: none of the others answers. `gone`: the one that was asked has no host any more, and another one answers. */
export type Verdict = 'alone' | 'gone' | 'well';

/** Whether a member says anything on the connection that there is. Never rejects. */
export type IsHeard = (signal: AbortSignal) => Promise<boolean>;

export interface OutlookDeps {
  readonly clock: Pick<Clock, 'elapsed' | 'sleep'>;
  /** Whether it is there, whatever it says; does not resolve as long as it is silent. Never rejects. */
  readonly isThere: (endpoint: string, signal: AbortSignal) => Promise<boolean>;
  /** Whether hosts are there, and where they are while all is well. */
  readonly reach: Pick<Reach, 'remember' | 'takesConnections'>;
}

/** Of two one may be a copy, which has no say. */
const FEWEST = 3;
/** So long the others have at least. */
const SILENT_MS = 400;
/** So long hosts have to take a connection, or twice what a call usually takes, which goes there and back once at least. */
const DARK_MS = 200;
const DARK_TIMES = 2;
/** Whoever is well has answered by then. */
const WELL_MS = 100;
/** Of a wait. A stall makes one of them late: what came meanwhile is read before the next one ends. */
const TURNS = 2;
/** What the one that has the call took, times so much. */
const SLOWER = 10;
/** A call waits for a majority once; a new connection takes three times there and back, and the time to make it. */
const LONGER = 6;
/** What calls take where nobody knows. */
const USUAL_MS = 120;
/** One that took longer was held up. */
const MOST_USUAL_MS = 350;
/** So long one that makes no connection has while another one says that there is no leader. */
const LEADERLESS_MS = 500;
/** So many of the last calls tell. */
const REMEMBERED = 8;
/** As long nobody asks again. */
const GOOD_MS = 2_000;

export class Outlook {
  readonly #deps: OutlookDeps;
  /** What the last calls took, in milliseconds. */
  readonly #took: number[] = [];
  /** By the one that has the call. */
  readonly #asking = new Map<string, Promise<Verdict>>();
  #goodUntil = Number.NEGATIVE_INFINITY;

  constructor(deps: OutlookDeps) {
    this.#deps = deps;
  }

  /** A call was answered that needs a majority of members, of which these are all that are known. */
  noteCall(tookMs: number, endpoints: readonly string[]): void {
    if (endpoints.length >= FEWEST) this.#deps.reach.remember(endpoints);
    this.#took.push(tookMs);
    if (this.#took.length > REMEMBERED) this.#took.shift();
  }

  /** How long members may take to answer while another one says that there is no leader: more where they are far apart. */
  get patienceMs(): number {
    return Math.max(LEADERLESS_MS, this.#usualMs * LONGER);
  }

  get #usualMs(): number {
    return this.#took.length > 0 ? Math.min(MOST_USUAL_MS, ...this.#took) : USUAL_MS;
  }

  /** How it is with `own`, which has a call, and the others. Never rejects. */
  async look(endpoints: readonly string[], own: string, isHeard: IsHeard): Promise<Verdict> {
    const { clock } = this.#deps;
    if (endpoints.length < FEWEST || !endpoints.includes(own) || clock.elapsed() < this.#goodUntil) return 'well';
    const asking = this.#asking.get(own) ?? this.#ask(endpoints, own, isHeard).finally(() => this.#asking.delete(own));
    this.#asking.set(own, asking);
    return await asking;
  }

  async #ask(endpoints: readonly string[], own: string, isHeard: IsHeard): Promise<Verdict> {
    const over = new AbortController();
    const { promise, resolve } = Promise.withResolvers<Verdict>();
    const others = endpoints.filter((endpoint) => endpoint !== own);
    const heard = isHeard(over.signal);
    const isAnyThere = () =>
      void this.#isGone(own, heard, over.signal).then(
        (isGone) => resolve(isGone ? 'gone' : 'well'),
        () => undefined,
      );
    // The end of the question ends all of them.
    void this.#listen(own, others, { tell: resolve, isAnyThere }, over.signal).catch(() => undefined);
    void this.#knock(others, heard, over.signal).then(
      (isDark) => isDark && resolve('alone'),
      () => undefined,
    );
    const verdict = await promise;
    over.abort();
    if (verdict === 'well') this.#goodUntil = this.#deps.clock.elapsed() + GOOD_MS;
    return verdict;
  }

  /** What the members say, each on a new connection. */
  async #listen(
    own: string,
    others: readonly string[],
    { tell, isAnyThere }: { readonly tell: (verdict: Verdict) => void; readonly isAnyThere: () => void },
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, isThere } = this.#deps;
    const startedAt = clock.elapsed();
    let isOthers = false;
    const answers = others.map((endpoint) =>
      isThere(endpoint, signal).then((isOne) => {
        if (!isOne || isOthers) return;
        isOthers = true;
        isAnyThere();
      }),
    );
    if (!(await isThere(own, signal)) || isOthers) return tell('well');
    const tookMs = clock.elapsed() - startedAt;
    const patienceMs = Math.max(SILENT_MS, tookMs * SLOWER, this.#usualMs * LONGER);
    await Promise.race([Promise.all(answers), this.#wait(patienceMs - tookMs, signal)]);
    tell(isOthers ? 'well' : 'alone');
  }

  /** Whether no host of the others takes a connection, while our own member is heard. */
  async #knock(others: readonly string[], heard: Promise<boolean>, signal: AbortSignal): Promise<boolean> {
    const { clock, reach } = this.#deps;
    await clock.sleep(WELL_MS, signal);
    let isTaken = false;
    const knocks = others.map((endpoint) =>
      reach.takesConnections(endpoint, signal).then((isOne) => {
        isTaken ||= isOne;
      }),
    );
    const [isOwnHeard] = await Promise.all([
      heard,
      Promise.race([Promise.all(knocks), this.#wait(this.#darkMs, signal)]),
    ]);
    return isOwnHeard && !isTaken;
  }

  /** Whether it is not heard, and its host neither takes nor refuses a connection. */
  async #isGone(own: string, heard: Promise<boolean>, signal: AbortSignal): Promise<boolean> {
    const isThere = Promise.race([heard, this.#deps.reach.takesConnections(own, signal)]).then(() => true);
    return !(await Promise.race([isThere, this.#wait(this.#darkMs, signal).then(() => false)]));
  }

  get #darkMs(): number {
    return Math.max(DARK_MS, this.#usualMs * DARK_TIMES);
  }

  async #wait(ms: number, signal: AbortSignal): Promise<void> {
    for (let turn = 0; turn < TURNS; turn++) await this.#deps.clock.sleep(Math.max(0, ms) / TURNS, signal);
  }
}
