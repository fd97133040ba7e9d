/**
 * Finds out what this host lacks before the first network fails for it; told in the status, and once in the log. Looked for
 * again while it lacks something, and when more is wanted than before.
 */
import { describeLack, type Lack, type Wanted } from '../../core/host-needs.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';

export interface HostNeedsDeps {
  /** What is lacking now of what is wanted. Throws when it cannot be found out. */
  readonly probe: (wanted: Wanted, signal: AbortSignal) => Promise<readonly Lack[]>;
  readonly wanted: () => Wanted;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly logger: Pick<Logger, 'warn' | 'info' | 'debug'>;
}

/** What an agent has to do at its start goes first. */
const FIRST_MS = 500;
/** Somebody may load what is lacking. */
const AGAIN_MS = 10_000;

export class HostNeeds {
  readonly #deps: HostNeedsDeps;
  #problems: readonly string[] = [];

  constructor(deps: HostNeedsDeps) {
    this.#deps = deps;
  }

  /** In words, with what to do. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  /** Ends when the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger, probe, wanted } = this.#deps;
    let had: Wanted | undefined;
    for (let waitMs = FIRST_MS; !signal.aborted; waitMs = AGAIN_MS) {
      await clock.sleep(waitMs, signal, 'loosely').catch(() => undefined);
      if (signal.aborted) return;
      const now = wanted();
      if (had && (had.ipv6 || !now.ipv6)) continue;
      try {
        const problems = (await probe(now, signal)).map(describeLack);
        if (problems.some((problem) => !this.#problems.includes(problem))) {
          logger.warn({ event: 'host-lacks', problems }, 'this host lacks what networks need');
        }
        if (problems.length === 0 && this.#problems.length > 0) logger.info({}, 'this host has what it lacked');
        this.#problems = problems;
        had = problems.length === 0 ? now : undefined;
      } catch (error) {
        logger.debug({ error }, 'what this host lacks could not be found out');
      }
    }
  }
}
