/** Timers in order of their time, then of their making: a binary heap, for a thousand nodes have thousands of them. */
export interface Timer {
  readonly at: number;
  readonly order: number;
  readonly fire: () => void;
  /** Aborted: it stays in the queue and is passed over. */
  cancelled: boolean;
}

export class TimerQueue {
  readonly #heap: Timer[] = [];

  add(timer: Timer): void {
    const heap = this.#heap;
    let hole = heap.length;
    heap.push(timer);
    while (hole > 0) {
      const parent = (hole - 1) >> 1;
      if (!isBefore(timer, heap[parent]!)) break;
      heap[hole] = heap[parent]!;
      hole = parent;
    }
    heap[hole] = timer;
  }

  /** The next that is not cancelled; it stays in the queue. */
  first(): Timer | undefined {
    while (this.#heap[0]?.cancelled) this.removeFirst();
    return this.#heap[0];
  }

  removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let hole = 0;
    for (;;) {
      let child = 2 * hole + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[hole] = heap[child]!;
      hole = child;
    }
    heap[hole] = last;
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
