/** What several hosts tell at once, for somebody who may read slowly: bounded, and how much was left out is told besides. */
import { LeftOutCounts, type Told } from '../../core/events/told.ts';

/** Of those that nobody has read yet. */
const MOST_WAITING = 5_000;
const TOLD_AT_ONCE = 500;

export class Heard {
  #waiting: Told['events'][number][] = [];
  #away = new Map<string, string>();
  readonly #leftOut = new LeftOutCounts();
  #ended = false;
  #wake = Promise.withResolvers<void>();

  add({ events, leftOut, away }: Told): void {
    if (this.#waiting.length + events.length <= MOST_WAITING) this.#waiting.push(...events);
    else this.#leftOut.addEvents(events);
    for (const each of leftOut) this.#leftOut.add(each);
    for (const { host, reason } of away) this.#away.set(host, reason);
    this.#wake.resolve();
  }

  end(): void {
    this.#ended = true;
    this.#wake.resolve();
  }

  /** What came since the last time, in parts. */
  async *told(): AsyncGenerator<Told> {
    for (;;) {
      await this.#wake.promise;
      this.#wake = Promise.withResolvers();
      if (this.#ended) return;
      const away = [...this.#away].map(([host, reason]) => ({ host, reason }));
      const events = this.#waiting;
      const leftOut = this.#leftOut.take();
      this.#waiting = [];
      this.#away.clear();
      yield { events: events.slice(0, TOLD_AT_ONCE), leftOut, away };
      for (let at = TOLD_AT_ONCE; at < events.length; at += TOLD_AT_ONCE) {
        yield { events: events.slice(at, at + TOLD_AT_ONCE), leftOut: [], away: [] };
      }
    }
  }
}
