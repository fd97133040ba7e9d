/** Those who are told of something, and what is done as long as there are any of them. */
export type Listener<T> = (told: T) => void;

export class Audience<T> {
  readonly #listeners = new Set<Listener<T>>();
  readonly #during: (signal: AbortSignal) => Promise<void>;
  #over: AbortController | undefined;

  /** `during` is begun when the first one comes; its signal aborts when the last one goes. */
  constructor(during: (signal: AbortSignal) => Promise<void>) {
    this.#during = during;
  }

  get isThere(): boolean {
    return this.#listeners.size > 0;
  }

  /** Until the signal aborts. */
  join(listener: Listener<T>, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.#listeners.add(listener);
    signal.addEventListener('abort', () => this.#leave(listener), { once: true });
    if (this.#over) return;
    this.#over = new AbortController();
    void this.#during(this.#over.signal);
  }

  tell(told: T): void {
    for (const listener of this.#listeners) listener(told);
  }

  #leave(listener: Listener<T>): void {
    this.#listeners.delete(listener);
    if (this.isThere) return;
    this.#over?.abort();
    this.#over = undefined;
  }
}
