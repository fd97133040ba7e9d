/** Notices that another firewall of the host drops what ours lets pass, and who sends what ours drops; told in the status, and once in the log. */
import { type Found, found } from '../../core/finding.ts';
import {
  describeBlocked,
  type Firewall,
  follow,
  type Passage,
  type WayName,
  type WayState,
} from '../../core/firewall.ts';
import { Strays } from '../../core/strays.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';

export interface FirewallWatchDeps {
  /** Undefined while there is nothing to read. */
  readonly passage: () => Promise<Passage | undefined>;
  readonly firewall: () => Promise<Firewall | undefined>;
  /** Of the data path. */
  readonly port: number;
  /** Of the member with that address. */
  readonly nameOf: (address: string) => string | undefined;
  readonly clock: Pick<Clock, 'sleep' | 'elapsed'>;
  readonly logger: Pick<Logger, 'warn' | 'info' | 'debug'>;
}

const INTERVAL_MS = 10_000;
const MOST_LOGGED = 5;
const CODES = { data: 'data-port-filtered', out: 'egress-filtered', in: 'published-filtered' } as const;

export class FirewallWatch {
  readonly #deps: FirewallWatchDeps;
  readonly #ways = new Map<WayName, WayState>();
  readonly #problems = new Map<WayName, string>();
  readonly #strays = new Strays();

  constructor(deps: FirewallWatchDeps) {
    this.#deps = deps;
  }

  get findings(): readonly Found[] {
    return [
      ...[...this.#problems].flatMap(([way, text]) => found(CODES[way], [text])),
      ...found('sent-in-clear', this.#strays.problems(this.#deps.nameOf)),
    ];
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.look().catch((error: unknown) => {
        this.#deps.logger.debug({ error }, "what the host's firewall lets pass could not be read");
      });
      await this.#deps.clock.sleep(INTERVAL_MS, signal, 'loosely');
    }
  }

  async look(): Promise<void> {
    const passage = await this.#deps.passage();
    for (const way of ['data', 'out', 'in'] as const) if (passage) await this.#lookAt(way, passage);
    const { clock, logger, nameOf } = this.#deps;
    const begun = this.#strays.note(passage?.strays ?? new Map(), clock.elapsed());
    for (const from of begun.slice(0, MOST_LOGGED))
      logger.warn(
        { event: 'sent-in-clear', from, member: nameOf(from) },
        'VXLAN of an encrypted network came in clear, and was dropped',
      );
  }

  async #lookAt(way: WayName, passage: Passage): Promise<void> {
    const { firewall, logger, port } = this.#deps;
    const state = follow(this.#ways.get(way), passage[way]);
    this.#ways.set(way, state);
    if (state.blocked && !this.#problems.has(way)) {
      const problem = describeBlocked(way, await firewall(), port);
      this.#problems.set(way, problem);
      logger.warn({ event: 'firewall-in-the-way', problem }, "the host's firewall is in the way");
    } else if (!state.blocked && this.#problems.delete(way)) {
      logger.info({ event: 'firewall-passed', way }, "the host's firewall lets packets pass again");
    }
  }
}
