/**
 * Looks again once a minute at what costs little, so that what `doctor` would find for certain is in `status` as well, and sooner at what
 * is in doubt; and tells the log of each finding once, and once more when it has ended.
 */
import type { FindingCode, Found } from '../core/finding.ts';
import type { Clock, Logger } from '../ports/runtime.ts';

export interface FindingsWatchDeps {
  readonly doctor: {
    /** `isCloser`: only at what is in doubt. Returns whether something is. */
    lookAgain(isCloser: boolean): Promise<boolean>;
    /** What it found for certain by the last looks. */
    readonly standing: readonly Found[];
  };
  /** All that is found now, by a look at everything. */
  readonly found: () => Promise<readonly Found[]>;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'warn' | 'info'>;
}

const LOOK_MS = 60_000;
const CLOSER_MS = 5_000;
/** A start has enough to do. */
const FIRST_MS = 5_000;

/** What is told where it is found, as an event or in words of its own. */
const TOLD_ELSEWHERE: ReadonlySet<FindingCode> = new Set([
  ...(['data-path-lost', 'data-path-loss', 'network-path-lost', 'path-mtu', 'clock-skew'] as const),
  ...(['data-port-filtered', 'egress-filtered', 'published-filtered', 'sent-in-clear'] as const),
  ...(['host-lacks', 'kernel-refused', 'address-lost', 'member-away', 'not-started'] as const),
]);

export class FindingsWatch {
  readonly #deps: FindingsWatchDeps;
  #told = new Map<string, Found>();

  constructor(deps: FindingsWatchDeps) {
    this.#deps = deps;
  }

  /** Ends when the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, doctor, found } = this.#deps;
    let dueAt = clock.elapsed() + FIRST_MS;
    for (let isDoubted = false; ; ) {
      const leftMs = Math.max(0, dueAt - clock.elapsed());
      await clock.sleep(isDoubted ? Math.min(CLOSER_MS, leftMs) : leftMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      const isDue = clock.elapsed() >= dueAt;
      if (isDue) dueAt = clock.elapsed() + LOOK_MS;
      try {
        isDoubted = await doctor.lookAgain(!isDue);
        this.#tell(isDue ? await found() : this.#closelyFound());
      } catch {
        // A member that is just ending; what is found stays as it was.
      }
    }
  }

  /** What was told, but for what is looked at closely. */
  #closelyFound(): readonly Found[] {
    const isClose = ({ code }: Found) => BY_CHANCE.has(code);
    return [
      ...[...this.#told.values()].filter((each) => !isClose(each)),
      ...this.#deps.doctor.standing.filter(isClose),
    ];
  }

  #tell(all: readonly Found[]): void {
    const { logger } = this.#deps;
    const certain = all.filter((each) => each.certain && !TOLD_ELSEWHERE.has(each.code));
    const now = new Map(certain.map((each) => [keyOf(each), each]));
    for (const [key, { code, subject, text: problem }] of now)
      if (!this.#told.has(key)) logger.warn({ code, subject, problem }, 'something is wrong');
    for (const [key, { code, subject }] of this.#told)
      if (!now.has(key)) logger.info({ code, subject }, 'it is well again');
    this.#told = now;
  }
}

/** What one look finds though it is well a moment later. */
const BY_CHANCE: ReadonlySet<FindingCode> = new Set(['gossip-blocked', 'join-blocked'] as const);

/** What was found for certain by looking, until a look that would find it again does not. What may be chance, by two in a row. */
export class Standing {
  #found: readonly Found[] = [];
  #once: readonly Found[] = [];

  get findings(): readonly Found[] {
    return this.#found;
  }

  /** What may be chance, or over by now. */
  get inDoubt(): readonly Found[] {
    return [...this.#once, ...this.#found.filter(({ code }) => BY_CHANCE.has(code))];
  }

  /** `isCovered`: whether the look that found `all` would have found it. */
  replace(all: readonly Found[], isCovered: (found: Found) => boolean): void {
    const before = new Set(this.inDoubt.map(keyOf));
    const stands = (each: Found) => !BY_CHANCE.has(each.code) || before.has(keyOf(each));
    const certain = all.filter((each) => each.certain);
    const others = (known: readonly Found[]) => known.filter((each) => !isCovered(each));
    this.#found = [...others(this.#found), ...certain.filter(stands)];
    this.#once = [...others(this.#once), ...certain.filter((each) => !stands(each))];
  }
}

function keyOf({ code, subject }: Found): string {
  return `${code} ${subject}`;
}
