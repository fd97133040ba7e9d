/** The way back to the first endpoint of the list, while another one is in use: it is opened now and then, and used where it serves. */
import type { Clock } from '../../ports/runtime.ts';
import { ReturnTime } from './return-time.ts';

export interface WayBackDeps<Link> {
  readonly clock: Pick<Clock, 'elapsed'>;
  readonly first: () => string;
  /** Rejects where it does not serve. */
  readonly open: (endpoint: string) => Promise<Link>;
  /** `first`: what it was opened to. */
  readonly take: (opened: Link, first: string) => void;
}

export class WayBack<Link> {
  readonly #deps: WayBackDeps<Link>;
  readonly #time = new ReturnTime();
  #isOpening = false;

  constructor(deps: WayBackDeps<Link>) {
    this.#deps = deps;
  }

  /** Another endpoint is the first from now on. */
  begin(): void {
    this.#time.begin();
  }

  /** The endpoint was given up. */
  failed(endpoint: string): void {
    const { clock, first } = this.#deps;
    if (endpoint === first()) this.#time.failed(clock.elapsed());
  }

  /** The endpoint, which is in use, was heard. */
  heard(endpoint: string): void {
    const { clock, open, take } = this.#deps;
    const first = this.#deps.first();
    const now = clock.elapsed();
    if (endpoint === first) this.#time.wentWell(now);
    if (endpoint === first || this.#isOpening || !this.#time.isDue(now)) return;
    this.#isOpening = true;
    open(first)
      .then((opened) => take(opened, first))
      .catch(() => this.#time.failed(clock.elapsed()))
      .finally(() => {
        this.#isOpening = false;
      });
  }
}
