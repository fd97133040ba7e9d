/** The cluster's store, etcd: what is kept in it, how to reach it, the bundled server. */
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
  /** No key with this prefix exists. */
  | { readonly kind: 'empty'; readonly prefix: string };

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

/**
 * The bundled way: the system's `etcd` binary, run by this host's agent under its data directory with mutual TLS by the
 * node's own certificate. It outlives the agent; a new agent finds it running.
 */
export interface EtcdServer {
  /**
   * Idempotent: starts it, or adopts the one that runs; puts the certificate in place. Resolves when it serves, and
   * starts it again should it die after that. Throws `tool-missing`, `store-failed` with what it logged.
   */
  ensure(advertiseAddress: string, material: TlsMaterial): Promise<{ readonly endpoints: readonly string[] }>;
  /** To be called when the store stalls: an adopted server that died without our notice is started again. */
  check(): Promise<void>;
  stop(): Promise<void>;
  /** Stops it and deletes its data: the cluster is gone. */
  remove(): Promise<void>;
  /** The agent ends, the server goes on. */
  release(): void;
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
