/** A word that two threads share: one asks the other to end by it, also while that one is busy. */
export class Leave {
  readonly shared: SharedArrayBuffer;
  readonly #word: Int32Array;

  /** `shared`: of the other thread's; else a new one. */
  constructor(shared = new SharedArrayBuffer(4)) {
    this.shared = shared;
    this.#word = new Int32Array(shared);
  }

  ask(): void {
    Atomics.store(this.#word, 0, 1);
  }

  get asked(): boolean {
    return Atomics.load(this.#word, 0) === 1;
  }

  /** Throws when it was asked: what is not begun yet is not to be begun. */
  check(): void {
    if (this.asked) throw new Error('not begun, since the thread was given up');
  }
}
