/**
 * Where the process that answers names was just asked to listen, and what became of that. An answer says that it listens
 * and knows all that it was told before: whoever asks the same a moment later, with nothing told in between, has it already.
 */
import type { Clock } from '../../ports/runtime.ts';

interface Asked {
  readonly what: string;
  /** How often the process had been told something of the place. */
  readonly news: number;
  readonly atMs: number;
  readonly answer: Promise<void>;
}

/** Within an attach; the next one finds out anew whether the process still listens. */
const FRESH_MS = 1_000;

export class AnsweredPlaces {
  readonly #clock: Pick<Clock, 'elapsed'>;
  readonly #asked = new Map<string, Asked>();
  readonly #news = new Map<string, number>();

  constructor(clock: Pick<Clock, 'elapsed'>) {
    this.#clock = clock;
  }

  /** The process is being told something of the place. */
  told(place: string): void {
    this.#news.set(place, (this.#news.get(place) ?? 0) + 1);
  }

  /** Whether it was asked to listen there, and did not refuse. */
  has(place: string): boolean {
    return this.#asked.has(place);
  }

  /** As `ask`, which is left out where its answer is known or on its way. `what`: all that is asked for, as text. */
  async ask(place: string, what: string, ask: () => Promise<void>): Promise<void> {
    const news = this.#news.get(place) ?? 0;
    const atMs = this.#clock.elapsed();
    const last = this.#asked.get(place);
    if (last?.what === what && last.news === news && atMs - last.atMs < FRESH_MS) return await last.answer;
    const asked: Asked = { what, news, atMs, answer: ask() };
    this.#asked.set(place, asked);
    try {
      await asked.answer;
    } catch (error) {
      if (this.#asked.get(place) === asked) this.#asked.delete(place);
      throw error;
    }
  }

  /** It may not listen there any more. */
  forget(place: string): void {
    this.#asked.delete(place);
    this.#news.delete(place);
  }

  /** It may be another process. */
  forgetAll(): void {
    this.#asked.clear();
    this.#news.clear();
  }
}
