/** What keepers do for other members, and the way to them: `proto/overlayd/v1/keepers.proto`. */
import type { JoinRequest, JoinResponse } from './join.ts';
import type { Peer } from './peers.ts';

/** PEM; the key PKCS #8. */
export interface CaKey {
  readonly certificate: string;
  readonly key: string;
}

/**
 * What a keeper answers. `caller`: the node id that the certificate of whoever asks proves. Everything may be asked again, of
 * another keeper too. Throws coded errors, which the caller gets as they are.
 */
export interface KeepersHandler {
  /** `from`: `host:port` that the joiner called from. Throws what the joiner is told. */
  admit(asked: { readonly request: JoinRequest; readonly from: string }, caller: string): Promise<JoinResponse>;
  /**
   * A certificate for the caller's key, with `address` in it, and the CA's that signed it. `keeper`: with the names of keepers, which
   * nobody else gets.
   */
  renew(
    asked: { readonly csr: string; readonly address: string; readonly keeper: boolean },
    caller: string,
  ): Promise<{ readonly certificate: string; readonly caCertificate: string }>;
  /** Of the CAs with these certificates, all of them. To keepers alone. */
  caKeys(asked: { readonly wanted: readonly string[] }, caller: string): Promise<{ readonly keys: readonly CaKey[] }>;
  /** The CA is being replaced when it resolves. */
  rotateCa(asked: object, caller: string): Promise<object>;
  /** Removes a node for good. Throws what `node rm` throws. */
  evict(asked: { readonly ref: string; readonly force: boolean }, caller: string): Promise<{ readonly nodeId: string }>;
  /** Labels and name of a node; answers with its id. Throws what `node update` throws. */
  updateNode(
    asked: {
      readonly ref: string;
      readonly labels: Readonly<Record<string, string>>;
      readonly labelsRemoved: readonly string[];
      /** Empty: as it is. */
      readonly name: string;
    },
    caller: string,
  ): Promise<{ readonly ref: string }>;
  /** `ttlMs` 0: does not expire; `uses` 0: unlimited; `node` empty: any host. The token is shown once. */
  createToken(
    asked: { readonly ttlMs: number; readonly uses: number; readonly node: string },
    caller: string,
  ): Promise<CreatedToken>;
  /** Throws `token-not-found`, `ambiguous-id`. */
  revokeToken(asked: { readonly ref: string }, caller: string): Promise<{ readonly id: string }>;
  /** Of a network, or of all where that is empty: keys that were repaired. Throws what `ipam repair` throws. */
  repairAddresses(
    asked: { readonly network: string },
    caller: string,
  ): Promise<{ readonly repaired: readonly string[] }>;
  /** Writes down what a person says of who keeps the store; waits for nothing. Throws what `node promote` throws. */
  wishStore(asked: StoreWish, caller: string): Promise<object>;
  reportStore(asked: object, caller: string): Promise<StoreReported>;
  /** A store that runs gets the records of a backup, packed. Throws what `store restore` throws. */
  putBackStore(asked: { readonly backup: Uint8Array }, caller: string): Promise<StoreChangedThere>;
  /** To an etcd of the user's own. Throws what `store move` throws. */
  moveStoreAway(
    asked: {
      readonly etcdEndpoints: readonly string[];
      readonly etcdCa: string;
      readonly etcdCert: string;
      readonly etcdKey: string;
    },
    caller: string,
  ): Promise<StoreChangedThere>;
}

export interface StoreWish {
  readonly wish: 'promote' | 'demote' | 'resize';
  /** Empty for `resize`. */
  readonly nodeId: string;
  /** For `resize`: how many hosts are to keep the store. */
  readonly members: number;
}

/** What `overlayd store status` tells. */
export interface StoreReported {
  readonly bundled: boolean;
  readonly wanted: number;
  readonly members: readonly ReportedStoreMember[];
  /** In words; empty: none is under way. */
  readonly change: string;
  /** In words: what comes next, or why less is there than is wanted; empty: all is as it is wanted. */
  readonly outlook: string;
}

export interface ReportedStoreMember {
  /** Empty: of an etcd of the user's own, or the host is gone. */
  readonly nodeName: string;
  readonly url: string;
  /** `leader`, `voter`, `learner`; `keeper`: etcd does not say who its members are now, this one was one. */
  readonly role: string;
  /** What follows is empty where it does not. */
  readonly answers: boolean;
  /** Empty as well, with all that follows, where it tells root of etcd alone. */
  readonly version: string;
  /** Bytes of its file, and of these in use. */
  readonly size: number;
  readonly sizeInUse: number;
  /** Entries of the log that it has yet to apply. */
  readonly lag: number;
  readonly alarms: readonly string[];
}

export interface StoreChangedThere {
  readonly warnings: readonly string[];
}

export interface CreatedToken {
  readonly id: string;
  readonly token: string;
  /** The line to type on a new host. */
  readonly joinCommand: string;
  /** 0: does not expire. */
  readonly expiresAtMs: number;
}

export type KeeperMethod = keyof KeepersHandler;
export type Asked<M extends KeeperMethod> = Parameters<KeepersHandler[M]>[0];
export type Answered<M extends KeeperMethod> = Awaited<ReturnType<KeepersHandler[M]>>;

export interface KeepersTransport {
  /**
   * Asks one keeper. Rejects with what it throws, or with `peer-unreachable` (retryable) when it does not answer: within two
   * seconds when it cannot be reached, else after `timeoutMs`; it may have done it then, unless the error says `nothingDone`.
   */
  ask<M extends KeeperMethod>(peer: Peer, method: M, asked: Asked<M>, timeoutMs: number): Promise<Answered<M>>;
}
