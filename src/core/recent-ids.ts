/** As many as come or go at once on a host, and some more. */
const MOST = 1_024;

/** The last ids that were added, of which nobody has to say when they are over. */
export class RecentIds {
  readonly #ids = new Set<string>();

  add(id: string): void {
    this.#ids.add(id);
    if (this.#ids.size > MOST) this.#ids.delete(this.#ids.values().next().value!);
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }
}
