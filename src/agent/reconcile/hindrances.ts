/**
 * What stands in the way of the wanted state now, by whose it is: a network's, or the host's own part. One that a pass
 * did not look at stays as it was found. Logged when it changes: what has been said is not said again while it lasts.
 */
import type { Obstacle } from '../../core/host-state.ts';
import type { Logger } from '../../ports/runtime.ts';

/** By a network's namespace; undefined: the host's part. */
export type Whose = string | undefined;

interface Hindrance {
  readonly messages: readonly string[];
  /** Passes in a row that met one. */
  readonly passes: number;
}

export interface HindrancesDeps {
  readonly logger: Logger;
  /** Of the network with that namespace. */
  readonly nameOf: (namespace: string) => string | undefined;
}

export class Hindrances {
  readonly #deps: HindrancesDeps;
  readonly #found = new Map<Whose, Hindrance>();
  #logged = '';

  constructor(deps: HindrancesDeps) {
    this.#deps = deps;
  }

  /** After a pass that looked at `seen`. Returns in how many passes in a row the newest of them has been met. */
  note(obstacles: readonly Obstacle[], seen: (whose: Whose) => boolean): number {
    const now = Map.groupBy(obstacles, ({ network }) => network);
    for (const whose of this.#found.keys()) if (seen(whose) && !now.has(whose)) this.#found.delete(whose);
    let fewest = Number.POSITIVE_INFINITY;
    for (const [whose, each] of now) {
      const passes = (this.#found.get(whose)?.passes ?? 0) + 1;
      this.#found.set(whose, { messages: causesOf(each), passes });
      fewest = Math.min(fewest, passes);
    }
    this.#log();
    return fewest;
  }

  causeOf(whose: Whose): string | undefined {
    return this.#found.get(whose)?.messages[0];
  }

  /** Each cause once, with the name of its network where it is one network's alone. */
  list(): readonly string[] {
    const owners = new Map<string, Whose[]>();
    for (const [whose, { messages }] of this.#found) {
      for (const message of messages) owners.set(message, [...(owners.get(message) ?? []), whose]);
    }
    return [...owners].map(([message, [whose, ...others]]) => {
      const name = whose === undefined || others.length > 0 ? undefined : this.#deps.nameOf(whose);
      return name === undefined ? message : `network ${name}: ${message}`;
    });
  }

  #log(): void {
    const problems = this.list();
    const text = problems.join('\n');
    if (text !== '' && text !== this.#logged)
      this.#deps.logger.warn(
        { event: 'kernel-refused', problems },
        'the kernel could not be brought to the wanted state, trying again',
      );
    this.#logged = text;
  }
}

/** The first is the cause, what failed after it in most cases its consequence; endpoints have causes of their own. */
function causesOf(obstacles: readonly Obstacle[]): readonly string[] {
  const whole = obstacles.find(({ endpointId }) => endpointId === undefined);
  const firsts = whole
    ? [whole]
    : [...Map.groupBy(obstacles, ({ endpointId }) => endpointId).values()].map(([first]) => first!);
  return [...new Set(firsts.map(({ error }) => error.message))];
}
