/**
 * Questions that arrive together, shared out among those who ask. Who asks a few at a time is answered in the same turn.
 * Of who asks more, some wait and are taken up in turn with the other ones'; what is more than may wait is dropped, which
 * costs next to nothing: so what others ask is read before the kernel has no room for it. While somebody has more
 * than may wait, fewer are answered in a turn, and more are read.
 *
 * Nothing is lost of a client that has no more questions open than may wait, and nobody is slowed down while nobody else
 * asks.
 */

export interface FairQueueLimits {
  /** Of one source, answered at once in a turn. */
  readonly atOnce: number;
  /** Of one source, waiting; and as soon as so many wait of all. */
  readonly waiting: number;
  readonly share: number;
  readonly waitingOfAll: number;
  /** Of all sources, taken up in a turn; and while one of them has more than may wait. */
  readonly perTurn: number;
  readonly perFloodedTurn: number;
}

/**
 * Node.js reads up to 32 datagrams of a socket between two turns: what one source gets of those is less. So of all that the kernel
 * kept while nobody read, as over a hand-over on a busy host, half has to wait: that is no flood (`adapters/dns/bind.ts`).
 */
export const FAIR_QUEUE_LIMITS: FairQueueLimits = {
  ...{ atOnce: 8, perTurn: 16, perFloodedTurn: 4 },
  ...{ waiting: 1_536, share: 256, waitingOfAll: 65_536 },
};

interface Source<T> {
  /** Answered at once since the last turn. */
  answered: number;
  /** Those before `next` are taken up already. */
  waiting: T[];
  next: number;
}

/** More sources are not remembered without a turn between. */
const MAX_SOURCES = 1_024;

export class FairQueue<T> {
  readonly #limits: FairQueueLimits;
  readonly #sources = new Map<string, Source<T>>();
  #waiting = 0;
  #flooded = false;
  #turnDue = false;

  constructor(limits: FairQueueLimits) {
    this.#limits = limits;
  }

  /** What is to be done with a question: `later` it is one of those of a `turn`. */
  offer(name: string, item: T): 'now' | 'later' | 'dropped' {
    let source = this.#sources.get(name);
    if (!source) {
      source = { answered: 0, waiting: [], next: 0 };
      this.#sources.set(name, source);
      if (this.#sources.size > MAX_SOURCES) this.#turnDue = true;
    }
    const count = source.waiting.length - source.next;
    if (count === 0 && source.answered < this.#limits.atOnce) {
      source.answered++;
      return 'now';
    }
    this.#turnDue = true;
    const { waiting, share, waitingOfAll } = this.#limits;
    if (count >= (this.#waiting < waitingOfAll ? waiting : share)) {
      this.#flooded = true;
      return 'dropped';
    }
    source.waiting.push(item);
    this.#waiting++;
    return 'later';
  }

  /** Whether `turn` is to be called when all that has arrived together was offered. */
  get turnDue(): boolean {
    return this.#turnDue;
  }

  /** Those that are answered now, of each source one after the other. */
  turn(): T[] {
    const { perTurn, perFloodedTurn } = this.#limits;
    let left = this.#flooded ? perFloodedTurn : perTurn;
    this.#flooded = false;
    const taken: T[] = [];
    // What is put back at the end is met again.
    for (const [name, source] of this.#sources) {
      if (left === 0) break;
      this.#sources.delete(name);
      if (source.next === source.waiting.length) continue;
      this.#sources.set(name, source);
      left--;
      this.#waiting--;
      taken.push(source.waiting[source.next++]!);
      if (source.next >= this.#limits.share) compact(source);
    }
    for (const source of this.#sources.values()) source.answered = 0;
    this.#turnDue = this.#sources.size > 0;
    return taken;
  }
}

function compact(source: Source<unknown>): void {
  source.waiting.splice(0, source.next);
  source.next = 0;
}
