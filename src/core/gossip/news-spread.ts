/**
 * News of members on its way to others: each node passes a piece of it on a few times, and what everybody should know while it
 * lasts (who is accused, who is awaited) again and again after that, a little with each message. While nothing changes, nothing is
 * told.
 */
import type { MemberNews } from './message.ts';

/** Of news that lasts and was passed on often enough, so many pieces go with a message. */
const REMINDERS = 8;

export interface Spreading {
  readonly newsOf: (nodeId: string) => MemberNews;
  /** Whether it is to be told for as long as it is so. */
  readonly lasts: (nodeId: string) => boolean;
  /** So often each piece is passed on: nearly all get it then, and reminders reach the rest. */
  readonly tellings: () => number;
}

export class NewsSpread {
  readonly #of: Spreading;
  /** Of whom there is something to pass on, and how often that was done; who was told of last is last. */
  readonly #passing = new Map<string, number>();
  readonly #lasting = new Map<string, number>();
  /** Of what lasts, what was passed on so often. */
  readonly #settled = new Set<string>();

  constructor(of: Spreading) {
    this.#of = of;
  }

  /** Members of whom something is told for as long as it lasts. */
  get lasting(): string[] {
    return [...this.#lasting.keys(), ...this.#settled];
  }

  note(nodeId: string): void {
    this.forget(nodeId);
    (this.#of.lasts(nodeId) ? this.#lasting : this.#passing).set(nodeId, 0);
  }

  /** Somebody has missed it: the next message says so. */
  repeat(nodeId: string): void {
    if (!this.#passing.has(nodeId)) this.#passing.set(nodeId, this.#of.tellings() - 1);
  }

  forget(nodeId: string): void {
    for (const known of [this.#passing, this.#lasting, this.#settled]) known.delete(nodeId);
  }

  /** Adds to `told`, by node id, until there are `limit` pieces. */
  tell(told: Map<string, MemberNews>, limit: number): void {
    this.#pass(this.#passing, told, limit);
    this.#pass(this.#lasting, told, limit);
    let left = Math.min(this.#settled.size, REMINDERS, limit - told.size);
    for (const id of this.#settled) {
      if (left-- <= 0) break;
      this.#settled.delete(id);
      if (!this.#of.lasts(id)) continue;
      told.set(id, this.#of.newsOf(id));
      this.#settled.add(id);
    }
  }

  #pass(waiting: Map<string, number>, told: Map<string, MemberNews>, limit: number): void {
    const tellings = this.#of.tellings();
    let left = Math.min(waiting.size, limit - told.size);
    for (const [id, times] of waiting) {
      if (left-- <= 0) break;
      told.set(id, this.#of.newsOf(id));
      waiting.delete(id);
      if (times + 1 < tellings) waiting.set(id, times + 1);
      else if (this.#of.lasts(id)) this.#settled.add(id);
    }
  }
}
