/** What members say to each other; `proto/overlayd/v1/gossip.proto` explains each field. Revisions are etcd's. */
export interface GossipMessage {
  readonly from: string;
  readonly digest?: Digest | undefined;
  readonly delta?: Delta | undefined;
  readonly members: readonly MemberNews[];
  readonly relay?: number | undefined;
}

export interface Digest {
  readonly completeTo: number;
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

export interface MemberNews {
  readonly nodeId: string;
  /** Of the agent's run, milliseconds since the epoch. */
  readonly startedAt: number;
  /** Raised by the member itself when it hears that it is accused. */
  readonly incarnation: number;
  /** Members that asked it in vain at this incarnation. */
  readonly accusers: readonly string[];
}
