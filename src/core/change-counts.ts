/**
 * How often endpoints of a network, and members, have changed: two equal moments of a network mean that what is made of its
 * endpoints need not be made again.
 */
export class ChangeCounts {
  readonly #selfId: string;
  readonly #networks = new Map<string, { readonly all: number; readonly others: number }>();
  #nodes = 0;
  /** Where the count of a network begins: above all that one of the same id had before. */
  #floor = 0;

  constructor(selfId: string) {
    this.#selfId = selfId;
  }

  /** `nodeIds`: whose endpoints they are; undefined: anybody's. */
  noteEndpoints(networkId: string, nodeIds?: ReadonlySet<string>): void {
    const { all, others } = this.#networks.get(networkId) ?? { all: this.#floor, others: this.#floor };
    const isOwn = nodeIds?.size === 1 && nodeIds.has(this.#selfId);
    this.#networks.set(networkId, { all: all + 1, others: isOwn ? others : others + 1 });
  }

  noteNodes(): void {
    this.#nodes += 1;
  }

  forget(networkId: string): void {
    this.#floor = Math.max(this.#floor, (this.#networks.get(networkId)?.all ?? 0) + 1);
    this.#networks.delete(networkId);
  }

  /** As of `ClusterView.moment`. */
  moment(networkId: string): number {
    return this.#nodes + (this.#networks.get(networkId)?.all ?? this.#floor);
  }

  /** As of `ClusterView.momentOfOthers`. */
  momentOfOthers(networkId: string): number {
    return this.#nodes + (this.#networks.get(networkId)?.others ?? this.#floor);
  }
}
