/** What several hosts tell, as whoever asked for it gets it: bounded, whatever they say. Pure. */
import type { HostEvent } from './host-event.ts';

export interface TellingHost {
  readonly id: string;
  readonly name: string;
}

export interface SeenEvent {
  readonly host: TellingHost;
  readonly event: HostEvent;
}

export interface LeftOut {
  readonly host: string;
  readonly type: string;
  readonly count: number;
}

export interface Told {
  /** In the order of time. */
  readonly events: readonly SeenEvent[];
  readonly leftOut: readonly LeftOut[];
  /** Whose events are missing, and why. */
  readonly away: readonly { readonly host: string; readonly reason: string }[];
}

/** Of one host; there are half as many. Those of a host that makes up more are counted as one. */
const MOST_TYPES = 200;
const OTHERS = 'others';

/** How many events are not told, by host and type. */
export class LeftOutCounts {
  readonly #hosts = new Map<string, Map<string, number>>();

  add({ host, type, count }: LeftOut): void {
    const types = this.#hosts.get(host) ?? new Map<string, number>();
    this.#hosts.set(host, types);
    const key = types.has(type) || types.size < MOST_TYPES ? type : OTHERS;
    types.set(key, (types.get(key) ?? 0) + count);
  }

  addEvents(events: readonly SeenEvent[]): void {
    for (const { host, event } of events) this.add({ host: host.name, type: event.type, count: 1 });
  }

  /** All of them; they begin anew. */
  take(): readonly LeftOut[] {
    const taken = [...this.#hosts].flatMap(([host, types]) =>
      [...types].map(([type, count]) => ({ host, type, count })),
    );
    this.#hosts.clear();
    return taken;
  }
}

/** The newest of what hosts tell one after the other: at most twice as many are held as are wanted. */
export class NewestEvents {
  readonly #limit: number;
  readonly #leftOut: LeftOutCounts;
  #held: SeenEvent[] = [];

  /** `leftOut` has those that are not among the newest. */
  constructor(limit: number, leftOut: LeftOutCounts) {
    this.#limit = limit;
    this.#leftOut = leftOut;
  }

  add(host: TellingHost, events: readonly HostEvent[]): void {
    for (const event of events) this.#held.push({ host, event });
    if (this.#held.length > 2 * this.#limit) this.#cut();
  }

  /** In the order of time. */
  all(): readonly SeenEvent[] {
    this.#cut();
    return this.#held;
  }

  #cut(): void {
    const sorted = inOrder(this.#held);
    const from = Math.max(0, sorted.length - this.#limit);
    this.#leftOut.addEvents(sorted.slice(0, from));
    this.#held = sorted.slice(from);
  }
}

/** Those of one moment stay as they came: of one host in the order in which they happened. */
export function inOrder(events: readonly SeenEvent[]): SeenEvent[] {
  return [...events].sort((a, b) => a.event.at - b.event.at);
}
