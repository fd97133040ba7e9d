/**
 * What the page (`src/page`) is told by the process that serves it (`src/ui`): a state once, then what changed of it. Times are
 * milliseconds since the epoch, sizes bytes. Every row has an id of its kind; a change replaces whole rows.
 */

export interface HostRow {
  readonly id: string;
  readonly name: string;
  /** By which members reach it. */
  readonly address: string;
  /** The one whose agent tells all this. */
  readonly self: boolean;
  readonly left: boolean;
  /** Of its agent; empty: it does not say. */
  readonly version: string;
  /** `keeper`, `copy` of the store; empty: neither. */
  readonly store: '' | 'keeper' | 'copy';
  readonly nat: boolean;
  readonly mtu: number;
  readonly joinedAt: number;
  readonly labels: Readonly<Record<string, string>>;
}

export type ControlState = 'ready' | 'restarting' | 'suspect' | 'down';
export type PathState = 'unknown' | 'passes' | 'loses' | 'lost';

/** Of the path from the host that tells to another one; its id is the other's. */
export interface PathRow {
  readonly id: string;
  readonly control: ControlState;
  readonly path: PathState;
  readonly lossPercent: number;
  /** Rounded; 0: nothing came back yet. */
  readonly roundTripMs: number;
  /** Of the largest packet inside that came back; 0: not known. */
  readonly mtu: number;
  /** Of the state or the MTU; 0: never. */
  readonly changedAt: number;
  /** In words, what is wrong with the WireGuard tunnel; empty: nothing. Absent: there is no tunnel. */
  readonly tunnel?: string;
}

export interface SubnetRow {
  readonly cidr: string;
  readonly gateway: string;
  /** What automatic choice is limited to; empty: nothing. */
  readonly range: string;
  readonly total: number;
  readonly used: number;
  readonly reserved: number;
  readonly quarantined: number;
  readonly kept: number;
  readonly free: number;
}

export interface NetworkRow {
  readonly id: string;
  readonly name: string;
  readonly vni: number;
  readonly deleting: boolean;
  readonly internal: boolean;
  readonly encrypted: boolean;
  readonly mtu: number;
  readonly subnets: readonly SubnetRow[];
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  readonly createdAt: number;
  /** Static names and services, as text. */
  readonly names: readonly string[];
}

export interface EndpointRow {
  readonly id: string;
  /** Ids. */
  readonly network: string;
  readonly host: string;
  readonly name: string;
  readonly aliases: readonly string[];
  readonly addresses: readonly string[];
  readonly mac: string;
  /** What asked for it: `docker`, `netns`, …; empty: not known. */
  readonly tool: string;
  readonly unhealthy: boolean;
  /** As text, e.g. `80/tcp http`. */
  readonly ports: readonly string[];
}

export interface FindingRow {
  readonly code: string;
  /** Empty: the host that tells. */
  readonly subject: string;
  readonly text: string;
  readonly mend: string;
  readonly since: number;
}

export interface Overview {
  readonly cluster: string;
  /** Name of the host that tells. */
  readonly host: string;
  readonly version: string;
  /** As `overlayd status` says: `waiting`, `starting`, `ready`, `degraded`. */
  readonly state: string;
  /** Why the agent cannot be asked, and what is shown is of before; empty: it can. */
  readonly away: string;
  /** Whether this page may repair. */
  readonly writable: boolean;
  readonly level: number;
  readonly storeReachable: boolean;
  readonly keepers: readonly string[];
  readonly keepersWanted: number;
  readonly encryption: string;
  readonly repairs: number;
  readonly findings: readonly FindingRow[];
}

export interface Rows {
  readonly hosts: HostRow;
  readonly paths: PathRow;
  readonly networks: NetworkRow;
  readonly endpoints: EndpointRow;
}

export type Kind = keyof Rows;
export const KINDS: readonly Kind[] = ['hosts', 'paths', 'networks', 'endpoints'];

export type ClusterState = {
  /** Of what is told; a state of another `run` has nothing to do with it. */
  readonly run: string;
  readonly revision: number;
  readonly overview: Overview;
} & { readonly [K in Kind]: readonly Rows[K][] };

export interface RowChange<T> {
  readonly put?: readonly T[];
  /** Ids. */
  readonly gone?: readonly string[];
}

export type ClusterChange = { readonly revision: number; readonly overview?: Overview } & {
  readonly [K in Kind]?: RowChange<Rows[K]>;
};

/** An event of `overlayd events` (docs/events.md). */
export interface EventRow {
  readonly id: string;
  readonly at: number;
  readonly host: string;
  readonly type: string;
  readonly level: string;
  readonly message: string;
  /** As text, e.g. `network=web`. */
  readonly fields: readonly string[];
}

/** Of the walk from one endpoint to another. */
export interface ReachStep {
  readonly name: string;
  /** Name of the host on which it was looked at; empty: the records of the cluster say it. */
  readonly host: string;
  readonly outcome: 'ok' | 'problem' | 'skipped';
  /** What was seen, or why it was skipped. */
  readonly detail: string;
}

export interface Walk {
  readonly steps: readonly ReachStep[];
}

export interface NameAnswered extends Pick<ReachStep, 'outcome' | 'detail'> {
  /** Absent: nobody answered. */
  readonly reply?: {
    readonly code: string;
    /** host:port. */
    readonly from: string;
    readonly answers: readonly { readonly type: string; readonly ttlSeconds: number; readonly value: string }[];
  };
}

/** As `overlayd drift` tells it. */
export interface DriftRow {
  readonly id: string;
  readonly host: string;
  /** Empty: the host's own part. */
  readonly network: string;
  readonly kind: string;
  readonly object: string;
  /** `missing`, `wrong`, `extra`. */
  readonly state: string;
  readonly detail: string;
  readonly why: string;
  readonly since: number;
  /** Why it cannot be put right; empty: nothing stands in the way. */
  readonly hindered: string;
}

export interface DriftLooked {
  readonly differs: readonly DriftRow[];
  /** What was put right by this look. */
  readonly repaired: readonly DriftRow[];
  /** Hosts that did not answer, with why. */
  readonly away: readonly string[];
  /** How many hosts answered. */
  readonly answered: number;
  /** So much more differs than is listed. */
  readonly leftOut: number;
}
