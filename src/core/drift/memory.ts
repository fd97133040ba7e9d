/** What a host remembers of drift: since when something differs, and what was put back how often. Bounded. */
import { type Drift, driftKey, type PutBack } from './drift.ts';

/** What was put back longest ago is forgotten first. */
const MOST_KEPT = 500;
/** An object that was put back so often within that time is undone by something that goes on. */
const RETURNS = { times: 3, withinMs: 600_000 } as const;

interface Kept extends PutBack<Drift> {
  /** When it was put back the last times, as many as {@link RETURNS} counts. */
  readonly recent: readonly number[];
}

export class RepairMemory {
  /** In the order in which they were put back last. */
  readonly #kept = new Map<string, Kept>();

  note(drifts: Iterable<Drift>, now: number): void {
    for (const drift of drifts) {
      const key = driftKey(drift);
      const before = this.#kept.get(key);
      const recent = [...(before?.recent ?? []), now].slice(-RETURNS.times);
      this.#kept.delete(key);
      this.#kept.set(key, {
        drift,
        times: (before?.times ?? 0) + 1,
        firstMs: before?.firstMs ?? now,
        lastMs: now,
        recent,
      });
    }
    for (const key of this.#kept.keys()) {
      if (this.#kept.size <= MOST_KEPT) break;
      this.#kept.delete(key);
    }
  }

  /** The last one first. */
  list(sinceMs: number): PutBack<Drift>[] {
    return [...this.#kept.values()]
      .reverse()
      .filter(({ lastMs }) => lastMs >= sinceMs)
      .map(({ recent: _, ...each }) => each);
  }

  /** Those that were put back again and again, lately. */
  returning(now: number): PutBack<Drift>[] {
    const isReturning = ({ recent }: Kept) => recent.length === RETURNS.times && now - recent[0]! <= RETURNS.withinMs;
    return [...this.#kept.values()].filter(isReturning).map(({ recent: _, ...each }) => each);
  }
}

/** Of what is gone by another way than by being put right nobody hears: more is not kept. */
const MOST_DATED = 10_000;

/** Since when each differs: what is not found any more where it was looked for has ended. */
export class DriftTimes {
  readonly #since = new Map<string, number>();

  get isEmpty(): boolean {
    return this.#since.size === 0;
  }

  /** These were put right. */
  end(keys: Iterable<string>): void {
    for (const key of keys) this.#since.delete(key);
  }

  /** `isLookedAt`: by key, whether it would have been found. */
  date<D extends Drift>(
    drifts: readonly D[],
    now: number,
    isLookedAt: (key: string) => boolean = () => true,
  ): (D & { readonly sinceMs: number })[] {
    const found = new Set(drifts.map(driftKey));
    for (const key of this.#since.keys()) if (!found.has(key) && isLookedAt(key)) this.#since.delete(key);
    const dated = drifts.map((drift) => {
      const key = driftKey(drift);
      const sinceMs = this.#since.get(key) ?? now;
      this.#since.set(key, sinceMs);
      return { ...drift, sinceMs };
    });
    for (const key of this.#since.keys()) {
      if (this.#since.size <= MOST_DATED) break;
      this.#since.delete(key);
    }
    return dated;
  }
}
