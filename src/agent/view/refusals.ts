/** What is not believed of what nodes write (`ClusterView.refusals`): told once in the log, and in `status` as long as it stands. */
import type { ClusterView, Refusal } from '../../core/cluster-view.ts';
import type { Logger } from '../../ports/runtime.ts';

export interface RefusalsDeps {
  readonly view: () => Pick<ClusterView, 'refusals' | 'node'>;
  readonly logger: Logger;
}

export class Refusals {
  readonly #deps: RefusalsDeps;
  #told: ReadonlySet<string> = new Set();

  constructor(deps: RefusalsDeps) {
    this.#deps = deps;
  }

  /** The view may have changed. */
  look(): void {
    const { refusals } = this.#deps.view();
    if (refusals.length === 0 && this.#told.size === 0) return;
    const told = new Set<string>();
    for (const refusal of refusals) {
      const { key, nodeId, what } = refusal;
      const text = `${key} ${what}`;
      told.add(text);
      if (this.#told.has(text)) continue;
      const event = { event: 'record-refused', key, node: this.#nameOf(nodeId), nodeId, what } as const;
      this.#deps.logger.warn(event, 'a node wrote what it may not: it is not believed');
    }
    this.#told = told;
  }

  /** One line for each node. */
  problems(): string[] {
    const byNode = Map.groupBy(this.#deps.view().refusals, ({ nodeId }) => nodeId);
    return [...byNode].map(([nodeId, all]) => this.#describe(nodeId, all));
  }

  #describe(nodeId: string, [first, ...more]: readonly Refusal[]): string {
    const others = more.length === 0 ? '' : ` (and ${more.length} more of that kind)`;
    const name = this.#nameOf(nodeId);
    return `node ${name} ${first!.what}${others}; it is not believed: find out what runs there, and \`overlayd node rm --force ${name}\` if it is not yours`;
  }

  #nameOf(nodeId: string): string {
    return this.#deps.view().node(nodeId)?.name ?? nodeId.slice(0, 12);
  }
}
