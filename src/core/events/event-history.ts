/**
 * What a host remembers of its events, bounded by bytes. When there is no more room, the oldest goes of the type that takes
 * most: a flood of one type pushes out its own, and of all others at least their share stays. How many went is known, by type.
 * Adding costs nothing but a look at each type when it is full. Pure.
 */
import { type EventFilter, fits, mayFit } from './event-filter.ts';
import { type HostEvent, parseEvent, renderEvent } from './host-event.ts';

export const HISTORY_BYTES = 1024 * 1024;

interface Kept {
  readonly seq: number;
  readonly at: number;
  readonly line: string;
}

interface OfType {
  readonly kept: Kept[];
  bytes: number;
  leftOut: number;
}

export interface Selected {
  /** In the order in which they happened. */
  readonly events: readonly HostEvent[];
  /** By type, of those asked for: how many there were that are kept no more, or are more than was asked for. */
  readonly leftOut: Readonly<Record<string, number>>;
  /** What comes later has a greater one. */
  readonly cursor: number;
}

export class EventHistory {
  readonly #limit: number;
  readonly #types = new Map<string, OfType>();
  #bytes = 0;
  #seq = 0;

  constructor(limit = HISTORY_BYTES) {
    this.#limit = limit;
  }

  /** `seq` of the last one. */
  get cursor(): number {
    return this.#seq;
  }

  add(event: Omit<HostEvent, 'seq'>): void {
    // By the clock, so that numbers that a crash took along are not given again.
    const seq = Math.max(this.#seq + 1, Math.round(event.at));
    this.#keep({ ...event, seq }, undefined);
  }

  /** Lines as {@link linesAfter} gave them, in their order; what is no line of a history is passed over. */
  restore(lines: Iterable<string>): void {
    for (const line of lines) {
      const event = parseEvent(line);
      if (event && event.seq > this.#seq) this.#keep(event, line);
      else if (!event) this.#restoreLeftOut(line);
    }
  }

  /** Those after a cursor, and how many were left out by now; in their order. */
  linesAfter(cursor: number): readonly string[] {
    const after = [...this.#types.values()].flatMap(({ kept }) => laterThan(kept, cursor));
    const counts = [...this.#types].flatMap(([type, { leftOut }]) => (leftOut > 0 ? [[type, leftOut] as const] : []));
    const lines = after.sort((a, b) => a.seq - b.seq).map(({ line }) => line);
    return counts.length > 0 ? [...lines, JSON.stringify({ leftOut: Object.fromEntries(counts) })] : lines;
  }

  /** The newest `limit` of those after a cursor that fit. `host`: name and id of this one. */
  select(
    filter: EventFilter,
    host: readonly string[],
    options: { readonly after: number; readonly limit: number },
  ): Selected {
    const { after, limit } = options;
    const leftOut: Record<string, number> = {};
    const found: Kept[] = [];
    for (const [type, { kept, leftOut: gone }] of this.#types) {
      // Of a type that is not asked for nothing is told.
      if (!mayFit({ ...filter, sinceMs: 0, untilMs: 0 }, { type, at: 0 })) continue;
      // What went was before the oldest that is kept.
      const wentBefore = filter.sinceMs > 0 && kept[0] !== undefined && kept[0].at < filter.sinceMs;
      if (gone > 0 && after === 0 && !wentBefore) leftOut[type] = gone;
      for (const each of laterThan(kept, after)) if (mayFit(filter, { type, at: each.at })) found.push(each);
    }
    const events: HostEvent[] = [];
    for (const { line } of found.sort((a, b) => b.seq - a.seq)) {
      const event = parseEvent(line);
      if (!event || !fits(filter, event, host)) continue;
      if (events.length < limit) events.push(event);
      else leftOut[event.type] = (leftOut[event.type] ?? 0) + 1;
    }
    return { events: events.reverse(), leftOut, cursor: this.#seq };
  }

  clear(): void {
    this.#types.clear();
    this.#bytes = 0;
  }

  #keep(event: HostEvent, rendered: string | undefined): void {
    const { seq, at, type } = event;
    const line = rendered ?? renderEvent(event);
    const of = this.#of(type);
    of.kept.push({ seq, at, line });
    of.bytes += line.length;
    this.#bytes += line.length;
    this.#seq = seq;
    while (this.#bytes > this.#limit) this.#dropOne();
  }

  #dropOne(): void {
    let largest: OfType | undefined;
    for (const of of this.#types.values()) if (!largest || of.bytes > largest.bytes) largest = of;
    const dropped = largest?.kept.shift();
    if (!largest || !dropped) return;
    largest.bytes -= dropped.line.length;
    largest.leftOut++;
    this.#bytes -= dropped.line.length;
  }

  #of(type: string): OfType {
    const known = this.#types.get(type);
    if (known) return known;
    const created: OfType = { kept: [], bytes: 0, leftOut: 0 };
    this.#types.set(type, created);
    return created;
  }

  #restoreLeftOut(line: string): void {
    const counts = leftOutOf(line);
    for (const [type, count] of Object.entries(counts)) {
      if (Number.isSafeInteger(count) && count > 0) this.#of(type).leftOut = count as number;
    }
  }
}

function laterThan(kept: readonly Kept[], cursor: number): readonly Kept[] {
  return kept.slice(kept.findLastIndex(({ seq }) => seq <= cursor) + 1);
}

function leftOutOf(line: string): object {
  try {
    const { leftOut } = JSON.parse(line) ?? {};
    return typeof leftOut === 'object' && leftOut !== null ? leftOut : {};
  } catch {
    return {};
  }
}
