/** Says what is repeated without end a few times a while, and then how often it was left unsaid. */
export class Sparing {
  readonly #limit: number;
  readonly #windowMs: number;
  #begin = Number.NEGATIVE_INFINITY;
  #said = 0;
  #unsaid = 0;

  constructor(options: { readonly limit: number; readonly windowMs: number }) {
    this.#limit = options.limit;
    this.#windowMs = options.windowMs;
  }

  /** Undefined: not now. Otherwise how many were left unsaid since the last one that was said. */
  take(now: number): number | undefined {
    if (Math.abs(now - this.#begin) >= this.#windowMs) {
      this.#begin = now;
      this.#said = 0;
    }
    if (this.#said >= this.#limit) {
      this.#unsaid++;
      return undefined;
    }
    this.#said++;
    const unsaid = this.#unsaid;
    this.#unsaid = 0;
    return unsaid;
  }
}
