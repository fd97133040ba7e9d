/** What members say to each other; `proto/overlayd/v1/gossip.proto` explains each field. Revisions are etcd's. */
export interface GossipMessage {
  readonly from: string;
  readonly digest?: Digest | undefined;
  readonly delta?: Delta | undefined;
  readonly members: readonly MemberNews[];
  /** Which life of the store the revisions are of. */
  readonly epoch?: string | undefined;
  /** The sender does not reach the store. */
  readonly withoutStore?: boolean | undefined;
  /** For a receiver that does not, or follows an earlier life of it: where it is. */
  readonly store?: StorePlace | undefined;
  readonly relay?: number | undefined;
  /** Where the sender sees the receiver, which is behind NAT. */
  readonly sight?: Sight | undefined;
  /** Of who asks the receiver to send past their relay for so many milliseconds, and of who answers that it does. */
  readonly attemptMs?: number | undefined;
}

export interface StorePlace {
  readonly endpoints: readonly string[];
  readonly caCertificate: string;
  readonly certificate: string;
  readonly key: string;
}

export interface Sight {
  readonly keys: readonly KeySight[];
}

/** `endpoint`: `host:port` from which packets of that WireGuard key come. */
export interface KeySight {
  readonly publicKey: string;
  readonly endpoint: string;
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
  /** What is left of the time for which a member that said farewell at this incarnation is to be awaited. */
  readonly backWithinMs?: number | undefined;
}
