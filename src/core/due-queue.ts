/** What is due at moments: the earliest first, of one moment what was put in first. A binary heap, so that each step costs the logarithm of what is in it. Pure. */

interface Slot<Item> {
  readonly item: Item;
  readonly at: number;
  readonly order: number;
  index: number;
}

export class DueQueue<Item> {
  readonly #slots = new Map<Item, Slot<Item>>();
  readonly #heap: Slot<Item>[] = [];
  #order = 0;

  /** When the first is due. */
  get firstAt(): number | undefined {
    return this.#heap[0]?.at;
  }

  /** Due at that moment, whatever it was before. */
  put(item: Item, at: number): void {
    this.delete(item);
    const slot = { item, at, order: this.#order++, index: this.#heap.length };
    this.#slots.set(item, slot);
    this.#heap.push(slot);
    this.#rise(slot);
  }

  delete(item: Item): void {
    const slot = this.#slots.get(item);
    if (!slot) return;
    this.#slots.delete(item);
    const last = this.#heap.pop()!;
    if (last === slot) return;
    this.#place(last, slot.index);
    this.#rise(last);
    this.#sink(last);
  }

  /** The first that is due by `now`, which is in here no more then. */
  take(now: number): Item | undefined {
    const [first] = this.#heap;
    if (!first || first.at > now) return undefined;
    this.delete(first.item);
    return first.item;
  }

  #place(slot: Slot<Item>, index: number): void {
    slot.index = index;
    this.#heap[index] = slot;
  }

  #rise(slot: Slot<Item>): void {
    while (slot.index > 0) {
      const above = this.#heap[(slot.index - 1) >> 1]!;
      if (!isBefore(slot, above)) return;
      this.#swap(slot, above);
    }
  }

  #sink(slot: Slot<Item>): void {
    for (;;) {
      const [left, right] = [this.#heap[2 * slot.index + 1], this.#heap[2 * slot.index + 2]];
      const least = left && right && isBefore(right, left) ? right : left;
      if (!least || !isBefore(least, slot)) return;
      this.#swap(slot, least);
    }
  }

  #swap(a: Slot<Item>, b: Slot<Item>): void {
    const { index } = a;
    this.#place(a, b.index);
    this.#place(b, index);
  }
}

function isBefore<Item>(a: Slot<Item>, b: Slot<Item>): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
