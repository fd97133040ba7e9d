import type { Obstacle } from '../../core/host-state.ts';

/** What a pass has to look at. */
export interface Marks {
  readonly all: boolean;
  readonly host: boolean;
  /** By network id: whether the agent asked for it, or only an event or an audit. */
  readonly networks: ReadonlyMap<string, boolean>;
  /** The agent asked for `all` or the host. */
  readonly asked: boolean;
}

/** Collects marks until someone takes them. */
export class MarkSet {
  #all = false;
  #host = false;
  #asked = false;
  #networks = new Map<string, boolean>();

  get all(): boolean {
    return this.#all;
  }

  /** Whether the agent asked for some of it. */
  get isAsked(): boolean {
    return this.#asked || [...this.#networks.values()].includes(true);
  }

  /** How many networks are marked by themselves. */
  get networks(): number {
    return this.#networks.size;
  }

  /** `all`, `host`, or a network id. */
  add(what: string, asked: boolean): void {
    if (what === 'all') this.#all = true;
    else if (what === 'host') this.#host = true;
    else this.#networks.set(what, asked || this.#networks.get(what) === true);
    if (what === 'all' || what === 'host') this.#asked ||= asked;
  }

  merge(marks: Marks): void {
    this.#all ||= marks.all;
    this.#host ||= marks.host;
    this.#asked ||= marks.asked;
    for (const [networkId, asked] of marks.networks) this.add(networkId, asked);
  }

  /** Undefined when there is none. */
  take(): Marks | undefined {
    if (!this.#all && !this.#host && this.#networks.size === 0) return undefined;
    const marks = { all: this.#all, host: this.#host, networks: this.#networks, asked: this.#asked };
    this.#all = false;
    this.#host = false;
    this.#asked = false;
    this.#networks = new Map();
    return marks;
  }
}

/**
 * What a pass marked by `marks` left undone, to be tried again, and the host: what stands in the way may be there. `idOf`:
 * network ids by namespace.
 */
export function marksOf(
  obstacles: readonly Obstacle[],
  idOf: ReadonlyMap<string, string>,
  { asked, networks }: Marks,
): Marks {
  const ids = obstacles.flatMap(({ network }) => idOf.get(network ?? '') ?? []);
  const again = ids.map((networkId) => [networkId, asked || networks.get(networkId) === true] as const);
  return { all: false, host: true, networks: new Map(again), asked };
}
