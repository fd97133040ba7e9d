import type { NamespaceState, Observed, Plan, Scope } from '../core/host-state.ts';

/**
 * What a network's namespace held when a pass found nothing to do there. Until something may have changed it (an event,
 * an audit's finding, our own writes) an attach plans from this and saves the observation; the events of its writes
 * bring the pass that looks again.
 */
export class SeenNetworks {
  readonly #states = new Map<string, NamespaceState>();
  /** Counts what was forgotten: what is forgotten while a pass runs must not come back with its observation. */
  #moment = 0;
  #allForgotten = 0;
  readonly #forgotten = new Map<string, number>();

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

  /** After a pass that asked at `moment`: where it had nothing to do and nothing came in between, what it saw holds. */
  settle({ networks }: Observed, planned: Plan, moment: number): void {
    const changed = (namespace: string) =>
      this.#allForgotten > moment || (this.#forgotten.get(namespace) ?? 0) > moment;
    const written = new Set(planned.stages.flatMap(({ ops }) => ops.map(({ network }) => network)));
    for (const [namespace, state] of networks) {
      if (written.has(namespace) || changed(namespace)) this.#states.delete(namespace);
      else this.#states.set(namespace, state);
    }
    for (const namespace of written) if (namespace !== undefined) this.#states.delete(namespace);
  }

  forget(namespace: string): void {
    this.#forgotten.set(namespace, ++this.#moment);
    this.#states.delete(namespace);
  }

  forgetAll(): void {
    this.#allForgotten = ++this.#moment;
    this.#forgotten.clear();
    this.#states.clear();
  }
}
