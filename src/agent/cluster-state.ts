/** The replica and the view derived from it, with the one place that is told what a change touched. */
import { ClusterIndex, type Touched } from '../core/cluster-index.ts';
import type { ClusterView } from '../core/cluster-view.ts';
import type { Delta, Digest, GossipRecord } from '../core/gossip/message.ts';
import { type RecordChange, Replica } from '../core/gossip/replica.ts';
import type { ClusterStore, Logger } from '../ports.ts';

export interface StateChange extends Touched {
  /** The view became whole with this change: what is not in it does not exist. */
  readonly becameWhole: boolean;
}

export interface ClusterStateDeps {
  readonly logger: Logger;
  readonly onChange: (change: StateChange) => void;
}

export class ClusterState {
  readonly #deps: ClusterStateDeps;
  readonly #replica = new Replica();
  readonly #index = new ClusterIndex(this.#replica);

  constructor(deps: ClusterStateDeps) {
    this.#deps = deps;
  }

  get view(): ClusterView {
    return this.#index;
  }

  /** Revision of a key's last known write; undefined when it does not exist. */
  revisionOf(key: string): number | undefined {
    return this.#replica.get(key)?.revision;
  }

  records(): Iterable<{ readonly key: string; readonly value: string; readonly revision: number }> {
    return this.#replica.records();
  }

  digest(): Digest {
    return this.#replica.digest();
  }

  delta(digest: Digest, budgetBytes: number): Delta | undefined {
    return this.#replica.delta(digest, budgetBytes);
  }

  merge(records: Iterable<GossipRecord>): void {
    this.#change(() => this.#replica.merge(records));
  }

  mergeDelta(delta: Delta, senderComplete: number): void {
    this.#change(() => this.#replica.mergeDelta(delta, senderComplete));
  }

  mergeSnapshot(revision: number, records: Iterable<GossipRecord>): void {
    this.#change(() => this.#replica.mergeSnapshot(revision, records));
  }

  mergeEvents(revision: number, records: Iterable<GossipRecord>): void {
    this.#change(() => this.#replica.mergeEvents(revision, records));
  }

  /** Reads what lies below a prefix from etcd now: for a request that must not miss what another node just did. */
  async read(store: ClusterStore, prefix: string): Promise<void> {
    const { entries } = await store.list(prefix);
    this.merge(entries);
  }

  #change(merge: () => RecordChange[]): void {
    const wasWhole = this.#replica.whole;
    const changes = merge();
    const becameWhole = !wasWhole && this.#replica.whole;
    if (changes.length === 0 && !becameWhole) return;
    const touched = this.#index.apply(changes);
    if (touched.refused.length > 0) {
      this.#deps.logger.error({ keys: touched.refused.slice(0, 10) }, 'records that cannot be read are ignored');
    }
    this.#deps.onChange({ ...touched, becameWhole });
  }
}
