/** Events of all hosts, followed as long as a page shows them, and once for all pages. */
import { asOverlaydError } from '../core/errors.ts';
import type { EventRow } from '../core/page/contract.ts';
import type { EventsReply, EventsRequest, SeenEvent } from '../gen/overlayd/v1/control.ts';
import type { Clock } from '../ports/runtime.ts';
import { Audience, type Listener } from './audience.ts';

export interface EventSource {
  followEvents(request: EventsRequest, onTold: (reply: EventsReply) => void, signal?: AbortSignal): Promise<void>;
}

/** Oldest first. `away`: hosts whose events are not among them, with why. `begins`: what was told before is told again. */
export interface ToldEvents {
  readonly begins: boolean;
  readonly events: readonly EventRow[];
  readonly away: readonly string[];
}

/** The newest, of all hosts. */
const HELD = 500;
const AGAIN_MS = 3_000;

export class EventFeed {
  readonly #source: EventSource;
  readonly #clock: Clock;
  readonly #audience = new Audience<ToldEvents>((signal) => this.#run(signal));
  #held: readonly EventRow[] = [];
  #away: readonly string[] = [];

  constructor(source: EventSource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  /** Until the signal aborts. What is held is told at once. */
  follow(listener: Listener<ToldEvents>, signal: AbortSignal): void {
    if (this.#audience.isThere) listener({ begins: true, events: this.#held, away: this.#away });
    this.#audience.join(listener, signal);
  }

  async #run(signal: AbortSignal): Promise<void> {
    const nothing = { sinceMs: 0, untilMs: 0, types: [], nodes: [], networks: [], after: 0 };
    while (!signal.aborted) {
      let begins = true;
      const take = (reply: EventsReply) => {
        if (signal.aborted) return;
        this.#take(reply, begins);
        begins = false;
      };
      try {
        const query = { ...nothing, limit: HELD, follow: true };
        await this.#source.followEvents({ query, local: false }, take, signal);
      } catch (error) {
        if (!signal.aborted) this.#audience.tell({ begins: false, events: [], away: [asOverlaydError(error).message] });
      }
      await this.#clock.sleep(AGAIN_MS, signal).catch(() => undefined);
    }
  }

  #take({ events, away }: EventsReply, begins: boolean): void {
    const rows = events.map(eventRow);
    this.#held = (begins ? rows : [...this.#held, ...rows]).slice(-HELD);
    const named = away.map(({ nodeName, reason }) => `${nodeName}: ${reason}`);
    this.#away = begins ? named : [...new Set([...this.#away, ...named])].slice(-HELD);
    this.#audience.tell({ begins, events: rows, away: this.#away });
  }
}

function eventRow({ nodeId, nodeName, event }: SeenEvent): EventRow {
  return {
    id: `${nodeId.slice(0, 16)}/${event?.seq ?? 0}`,
    ...{ at: event?.atMs ?? 0, host: nodeName, type: event?.type ?? '', level: event?.level ?? '' },
    message: event?.message ?? '',
    fields: fieldsOf(event?.fields ?? ''),
  };
}

/** Other hosts wrote it. */
function fieldsOf(text: string): readonly string[] {
  try {
    const fields: unknown = JSON.parse(text);
    if (typeof fields !== 'object' || fields === null) return [];
    return Object.entries(fields).map(
      ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
    );
  } catch {
    return [];
  }
}
