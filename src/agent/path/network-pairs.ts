/**
 * Pairs of a network that is here and a member that has containers on it, and which of them is to be looked at next. They are kept in
 * step: what nothing has changed of costs one question per network, however many members are on it, and what is due is found without
 * the others. Asked for once a second.
 */
import type { ClusterView } from '../../core/cluster-view.ts';
import { DueQueue } from '../../core/due-queue.ts';
import { networkSettings } from '../../core/network-options.ts';
import { type NetworkOutcome, NetworkPath } from '../../core/path/network-path.ts';
import type { NetworkRecord, NodeRecord } from '../../core/records.ts';
import { type Backend, backendOf } from '../../core/underlay.ts';

export interface NetworkPairsDeps {
  readonly view: () => Pick<ClusterView, 'node' | 'network' | 'networks' | 'endpointsOn' | 'moment'>;
  readonly self: () => Pick<NodeRecord, 'id'>;
  /** Networks on which this host has an endpoint. */
  readonly hasOnNetwork: (networkId: string) => boolean;
}

export interface Pair {
  readonly key: string;
  readonly networkId: string;
  readonly nodeId: string;
  readonly path: NetworkPath;
}

/** What a pair is of, as it is now. */
export interface Ends {
  readonly network: NetworkRecord;
  readonly node: NodeRecord;
  readonly backend: Backend;
}

interface OnNetwork {
  readonly network: NetworkRecord;
  readonly moment: number;
  /** MAC of an endpoint, by node id. */
  readonly macs: ReadonlyMap<string, string>;
  readonly backend: Backend;
  readonly betweenContainers: boolean;
}

/** By id of the other member. */
type PairsOf = Map<string, Pair>;

export class NetworkPairs {
  readonly #deps: NetworkPairsDeps;
  readonly #on = new Map<string, OnNetwork>();
  readonly #pairs = new Map<string, { readonly of: OnNetwork; readonly byNode: PairsOf }>();
  /** Of all networks of the cluster, ids by VNI. */
  #ids = new Map<number, string>();
  #count = 0;
  readonly #calm = new DueQueue<Pair>();
  /** Something is to be found out soon. */
  readonly #doubted = new DueQueue<Pair>();
  readonly #lost = new Set<Pair>();

  constructor(deps: NetworkPairsDeps) {
    this.#deps = deps;
  }

  /** How many there were when it was last looked. */
  get count(): number {
    return this.#count;
  }

  /** Those whose packets get lost. */
  get lost(): Iterable<Pair> {
    return this.#lost;
  }

  /** Looks what networks are here, and who is on those that have changed. Returns their VNIs, where another member is on them. */
  sync(): ReadonlySet<number> {
    const { hasOnNetwork, view } = this.#deps;
    const vnis = new Set<number>();
    const ids = new Map<number, string>();
    const here = new Set<string>();
    for (const network of view().networks()) {
      ids.set(network.vni, network.id);
      if (!hasOnNetwork(network.id)) continue;
      here.add(network.id);
      if (this.#syncNetwork(this.on(network)) > 0) vnis.add(network.vni);
    }
    this.#ids = ids;
    for (const id of this.#on.keys()) if (!here.has(id)) this.#on.delete(id);
    for (const [id, { byNode }] of this.#pairs) {
      if (here.has(id)) continue;
      for (const pair of byNode.values()) this.#drop(pair);
      this.#pairs.delete(id);
    }
    return vnis;
  }

  /** Returns how many members are on it. */
  #syncNetwork(on: OnNetwork): number {
    const { self, view } = this.#deps;
    const id = on.network.id;
    const known = this.#pairs.get(id);
    if (known?.of === on) return known.byNode.size;
    const own = self().id;
    const byNode: PairsOf = new Map();
    for (const nodeId of on.betweenContainers ? on.macs.keys() : []) {
      const node = nodeId === own ? undefined : view().node(nodeId);
      if (!node || node.left) continue;
      byNode.set(nodeId, known?.byNode.get(nodeId) ?? this.#add(id, nodeId));
    }
    for (const [nodeId, pair] of known?.byNode ?? []) if (!byNode.has(nodeId)) this.#drop(pair);
    this.#pairs.set(id, { of: on, byNode });
    return byNode.size;
  }

  #add(networkId: string, nodeId: string): Pair {
    const pair = { key: `${networkId} ${nodeId}`, networkId, nodeId, path: new NetworkPath() };
    this.#count += 1;
    this.#calm.put(pair, 0);
    return pair;
  }

  #drop(pair: Pair): void {
    this.#count -= 1;
    for (const queue of [this.#calm, this.#doubted]) queue.delete(pair);
    this.#lost.delete(pair);
  }

  of(networkId: string): Iterable<Pair> {
    return this.#pairs.get(networkId)?.byNode.values() ?? [];
  }

  pair(networkId: string, nodeId: string): Pair | undefined {
    return this.#pairs.get(networkId)?.byNode.get(nodeId);
  }

  /** Undefined: there is no container any more, here or there. */
  ends({ networkId, nodeId }: Pair): Ends | undefined {
    const { hasOnNetwork, view } = this.#deps;
    const [network, node] = [view().network(networkId), view().node(nodeId)];
    if (!network || !node || node.left || !hasOnNetwork(networkId)) return undefined;
    const { backend, macs } = this.on(network);
    return macs.has(nodeId) ? { network, node, backend } : undefined;
  }

  networkOf(vni: number): NetworkRecord | undefined {
    const network = this.#deps.view().network(this.#ids.get(vni) ?? '');
    return network?.vni === vni ? network : undefined;
  }

  /** Who is on a network: found out again when that has changed. */
  on(network: NetworkRecord): OnNetwork {
    const view = this.#deps.view();
    const moment = view.moment(network.id);
    const known = this.#on.get(network.id);
    if (known?.moment === moment && known.network === network) return known;
    const macs = new Map<string, string>();
    for (const { mac, nodeId } of view.endpointsOn(network.id)) if (!macs.has(nodeId)) macs.set(nodeId, mac);
    const settings = networkSettings(network);
    const { betweenContainers } = settings;
    const on = { network, moment, macs, backend: backendOf(settings), betweenContainers };
    this.#on.set(network.id, on);
    return on;
  }

  /** What became of a packet. */
  note(pair: Pair, outcome: NetworkOutcome, size: 'small' | 'large', bytes: number, now: number): void {
    if (this.pair(pair.networkId, pair.nodeId) !== pair) return;
    pair.path.note(outcome, size, bytes, now);
    if (pair.path.isLost) this.#lost.add(pair);
    else this.#lost.delete(pair);
  }

  /** To be looked at then. */
  schedule(pair: Pair, at: number): void {
    if (this.pair(pair.networkId, pair.nodeId) !== pair) return;
    const [into, other] = pair.path.isInDoubt ? [this.#doubted, this.#calm] : [this.#calm, this.#doubted];
    other.delete(pair);
    into.put(pair, at);
  }

  /** Who has waited longest, of those in doubt or of the others: it comes no more until it is scheduled again. */
  take(which: 'doubted' | 'calm', now: number): Pair | undefined {
    return (which === 'doubted' ? this.#doubted : this.#calm).take(now);
  }
}
