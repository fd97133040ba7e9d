/**
 * Questions that come right after the agent's start. Names of this host's own endpoints are known from the state file
 * then; of the others nothing is known before the cluster's records are there and the reconciler has found the ways to
 * them. Until then "there is no such name" would be a guess, and asking an upstream server might tell it a
 * name of ours: such questions wait. Who asks waits less than by being refused, and is told nothing wrong.
 *
 * It is over soon, also when etcd and all peers are away: then an agent says what it knows.
 */
import type { ClusterView } from '../core/cluster-view.ts';
import type { Clock } from '../ports.ts';
import { HOST_PART } from './announcements.ts';

export interface EarlyQuestionsDeps {
  readonly view: Pick<ClusterView, 'complete'>;
  readonly clock: Clock;
}

/** Well below the 5 s after which a client asks again. */
const LIMIT_MS = 2_000;

export class EarlyQuestions {
  readonly #deps: EarlyQuestionsDeps;
  /** Networks of whose endpoints the ways are known. Those who ask the host's own responder go no way of ours. */
  readonly #known = new Set<string>([HOST_PART]);
  #waiting = Promise.withResolvers<void>();
  #over = false;

  constructor(deps: EarlyQuestionsDeps) {
    this.#deps = deps;
  }

  /** From the agent's start on; ends when nothing is early any more. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      await this.#deps.clock.sleep(LIMIT_MS, signal);
    } catch {
      // An agent that stops has learnt nothing: who waits asks the next one.
      return;
    }
    this.#over = true;
    this.changed();
  }

  /** Undefined when what is known of a network suffices to deny a name; else resolves when more is known. */
  untilMore(networkId: string): Promise<void> | undefined {
    if (this.#over || (this.#deps.view.complete && this.#known.has(networkId))) return undefined;
    return this.#waiting.promise;
  }

  /** The whole of the cluster's records has become the kernel's state of this network. */
  known(networkId: string): void {
    this.#known.add(networkId);
    this.changed();
  }

  /** Those that wait look again. */
  changed(): void {
    this.#waiting.resolve();
    this.#waiting = Promise.withResolvers<void>();
  }
}
