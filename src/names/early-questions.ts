/**
 * Questions about networks of which no agent has told all yet: after the host's start, or where the process that answers
 * was lost. Names of this host's own endpoints are known then; of the others nothing is known before the cluster's
 * records are there and the reconciler has found the ways to them. Until then "there is no such name" would be a guess,
 * and asking an upstream server might tell it a name of ours: such questions wait. Who asks waits less than by being
 * refused, and is told nothing wrong.
 *
 * Nobody waits for long, also when etcd and all peers are away: from then on what would be a guess is said to be unknown.
 */
import type { Clock } from '../ports.ts';

export interface EarlyQuestionsDeps {
  /** Whether all of the network is known. */
  readonly isWhole: (networkId: string) => boolean;
  readonly clock: Pick<Clock, 'elapsed' | 'sleep'>;
}

/** Well below the 5 s after which a client asks again. */
const LIMIT_MS = 2_000;

export class EarlyQuestions {
  readonly #deps: EarlyQuestionsDeps;
  /** When the network was heard of. */
  readonly #begun = new Map<string, number>();
  #waiting = Promise.withResolvers<void>();

  constructor(deps: EarlyQuestionsDeps) {
    this.#deps = deps;
  }

  /** Something of the network is known now. */
  begin(networkId: string): void {
    const { clock } = this.#deps;
    this.#begun.set(networkId, clock.elapsed());
    clock.sleep(LIMIT_MS).then(
      () => this.changed(),
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
    const now = this.#deps.clock.elapsed();
    const isEarly = partly.some((networkId) => now - (this.#begun.get(networkId) ?? now) < LIMIT_MS);
    return isEarly ? this.#waiting.promise : 'unknown';
  }
}
