/** The cluster's store, etcd: what is kept in it, how to reach it, the bundled server. */
import type { StorePermission } from '../core/store-rights.ts';
import type { TlsMaterial } from './identity.ts';

export interface StoreEntry {
  readonly key: string;
  readonly value: string;
  /** Revision of the last write of this key (etcd `mod_revision`). */
  readonly revision: number;
}

export type Compare =
  | { readonly kind: 'absent'; readonly key: string }
  | { readonly kind: 'exists'; readonly key: string }
  | { readonly kind: 'revision'; readonly key: string; readonly revision: number }
  /** No key with this prefix exists; with `after`: none that was written after that revision. */
  | { readonly kind: 'empty'; readonly prefix: string; readonly after?: number };

export type Write =
  | { readonly kind: 'put'; readonly key: string; readonly value: string; readonly lease?: string }
  | { readonly kind: 'delete'; readonly key: string }
  | { readonly kind: 'delete-prefix'; readonly prefix: string };

export interface TxnResult {
  readonly succeeded: boolean;
  /** Revision of the store after the transaction; that of its writes when it succeeded. */
  readonly revision: number;
  /** Keys that `delete-prefix` deleted, whole and in no order. */
  readonly deleted: readonly string[];
}

export type WatchUpdate =
  /**
   * Everything below the prefix at `revision`; whatever is not in it does not exist. Comes first, and again after a gap. The
   * reader takes the entries out: whoever handed them on may hold the update until there is another one.
   */
  | { readonly kind: 'snapshot'; readonly revision: number; readonly entries: StoreEntry[] }
  /** All changes up to `revision`, in order; none when it only reports progress. `value` undefined means deleted. */
  | {
      readonly kind: 'events';
      readonly revision: number;
      readonly events: readonly (Omit<StoreEntry, 'value'> & { readonly value: string | undefined })[];
    }
  /** The store stopped answering; the iterable goes on and delivers again when it does. */
  | { readonly kind: 'stalled' };

/**
 * etcd v3, as much as we use of it. Calls fail within seconds with `store-unavailable` (retryable; a transaction may
 * then have happened or not) or `store-failed`. No locks, no elections.
 */
export interface ClusterStore {
  get(key: string): Promise<StoreEntry | undefined>;
  list(prefix: string): Promise<{ readonly revision: number; readonly entries: readonly StoreEntry[] }>;
  /** All compares hold: writes happen at one revision. Otherwise nothing happens. At most 128 writes. */
  txn(compares: readonly Compare[], writes: readonly Write[]): Promise<TxnResult>;
  watch(prefix: string, signal: AbortSignal): AsyncIterable<WatchUpdate>;
  /** A lease that nobody keeps alive: its keys go after `ttlSeconds`. */
  grantLease(ttlSeconds: number): Promise<string>;
  /**
   * Holds `key` = `value` under a lease that is kept alive, and puts both back when the lease is lost: an event loop that
   * stalls for two thirds of the lease may lose it. Ends without revoking when the signal aborts.
   */
  keepLive(key: string, value: string, ttlSeconds: number, signal: AbortSignal): Promise<void>;
}

