/**
 * Looks again once a minute at what costs little, so that what `doctor` would find for certain is in `status` as well; and tells the log
 * of each finding once, and once more when it has ended.
 */
import type { FindingCode, Found } from '../core/finding.ts';
import type { Clock, Logger } from '../ports/runtime.ts';

export interface FindingsWatchDeps {
  readonly lookAgain: () => Promise<void>;
  /** All that is found now. */
  readonly found: () => Promise<readonly Found[]>;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'warn' | 'info'>;
}

const LOOK_MS = 60_000;
/** A start has enough to do. */
const FIRST_MS = 5_000;

/** What is told where it is found, as an event or in words of its own. */
const TOLD_ELSEWHERE: ReadonlySet<FindingCode> = new Set([
  ...(['data-path-lost', 'data-path-loss', 'network-path-lost', 'path-mtu', 'clock-skew'] as const),
  ...(['data-port-filtered', 'egress-filtered', 'published-filtered', 'sent-in-clear'] as const),
  ...(['host-lacks', 'kernel-refused', 'address-lost', 'member-away', 'network-full', 'not-started'] as const),
]);

export class FindingsWatch {
  readonly #deps: FindingsWatchDeps;
  #told = new Map<string, Found>();

  constructor(deps: FindingsWatchDeps) {
    this.#deps = deps;
  }

  /** Ends when the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, found, lookAgain } = this.#deps;
    for (let waitMs = FIRST_MS; ; waitMs = LOOK_MS) {
      await clock.sleep(waitMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await lookAgain();
        this.#tell(await found());
      } catch {
        // A member that is just ending; what is found stays as it was.
      }
    }
  }

  #tell(all: readonly Found[]): void {
    const { logger } = this.#deps;
    const certain = all.filter((each) => each.certain && !TOLD_ELSEWHERE.has(each.code));
    const now = new Map(certain.map((each) => [`${each.code} ${each.subject}`, each]));
    for (const [key, { code, subject, text: problem }] of now)
      if (!this.#told.has(key)) logger.warn({ code, subject, problem }, 'something is wrong');
    for (const [key, { code, subject }] of this.#told)
      if (!now.has(key)) logger.info({ code, subject }, 'it is well again');
    this.#told = now;
  }
}

/** What was found for certain by looking, until a look that would find it again does not. */
export class Standing {
  #found: readonly Found[] = [];

  get findings(): readonly Found[] {
    return this.#found;
  }

  /** `isCovered`: whether the look that found `all` would have found it. */
  replace(all: readonly Found[], isCovered: (found: Found) => boolean): void {
    this.#found = [...this.#found.filter((each) => !isCovered(each)), ...all.filter(({ certain }) => certain)];
  }
}
