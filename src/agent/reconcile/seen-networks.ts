import type { DesiredNetwork, NamespaceState, Observed, OpFailure, Plan, Scope } from '../../core/host-state.ts';
import type { RowEvent } from '../../core/kernel-change.ts';
import { withRowEvents } from './row-events.ts';

/** More are not kept: they have another look made. */
const MOST_MISSED = 256;

/**
 * What a network's namespace held when a pass found nothing to do there, or did all that was to be done. Until something
 * may have changed it (an event, an audit's finding) a pass plans from this and saves the observation: of a thousand ports
 * and thousands of rows, one that changes costs one. An event of a row puts right what is known. Other events of our writes
 * bring the pass that looks again. Until then they are not told from others, so after something was written such an event
 * alone does not end what is known; the look does.
 */
export class SeenNetworks {
  readonly #states = new Map<string, NamespaceState>();
  /** Counts what was forgotten: what is forgotten while a pass runs must not come back with its observation. */
  #moment = 0;
  #allForgotten = 0;
  readonly #forgotten = new Map<string, number>();
  readonly #stirred = new Map<string, number>();
  /** By namespace: rows that became the kernel's own during a pass, while it was not known what they were; of the last so many and one. */
  readonly #missed = new Map<string, RowEvent[]>();
  /** Namespaces whose state is in part what was written, not what was seen. */
  readonly #written = new Set<string>();

  /** Of a thousand ports hardly ever one is not known to be there. */
  unseenPorts({ namespace, ports }: DesiredNetwork): Scope['ports'] {
    const links = this.#states.get(namespace)?.links;
    const unseen = links ? ports.filter(({ link }) => links.get(link)?.kind !== 'veth') : ports;
    return unseen.map(({ link, endpoint }) => ({ namespace, link, container: endpoint.container }));
  }

  /** What is known of the networks of `scope`, the scope that is left to observe, and the moment of asking. */
  recall(scope: Scope): {
    readonly known: ReadonlyMap<string, NamespaceState>;
    readonly rest: Scope;
    readonly moment: number;
  } {
    // The pass sees what came before it.
    this.#missed.clear();
    const known = new Map<string, NamespaceState>();
    for (const namespace of scope.networks) {
      const state = this.#states.get(namespace);
      if (state) known.set(namespace, state);
    }
    const rest = {
      ...scope,
      networks: scope.networks.filter((namespace) => !known.has(namespace)),
    };
    return { known, rest, moment: this.#moment };
  }

  /**
   * After a pass that asked at `moment`: where it had nothing to do and nothing came in between, what it saw holds; where
   * all that it wrote was taken, the plan's outcome. Returns namespaces that are to be looked at once more: a row that it saw
   * is the kernel's own by now.
   */
  settle(
    { networks }: Observed,
    planned: Plan,
    moment: number,
    failures: readonly OpFailure[] = [],
  ): readonly string[] {
    const since = (moments: ReadonlyMap<string, number>, namespace: string) => (moments.get(namespace) ?? 0) > moment;
    const written = new Set(planned.stages.flatMap((stage) => stage.ops.map(({ network }) => network)));
    const failed = new Set(failures.map((failure) => failure.planned.network));
    const touched = [...written].filter((namespace) => namespace !== undefined);
    const again: string[] = [];
    for (const namespace of new Set([...networks.keys(), ...touched])) {
      const state = networks.get(namespace);
      const outcome = planned.outcomes?.get(namespace);
      if (this.#allForgotten > moment || since(this.#forgotten, namespace)) this.#drop(namespace);
      else if (this.#hasMissed(namespace, state ?? outcome)) {
        this.#drop(namespace);
        again.push(namespace);
      } else if (!written.has(namespace) && state && !since(this.#stirred, namespace))
        this.#states.set(namespace, planned.settled?.get(namespace) ?? state);
      else if (written.has(namespace) && outcome && !failed.has(namespace)) {
        this.#states.set(namespace, outcome);
        this.#written.add(namespace);
      } else this.#drop(namespace);
    }
    return again;
  }

  /**
   * Events came that tell of single rows. `agrees`: that is known already. `corrected`: what is known has been put right by
   * them. `unknown`: only a look tells.
   */
  correct(namespace: string, events: readonly RowEvent[]): 'agrees' | 'corrected' | 'unknown' {
    const state = this.#states.get(namespace);
    const now = state && withRowEvents(state, events);
    if (!now) return 'unknown';
    if (now === state) return 'agrees';
    // A pass that began before that ends with what it knew then.
    this.#forgotten.set(namespace, ++this.#moment);
    this.#states.set(namespace, now);
    return 'corrected';
  }

  /** An event of the network came; it may be of our own writing. Whoever takes it sees to a look, which begins with `forget`. */
  stir(namespace: string): void {
    if (this.#written.has(namespace)) return;
    this.#stirred.set(namespace, ++this.#moment);
    this.#states.delete(namespace);
  }

  /** Rows became the kernel's own. Those of links that are not known in a namespace that is are none of its rows. */
  miss(namespace: string, rows: readonly RowEvent[]): void {
    if (this.#states.has(namespace)) return;
    const missed = this.#missed.get(namespace) ?? [];
    this.#missed.set(namespace, [...missed, ...rows].slice(0, MOST_MISSED + 1));
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

  #hasMissed(namespace: string, state: NamespaceState | undefined): boolean {
    const missed = state ? (this.#missed.get(namespace) ?? []) : [];
    return missed.length > MOST_MISSED || missed.some((event) => state && withRowEvents(state, [event]) !== state);
  }

  #drop(namespace: string): void {
    this.#states.delete(namespace);
    this.#written.delete(namespace);
  }
}

/** There is nothing to look at. */
export function isNothing({ host, networks, containers, ports }: Scope): boolean {
  return !host && networks.length + containers.length + ports.length === 0;
}
