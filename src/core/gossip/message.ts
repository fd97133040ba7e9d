/** What members say to each other; `proto/overlayd/v1/gossip.proto` explains each field. Revisions are etcd's. */
export interface GossipMessage {
  readonly from: string;
  readonly digest?: Digest | undefined;
  readonly delta?: Delta | undefined;
  readonly heartbeats: readonly Heartbeat[];
  readonly suspects: readonly string[];
}

export interface Digest {
  readonly complete: number;
  readonly ahead: readonly number[];
}

export interface Delta {
  readonly from: number;
  readonly to: number;
  readonly records: readonly GossipRecord[];
}

export interface GossipRecord {
  readonly key: string;
  readonly revision: number;
  /** Undefined: deleted at `revision`. */
  readonly value?: string | undefined;
}

export interface Heartbeat {
  readonly nodeId: string;
  readonly startedAt: number;
  readonly counter: number;
}
