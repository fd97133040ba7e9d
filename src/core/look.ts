/** What a host is asked to look at of a network of its own, and what it says: `proto/overlayd/v1/look.proto`. */

export interface Look {
  /** Ids; empty: of none. */
  readonly network: string;
  readonly endpoint: string;
  readonly pathTo: string;
  readonly name: { readonly name: string; readonly type: string } | undefined;
  /** Address to which a packet is sent from inside of the endpoint's container; empty: to none. */
  readonly reach: string;
}

export interface SeenThing {
  /** `container`, `data path`, `names`, `packet`. */
  readonly name: string;
  readonly outcome: 'ok' | 'problem' | 'skipped';
  /** What was seen, or why it was skipped. */
  readonly detail: string;
}

export interface NameAnswer {
  readonly type: string;
  readonly ttlSeconds: number;
  /** As zone files have it. */
  readonly value: string;
}

export interface NameReply {
  /** `NOERROR`, `NXDOMAIN`, … */
  readonly code: string;
  readonly answers: readonly NameAnswer[];
  readonly tookMs: number;
  /** host:port of the responder. */
  readonly from: string;
}

export interface Seen {
  readonly things: readonly SeenThing[];
  /** Undefined: nothing was asked, or nobody answered. */
  readonly name: NameReply | undefined;
}
