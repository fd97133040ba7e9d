/**
 * The wall clock from one run of the agent to the next. That it was set back while an agent runs the agent sees; while none ran, only
 * the state file tells.
 */
import type { Clock } from '../../ports/runtime.ts';

/** Members' clocks agree within it. */
const SET_BACK_MS = 60_000;
/** Of a clock that was ahead before, and is right now, nobody wants to hear for longer. */
const TOLD_MS = 3_600_000;
/** What the file says may be older by so much. */
const OLD_MS = 600_000;

export class ClockMemory {
  readonly #clock: Pick<Clock, 'elapsed' | 'now'>;
  /** As of the run before, where this one began earlier. */
  #was: number | undefined;
  #beganAt = 0;
  #isOpen = false;

  constructor(clock: Pick<Clock, 'elapsed' | 'now'>) {
    this.#clock = clock;
  }

  /** `seenAt`: what the file says; undefined: nothing. */
  begin(seenAt: number | undefined): void {
    const isSetBack = seenAt !== undefined && this.#clock.now() < seenAt - SET_BACK_MS;
    this.#was = isSetBack ? seenAt : undefined;
    this.#isOpen = isSetBack;
    this.#beganAt = this.#clock.elapsed();
  }

  /** For the file: as long as nobody has seen to it the next run is to see it too. */
  get seenAt(): number {
    return this.#isOpen ? Math.max(this.#clock.now(), this.#was!) : this.#clock.now();
  }

  isOld(seenAt: number | undefined): boolean {
    return seenAt === undefined || Math.abs(this.seenAt - seenAt) >= OLD_MS;
  }

  /** It was set back before this run, and what follows from that has not been done yet. */
  get isSetBack(): boolean {
    return this.#isOpen;
  }

  settle(): void {
    this.#isOpen = false;
  }

  /** In words; undefined: it is later than it ever was, or that was told for long enough. */
  get problem(): string | undefined {
    const now = this.#clock.now();
    if (this.#was === undefined || now >= this.#was - SET_BACK_MS) return undefined;
    if (this.#clock.elapsed() - this.#beganAt >= TOLD_MS) return undefined;
    const [is, was] = [now, this.#was].map((ms) => new Date(ms).toISOString());
    return `this host's clock said ${was} when its agent ran last, and says ${is} now: it was set back. If it is wrong now, set it (NTP); if it was wrong then, nothing is to be done`;
  }
}
