import type { ClusterView } from '../../core/cluster-view.ts';
import type { Desired, Obstacle, Plan } from '../../core/host-state.ts';
import { namespaceOf } from '../../core/plan/naming.ts';

/** Networks that were wanted, and are not known yet to be taken apart. */
export class KnownNetworks {
  readonly #view: () => Pick<ClusterView, 'network'>;
  /** By network id. */
  readonly #namespaces = new Map<string, string>();
  /** The same the other way round. */
  readonly #ids = new Map<string, string>();

  constructor(view: () => Pick<ClusterView, 'network'>) {
    this.#view = view;
  }

  /** Their ids, by namespace. */
  get ids(): ReadonlyMap<string, string> {
    return this.#ids;
  }

  idOf(namespace: string): string | undefined {
    return this.#ids.get(namespace);
  }

  nameOf(namespace: string): string | undefined {
    return this.#view().network(this.#ids.get(namespace) ?? '')?.name;
  }

  /** Also of one that was never wanted. */
  namespaceOf(networkId: string): string | undefined {
    const vni = this.#view().network(networkId)?.vni;
    return this.#namespaces.get(networkId) ?? (vni === undefined ? undefined : namespaceOf(vni));
  }

  note({ networks }: Pick<Desired, 'networks'>): void {
    for (const { networkId, namespace } of networks) {
      this.#namespaces.set(networkId, namespace);
      this.#ids.set(namespace, networkId);
    }
  }

  /** After the plan was carried out. Returns ids of those that are taken apart, which are not known any more. */
  settle(wanted: Desired, { stages }: Plan, obstacles: readonly Obstacle[]): string[] {
    const broken = new Set(obstacles.map(({ network }) => network));
    const removed = new Set(
      stages.flatMap(({ ops }) => ops.flatMap(({ op }) => (op.kind === 'delete-namespace' ? [op.name] : []))),
    );
    const gone = [...this.#namespaces].filter(
      ([, namespace]) => removed.has(namespace) && !wanted.namespaces.has(namespace) && !broken.has(namespace),
    );
    for (const [networkId, namespace] of gone) {
      this.#namespaces.delete(networkId);
      this.#ids.delete(namespace);
    }
    return gone.map(([networkId]) => networkId);
  }
}
