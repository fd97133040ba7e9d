/** Notices that another firewall of the host drops what ours lets pass; told in the status, and once in the log. */
import { describeBlocked, type Firewall, follow, type Passage, type WayState } from '../../core/firewall.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';

export interface FirewallWatchDeps {
  /** Undefined while there is nothing to read. */
  readonly passage: () => Promise<Passage | undefined>;
  readonly firewall: () => Promise<Firewall | undefined>;
  /** Of the data path. */
  readonly port: number;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly logger: Pick<Logger, 'warn' | 'info' | 'debug'>;
}

const INTERVAL_MS = 10_000;

export class FirewallWatch {
  readonly #deps: FirewallWatchDeps;
  readonly #ways = new Map<keyof Passage, WayState>();
  readonly #problems = new Map<keyof Passage, string>();

  constructor(deps: FirewallWatchDeps) {
    this.#deps = deps;
  }

  get problems(): readonly string[] {
    return [...this.#problems.values()];
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.look().catch((error: unknown) => {
        this.#deps.logger.debug({ error }, "what the host's firewall lets pass could not be read");
      });
      await this.#deps.clock.sleep(INTERVAL_MS, signal);
    }
  }

  async look(): Promise<void> {
    const passage = await this.#deps.passage();
    if (passage) for (const way of ['data', 'out'] as const) await this.#lookAt(way, passage);
  }

  async #lookAt(way: keyof Passage, passage: Passage): Promise<void> {
    const { firewall, logger, port } = this.#deps;
    const state = follow(this.#ways.get(way), passage[way]);
    this.#ways.set(way, state);
    if (state.blocked && !this.#problems.has(way)) {
      const problem = describeBlocked(way, await firewall(), port);
      this.#problems.set(way, problem);
      logger.warn({ problem }, "the host's firewall is in the way");
    } else if (!state.blocked && this.#problems.delete(way)) {
      logger.info({ way }, "the host's firewall lets packets pass again");
    }
  }
}
