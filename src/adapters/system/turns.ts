/** Pieces of work that each hold the event loop for some microseconds: so many are done in a turn, and others' work between turns. */
export class Turns {
  readonly #most: number;
  readonly #waiting: (() => void)[] = [];
  #left: number;
  #next: NodeJS.Immediate | undefined;

  /** `most`: in one turn. */
  constructor(most: number) {
    this.#most = most;
    this.#left = most;
  }

  /** Resolves when a piece may be done, at once where few were in this turn. Who asks first is first. */
  async take(): Promise<void> {
    if (this.#left > 0) this.#count();
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #count(): void {
    this.#left -= 1;
    this.#next ??= setImmediate(() => {
      this.#next = undefined;
      this.#left = this.#most;
      for (const resolve of this.#waiting.splice(0, this.#most)) {
        this.#count();
        resolve();
      }
    });
  }
}
