/** When the first endpoint of a list is asked again, while another one is used: the more often it fails the later. Pure. */
const FIRST_MS = 10_000;
const LAST_MS = 120_000;

export class ReturnTime {
  #waitMs = FIRST_MS / 2;
  #at = 0;

  /** Times are of one clock that never goes back, in milliseconds. */
  isDue(now: number): boolean {
    return now >= this.#at;
  }

  failed(now: number): void {
    this.#waitMs = Math.min(LAST_MS, this.#waitMs * 2);
    this.#at = now + this.#waitMs;
  }

  /** It is in use. */
  wentWell(now: number): void {
    if (now - this.#at > LAST_MS) this.#waitMs = FIRST_MS / 2;
  }

  /** Another one is the first from now on. */
  begin(): void {
    this.#at = 0;
  }
}