/** One of etcd's members, as etcd says. */
export interface StoreMember {
  /** 16 hex digits. */
  readonly id: string;
  /** Empty: its etcd has not started yet. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly isLearner: boolean;
}

/**
 * etcd's membership (`etcdserverpb.Cluster`). Errors as of {@link ClusterStore}; what is so already is no error, so that every
 * call may be made again.
 */
export interface StoreMembership {
  members(): Promise<readonly StoreMember[]>;
  addLearner(peerUrl: string): Promise<StoreMember>;
  /** False: it has not caught up yet. */
  promote(memberId: string): Promise<boolean>;
  remove(memberId: string): Promise<void>;
  /** Where the others reach it from now on. */
  move(memberId: string, peerUrl: string): Promise<void>;
  /** Away from the member that leads, if it is this one. */
  handOver(memberId: string, to: string): Promise<void>;
}

/** What one member says of itself (`etcdserverpb.Maintenance/Status`). */
export interface StoreMemberStatus {
  readonly memberId: string;
  /** It tells root alone what follows, which is empty here: 3.5.28 to 3.5.31, and releases of then. It has a leader. */
  readonly hidden?: true;
  readonly version: string;
  /** Bytes of its file, and of these in use. */
  readonly dbSize: number;
  readonly dbSizeInUse: number;
  /** Empty: it knows of none. */
  readonly leaderId: string;
  readonly isLearner: boolean;
  readonly raftIndex: number;
  readonly raftAppliedIndex: number;
  /** Kinds of alarms, e.g. `NOSPACE`. */
  readonly alarms: readonly string[];
}

/**
 * etcd's users and roles (`etcdserverpb.Auth`). A user has no password: it is whoever has a certificate whose CN is its name.
 * Errors as of {@link ClusterStore}; what is so already is no error and writes nothing, so that every call may be made again. Once
 * they are in force, they are for users that have the role `root` alone.
 */
export interface StoreUsers {
  /** In no order. */
  users(): Promise<readonly string[]>;
  roles(): Promise<readonly string[]>;
  /** With these roles and no others. */
  ensureUser(name: string, roles: readonly string[]): Promise<void>;
  removeUser(name: string): Promise<void>;
  /** With these permissions and no others. */
  ensureRole(name: string, permissions: readonly StorePermission[]): Promise<void>;
  removeRole(name: string): Promise<void>;
  /** From now on etcd asks who somebody is. It wants a user `root` that has the role `root`. */
  enable(): Promise<void>;
  disable(): Promise<void>;
}

/** What keepers look after in etcd (`etcdserverpb.Maintenance`, `KV/Compact`). Errors as of {@link ClusterStore}. */
export interface StoreMaintenance {
  /** Of the member that serves at this URL, whoever else is asked otherwise. */
  memberStatus(endpoint: string): Promise<StoreMemberStatus>;
  /** Gives what is free of the member's file back to the disk. It answers nothing else meanwhile: seconds, of a large file more. */
  defragment(endpoint: string): Promise<void>;
  /** History before this revision goes; resolves when it is gone. */
  compact(revision: number): Promise<void>;
  /** Takes `NOSPACE` back from all members. etcd raises it again at the next write if there is still no room. */
  disarm(): Promise<void>;
}

export interface StoreStatus {
  /** Whether the last call or watch message went well. */
  readonly reachable: boolean;
  readonly endpoints: readonly string[];
  /** Highest revision seen; 0 before the first answer. */
  readonly revision: number;
  /** Since it does not answer: in words, when a certificate is not valid by somebody's clock. */
  readonly clockProblem?: string | undefined;
  /** Why it refuses what is asked of it, and what to do; undefined while it does not. */
  readonly refusal?: string | undefined;
}

/** This host's member of the bundled etcd. */
export interface EtcdServerSettings {
  /** etcd's name of the member: the node's id. */
  readonly name: string;
  /** Where clients and the other members reach it: ports 2379 and 2380 of this address. One that has changed is followed. */
  readonly advertiseAddress: string;
  /** Where it listens, and on 127.0.0.1; a wildcard address: everywhere. */
  readonly listenAddress: string;
  /** The CA's text may hold several certificates. A renewed certificate is served without a restart; another CA takes one. */
  readonly material: TlsMaterial;
  /** A revocation list that the CA has signed (RFC 5280, section 5), PEM. A newer one counts from the next handshake on. */
  readonly revocationList?: string | undefined;
  /**
   * What it begins with when this host has no data of it: `alone`, a new and empty store; or all members as etcd has them
   * after it was added as a learner. Undefined: it has to have data, for an empty store must not take the place of one that is lost.
   */
  readonly begin?: 'alone' | readonly StoreMember[] | undefined;
  /** Once: etcd has said that the others removed this member. It has ended, its data are set aside, it is not started again. */
  readonly onRemoved?: (() => void) | undefined;
}

/**
 * The bundled way: the system's `etcd` binary, run by this host's agent under its data directory with mutual TLS by the
 * node's own certificate. It outlives the agent; a new agent finds it running.
 */
export interface EtcdServer {
  /**
   * Idempotent: starts it, or adopts the one that runs; puts certificates in place; has the other members know its address.
   * Resolves when it serves, and starts it again should it die after that. Throws `tool-missing`; `store-failed` with what it
   * logged, or since its data are gone; `store-unavailable` while it runs and waits for the majority of the members, in which case
   * it goes on; `store-removed`.
   */
  ensure(settings: EtcdServerSettings): Promise<{ readonly endpoints: readonly string[] }>;
  /**
   * Ends one that runs and is not as these settings want it, which {@link ensure} would replace: before anybody here asks it anything.
   */
  endOutdated(settings: EtcdServerSettings): Promise<void>;
  /** To be called when the store stalls: an adopted server that died without our notice is started again. */
  check(): Promise<void>;
  stop(): Promise<void>;
  /**
   * Stops it and moves its data away, to `etcd.aside` beside them: it is a member no more. What stood there before is deleted. An
   * {@link ensure} that waits for it to be ready is given up.
   */
  setAside(): Promise<void>;
  /** Stops it and deletes its data: the cluster is gone. */
  remove(): Promise<void>;
  /** The agent ends, the server goes on. */
  release(): void;
  /** Of the binary on this host, like `3.4.23`; undefined: there is none, or another process has its ports. */
  version(): Promise<string | undefined>;
  /** In words, which other process had its ports when {@link version} was asked last. */
  readonly hindrance: string | undefined;
}

/**
 * How to reach the cluster's etcd. All three empty: without TLS when the endpoints say `http`; else with the cluster's
 * CA and the node's own certificate, for the name `etcd.overlayd` (the bundled way).
 */
export interface StoreAccess {
  readonly endpoints: readonly string[];
  readonly caCertificate: string;
  readonly certificate: string;
  readonly key: string;
}
