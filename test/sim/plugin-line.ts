/**
 * The way from an engine to its plugin, as the engine's client goes it: a plugin that is not there is tried for 15 s, a
 * call that was cut short comes again without its body and is refused, and an answer takes as long as it takes. The limit
 * is the plugin server's own.
 */
import { isOverlaydError, OverlaydError } from '../../src/core/errors.ts';
import type { DriverHandlers } from '../../src/ports/engine.ts';
import type { Clock, Random } from '../../src/ports/runtime.ts';

type Method = keyof DriverHandlers;
type CallOf<M extends Method> = Parameters<DriverHandlers[M]>[0];
type AnswerOf<M extends Method> = Awaited<ReturnType<DriverHandlers[M]>>;

const RETRIES_MS = [1_000, 2_000, 4_000, 8_000];
const LIMIT_MS = 12_000;
const LAST_WORDS_MS = 1_000;

export class PluginLine {
  /** What no caller may ever see: errors that are none of ours. */
  readonly bugs: unknown[] = [];
  /** Names of the calls that were answered, well or not. */
  readonly log: string[] = [];
  /** How often a call that was answered comes a second time. */
  repeats = 0;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #calls = new Set<(reason: Error) => void>();
  #handlers: DriverHandlers | undefined;
  #held: { readonly method: Method; readonly reached: () => void; readonly go: Promise<void> } | undefined;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** An agent listens. */
  open(handlers: DriverHandlers): void {
    this.#handlers = handlers;
  }

  /** It was killed, and with it all that it was answering. */
  cut(): void {
    this.#handlers = undefined;
    for (const reset of this.#calls) reset(new OverlaydError('engine-refused', 'connection reset by peer'));
    this.#calls.clear();
  }

  /** The next call of that name waits before it is sent, until `release`. */
  hold(method: Method): { readonly reached: Promise<void>; readonly release: () => void } {
    const reached = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    this.#held = { method, reached: reached.resolve, go: go.promise };
    return { reached: reached.promise, release: go.resolve };
  }

  /** Throws what the engine's user would read. */
  async call<M extends Method>(method: M, body: CallOf<M>): Promise<AnswerOf<M>> {
    if (this.#held?.method === method) {
      const { reached, go } = this.#held;
      this.#held = undefined;
      reached();
      await go;
    }
    await this.#clock.sleep(this.#random.next() * 2);
    for (const pauseMs of RETRIES_MS) {
      if (this.#handlers) break;
      await this.#clock.sleep(pauseMs);
    }
    if (!this.#handlers) throw new OverlaydError('engine-refused', 'plugin not found: connection refused');
    const handle = this.#handlers[method] as (call: CallOf<M>, signal: AbortSignal) => Promise<AnswerOf<M>>;
    const limit = new AbortController();
    const done = new AbortController();
    const cut = Promise.withResolvers<never>();
    this.#calls.add(cut.reject);
    const tooLate = this.#limit(method, limit, done);
    tooLate.catch(() => undefined);
    try {
      const ask = () => Promise.race([handle(structuredClone(body), limit.signal), tooLate, cut.promise]);
      const answer = structuredClone(await ask());
      if (this.#random.next() < this.repeats && isRepeatable(body)) await ask();
      return answer;
    } catch (error) {
      if (!isOverlaydError(error) || error.code === 'internal') this.bugs.push(error);
      const code = isOverlaydError(error) ? error.code : 'internal';
      const text = `${method}: ${(error as Error).message} (${code})`;
      throw new OverlaydError('engine-refused', text, { cause: error });
    } finally {
      this.log.push(method);
      this.#calls.delete(cut.reject);
      limit.abort();
      done.abort();
    }
  }

  async #limit(method: Method, limit: AbortController, done: AbortController): Promise<never> {
    const never = new Promise<never>(() => undefined);
    try {
      await this.#clock.sleep(LIMIT_MS, done.signal);
      const reason = new OverlaydError('cancelled', `${method} was not done within ${LIMIT_MS} ms`);
      limit.abort(reason);
      await this.#clock.sleep(LAST_WORDS_MS, done.signal);
      throw reason;
    } catch (error) {
      if (done.signal.aborted) return never;
      throw error;
    }
  }
}

/** Any pool or any address that is asked for twice is two. */
function isRepeatable(body: object): boolean {
  return !('subPool' in body) && !('address' in body && body.address === undefined);
}
