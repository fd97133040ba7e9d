/**
 * Watch updates that wait for a slow reader. Bounded by the number of keys, not by time: events join, and beyond a
 * thousand only the last of each key is kept; a snapshot replaces all that waits; an outage that ended before anybody
 * looked is forgotten. So at most a snapshot, one batch of events and one `stalled` wait.
 */
import type { WatchUpdate } from '../../ports/store.ts';
import type { StoreEvent } from './request.ts';

const MAX_WAITING_EVENTS = 1_000;

export class UpdateQueue {
  #waiting: WatchUpdate[] = [];
  #wake: (() => void) | undefined;
  #ended = false;

  push(update: WatchUpdate): void {
    if (update.kind === 'snapshot') {
      this.#waiting = [update];
    } else {
      if (this.#waiting.at(-1)?.kind === 'stalled') this.#waiting.pop();
      const last = this.#waiting.at(-1);
      if (update.kind === 'events' && last?.kind === 'events') {
        const events = lastOfEachKey([...last.events, ...update.events]);
        this.#waiting[this.#waiting.length - 1] = { ...update, events };
      } else {
        this.#waiting.push(update);
      }
    }
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** For one reader. What still waits when the queue ends is dropped. */
  async *drain(): AsyncGenerator<WatchUpdate, void, undefined> {
    while (!this.#ended) {
      const next = this.#waiting.shift();
      if (next !== undefined) {
        yield next;
        continue;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }
}

function lastOfEachKey(events: readonly StoreEvent[]): readonly StoreEvent[] {
  if (events.length <= MAX_WAITING_EVENTS) return events;
  const last = new Map<string, StoreEvent>();
  for (const event of events) {
    last.delete(event.key); // so that it moves to the end: the order of revisions stays
    last.set(event.key, event);
  }
  return [...last.values()];
}
