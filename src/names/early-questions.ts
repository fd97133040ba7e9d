/**
 * Questions about networks of which no agent has told all yet: after the host's start, or where the process that answers
 * was lost. Names of this host's own endpoints are known then; of the others nothing is known before the cluster's
 * records are there and the reconciler has found the ways to them. Until then "there is no such name" would be a guess,
 * and asking an upstream server might tell it a name of ours: such questions wait. Who asks waits less than by being
 * refused, and is told nothing wrong.
 *
 * Nobody waits for long, also when etcd and all peers are away: from then on what would be a guess is said to be unknown.
 */
import type { Clock } from '../ports/runtime.ts';

export interface EarlyQuestionsDeps {
  /** Whether all of the network is known. */
  readonly isWhole: (networkId: string) => boolean;
  readonly clock: Pick<Clock, 'elapsed' | 'sleep'>;
}

/** Well below the 5 s after which a client asks again. */
const LIMIT_MS = 2_000;

export class EarlyQuestions {
  readonly #deps: EarlyQuestionsDeps;
  /** Networks that were heard of a moment ago, and when. */
  readonly #begun = new Map<string, number>();
  #waiting = Promise.withResolvers<void>();

  constructor(deps: EarlyQuestionsDeps) {
    this.#deps = deps;
  }

  /** Something of the network is known now. */
  begin(networkId: string): void {
    const { clock } = this.#deps;
    const begunAt = clock.elapsed();
    this.#begun.set(networkId, begunAt);
    clock.sleep(LIMIT_MS).then(
      () => {
        if (this.#begun.get(networkId) === begunAt) this.#begun.delete(networkId);
        this.changed();
      },
      () => undefined,
    );
  }

  /** Those that wait look again. */
  changed(): void {
    this.#waiting.resolve();
    this.#waiting = Promise.withResolvers<void>();
  }

  /** As of `ResponderDeps`. */
  untilMore(networkIds: readonly string[]): Promise<void> | 'unknown' | undefined {
    const partly = networkIds.filter((networkId) => !this.#deps.isWhole(networkId));
    if (partly.length === 0) return undefined;
    return partly.some((networkId) => this.#begun.has(networkId)) ? this.#waiting.promise : 'unknown';
  }
}
