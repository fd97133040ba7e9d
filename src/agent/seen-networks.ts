import type { NamespaceState, Observed, Op, OpFailure, Plan, Scope } from '../core/host-state.ts';

/**
 * What a network's namespace held when a pass found nothing to do there, or wrote nothing but rows. Until something may
 * have changed it (an event, an audit's finding, other writes of ours) a pass plans from this and saves the observation:
 * of thousands of rows, one that changes costs one. The events of our writes bring the pass that looks again. Until then
 * they are not told from others, so after rows were written an event alone does not end what is known; the look does.
 */
export class SeenNetworks {
  readonly #states = new Map<string, NamespaceState>();
  /** Counts what was forgotten: what is forgotten while a pass runs must not come back with its observation. */
  #moment = 0;
  #allForgotten = 0;
  readonly #forgotten = new Map<string, number>();
  readonly #stirred = new Map<string, number>();
  /** Namespaces whose state is in part what was written, not what was seen. */
  readonly #written = new Set<string>();

  /** What is known of the networks of `scope`, the scope that is left to observe, and the moment of asking. */
  recall(scope: Scope): {
    readonly known: ReadonlyMap<string, NamespaceState>;
    readonly rest: Scope;
    readonly moment: number;
  } {
    const known = new Map<string, NamespaceState>();
    for (const namespace of scope.networks) {
      const state = this.#states.get(namespace);
      if (state) known.set(namespace, state);
    }
    const rest = {
      ...scope,
      networks: scope.networks.filter((namespace) => !known.has(namespace)),
      ports: scope.ports.filter(({ namespace }) => !known.has(namespace)),
    };
    return { known, rest, moment: this.#moment };
  }

  /**
   * After a pass that asked at `moment`: where it had nothing to do and nothing came in between, what it saw holds; where
   * it wrote rows alone, what it saw and wrote.
   */
  settle({ networks }: Observed, planned: Plan, moment: number, failures: readonly OpFailure[] = []): void {
    const since = (moments: ReadonlyMap<string, number>, namespace: string) => (moments.get(namespace) ?? 0) > moment;
    const ops = Map.groupBy(
      planned.stages.flatMap((stage) => stage.ops),
      ({ network }) => network,
    );
    const failed = new Set(failures.map((failure) => failure.planned.network));
    for (const [namespace, state] of networks) {
      const written = ops.get(namespace);
      const rows = planned.rows?.get(namespace);
      if (this.#allForgotten > moment || since(this.#forgotten, namespace)) this.#drop(namespace);
      else if (!written) {
        if (since(this.#stirred, namespace)) this.#drop(namespace);
        else this.#states.set(namespace, state);
      } else if (rows && !failed.has(namespace) && written.every(({ op }) => isOfRow(op))) {
        this.#states.set(namespace, { ...state, neighbours: rows.neighbours, fdb: rows.fdb });
        this.#written.add(namespace);
      } else this.#drop(namespace);
    }
    for (const namespace of ops.keys()) {
      if (namespace !== undefined && !networks.has(namespace)) this.#drop(namespace);
    }
  }

  /** An event of the network came; it may be of our own writing. Whoever takes it sees to a look, which begins with `forget`. */
  stir(namespace: string): void {
    if (this.#written.has(namespace)) return;
    this.#stirred.set(namespace, ++this.#moment);
    this.#states.delete(namespace);
  }

  forget(namespace: string): void {
    this.#forgotten.set(namespace, ++this.#moment);
    this.#drop(namespace);
  }

  forgetAll(): void {
    this.#allForgotten = ++this.#moment;
    this.#forgotten.clear();
    this.#stirred.clear();
    this.#states.clear();
    this.#written.clear();
  }

  #drop(namespace: string): void {
    this.#states.delete(namespace);
    this.#written.delete(namespace);
  }
}

function isOfRow({ kind }: Op): boolean {
  return kind === 'set-neighbour' || kind === 'delete-neighbour' || kind === 'set-fdb' || kind === 'delete-fdb';
}
