/**
 * Pools between the engine's request for one and the network that it makes of it. Nothing is claimed before that
 * network is made, in one transaction; a pool that is not used leaves nothing.
 */
import type { Clock } from '../../ports/runtime.ts';

export interface OpeningPool {
  /** Name of the cluster's network; undefined when it is still to be said. */
  readonly network: string | undefined;
  /** CIDR: the network's subnet, or a placeholder. */
  readonly cidr: string;
  readonly gateway: string;
  /** The user named the subnet. */
  readonly asked: boolean;
  /** CIDR: the user's `--ip-range`. */
  readonly subPool: string | undefined;
  /** False: the network is to be made with it. */
  readonly exists: boolean;
}

/** An engine makes the network right after, or gives the pool back. */
const OPEN_MS = 60_000;

export class OpeningPools {
  readonly #clock: Pick<Clock, 'elapsed'>;
  readonly #pools = new Map<OpeningPool, number>();

  constructor(clock: Pick<Clock, 'elapsed'>) {
    this.#clock = clock;
  }

  add(pool: OpeningPool): void {
    this.#pools.set(pool, this.#clock.elapsed());
  }

  all(): OpeningPool[] {
    const oldest = this.#clock.elapsed() - OPEN_MS;
    for (const [pool, at] of this.#pools) if (at < oldest) this.#pools.delete(pool);
    return [...this.#pools.keys()];
  }

  find(cidr: string): OpeningPool | undefined {
    return this.all().find((pool) => pool.cidr === cidr);
  }

  /** One of them, should the same be open more than once. */
  close(cidr: string): void {
    const pool = this.find(cidr);
    if (pool) this.#pools.delete(pool);
  }
}
