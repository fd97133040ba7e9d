/**
 * What members said and etcd, though it was followed, did not confirm in time: who repeats it is not believed again. The
 * last few thousand are remembered.
 */
export class Unconfirmed {
  readonly #most: number;
  /** The highest such revision of each key; the one that came last is last. */
  readonly #revisions = new Map<string, number>();

  constructor(most = 10_000) {
    this.#most = most;
  }

  add(key: string, revision: number): void {
    const highest = Math.max(revision, this.#revisions.get(key) ?? 0);
    this.#revisions.delete(key);
    this.#revisions.set(key, highest);
    if (this.#revisions.size <= this.#most) return;
    for (const [oldest] of this.#revisions) {
      this.#revisions.delete(oldest);
      break;
    }
  }

  has(key: string, revision: number): boolean {
    return revision <= (this.#revisions.get(key) ?? 0);
  }

  clear(): void {
    this.#revisions.clear();
  }
}
