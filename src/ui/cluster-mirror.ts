/** This process's copy of the records that the agent knows, and the view that follows from them. */
import { ClusterIndex } from '../core/cluster-index.ts';
import type { ClusterView } from '../core/cluster-view.ts';
import { Replica } from '../core/gossip/replica.ts';
import type { EndpointRecord } from '../core/records.ts';
import type { RecordsPart, RecordsRequest } from '../gen/overlayd/v1/control.ts';

/** What a look touched; `all`: the copy was made anew. */
export interface Touch {
  readonly all: boolean;
  readonly nodes: boolean;
  /** Ids of networks whose own record, names, endpoints or addresses may have changed. */
  readonly networks: ReadonlySet<string>;
  /** Records that are shown somewhere now, or no longer: of networks of which somebody has asked. */
  readonly endpoints: ReadonlySet<EndpointRecord>;
}

export type AskRecords = (asked: RecordsRequest, onTold: (part: RecordsPart) => void) => Promise<void>;

const NETWORKS = /^\/overlayd\/v2\/(?:networks|addresses|quarantine|dns|services)\/([^/]+)/;

export class ClusterMirror {
  #replica = new Replica();
  #index = new ClusterIndex(this.#replica, () => true);
  #life = '';
  #revision = 0;

  get view(): ClusterView {
    return this.#index;
  }

  /** What has come since the last time. */
  async look(ask: AskRecords): Promise<Touch> {
    const parts: RecordsPart[] = [];
    await ask({ life: this.#life, after: this.#revision }, (part) => parts.push(part));
    const first = parts.findIndex(({ whole }) => whole);
    const touch = first === -1 ? this.#follow(parts) : this.#beginAnew(parts.slice(first));
    const last = parts.at(-1);
    if (last) {
      this.#life = last.life;
      this.#revision = last.revision;
    }
    return touch;
  }

  #beginAnew(parts: readonly RecordsPart[]): Touch {
    const { revision } = parts.at(-1)!;
    this.#replica = new Replica();
    this.#index = new ClusterIndex(this.#replica, () => true);
    const records = parts.flatMap((part) => part.records).filter(({ value }) => value !== undefined);
    this.#index.apply(this.#replica.mergeSnapshot(revision, records));
    return {
      all: true,
      nodes: true,
      networks: new Set([...this.#index.networks()].map(({ id }) => id)),
      endpoints: new Set(),
    };
  }

  #follow(parts: readonly RecordsPart[]): Touch {
    const networks = new Set<string>();
    const endpoints = new Set<EndpointRecord>();
    let nodes = false;
    for (const { revision, records } of parts) {
      const changes = this.#replica.mergeEvents(revision, records);
      for (const { key } of changes) {
        const [, networkId] = NETWORKS.exec(key) ?? [];
        if (networkId !== undefined) networks.add(networkId);
      }
      const touched = this.#index.apply(changes, (record) => endpoints.add(record));
      nodes ||= touched.nodes;
      for (const id of [...touched.networks, ...touched.endpoints.keys()]) networks.add(id);
    }
    return { all: false, nodes, networks, endpoints };
  }
}
