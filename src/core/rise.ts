/** What was so and has not been since so long is over: those who look do several times meanwhile. */
const FORGOTTEN_MS = 180_000;

/** How much a count has risen lately. What it was when it was first seen is of no known time. Pure. */
export class Rise {
  count = 0;
  firstMs = 0;
  #last: number | undefined;
  #lastMs = 0;

  /** `now`: by the wall clock. `counted`: undefined where nobody counts. */
  note(counted: number | undefined, now: number): void {
    const before = this.#last ?? counted;
    this.#last = counted;
    if (this.count > 0 && now - this.#lastMs > FORGOTTEN_MS) this.count = 0;
    if (counted === undefined || before === undefined || counted === before) return;
    if (this.count === 0) this.firstMs = now;
    // Less: who counts is another one by now.
    this.count += counted < before ? counted : counted - before;
    this.#lastMs = now;
  }
}
