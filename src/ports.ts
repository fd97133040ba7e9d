/**
 * Every outside thing on one page, as types. The core and the agent know these and nothing behind them;
 * `src/adapters` implements them for the real world, `test/sim` for a cluster in one process.
 */
import type { CertificateFacts, Validity } from './core/certificate.ts';
import type { ContainerRef, LocalEndpoint } from './core/container.ts';
import type { NamesNews, NamesRequest } from './core/dns/names-protocol.ts';
import type { DriverCalls } from './core/engine/driver-calls.ts';
import type {
  EngineConnection,
  EngineContainer,
  EngineEvent,
  EngineNetwork,
  EngineNetworkMembers,
  EngineNetworkSpec,
} from './core/engine/engine.ts';
import type { GossipMessage } from './core/gossip/message.ts';
import type { BindProblem, HostAddress, HostRoute, PortBinding, Underlay } from './core/host-facts.ts';
import type { ApplyResult, NamespaceState, Observed, Plan, Scope } from './core/host-state.ts';
import type { KernelChange } from './core/kernel-change.ts';
import type { Filter } from './core/packet-filter.ts';
import type { LevelRange, NetworkRecord, NodeRecord } from './core/records.ts';
import type { StoreMemory } from './core/store-memory.ts';

// ---------------------------------------------------------------- time, chance, log

export interface Clock {
  /** Wall time, milliseconds since the epoch: for records and for people. It may be set forwards and backwards. */
  now(): number;
  /** Milliseconds since some moment before: for durations. It goes on evenly, whatever is done to the wall clock. */
  elapsed(): number;
  /** Resolves after `ms`; rejects with the signal's reason when aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface Random {
  /** Uniform in [0, 1). Not for secrets. */
  next(): number;
  /** Lower-case hex of `bytes` unpredictable bytes (seeded in the simulator): ids. */
  hex(bytes: number): string;
}

export interface Logger {
  error(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  info(fields: object, message: string): void;
  debug(fields: object, message: string): void;
  child(fields: object): Logger;
}

// ---------------------------------------------------------------- etcd

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
  /** Everything below the prefix at `revision`; whatever is not in it does not exist. Comes first, and again after a gap. */
  | { readonly kind: 'snapshot'; readonly revision: number; readonly entries: readonly StoreEntry[] }
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

// ---------------------------------------------------------------- peers

export interface Peer {
  readonly nodeId: string;
  /** `host:port` of its gossip listener. */
  readonly address: string;
}

/** Carries gossip messages between members, encoded as `proto/overlayd/v1/gossip.proto` says. */
export interface PeerTransport {
  /** One request, one reply. Rejects with `peer-unreachable` after `timeoutMs` or when the peer is not who it should be. */
  request(peer: Peer, message: GossipMessage, timeoutMs: number): Promise<GossipMessage>;
  /** Starts answering. `from` is the node id that the sender's certificate proves. */
  serve(handle: (from: string, message: GossipMessage) => Promise<GossipMessage>, signal: AbortSignal): Promise<void>;
  /** These are the members now: what is open to others is closed. */
  retain(nodeIds: ReadonlySet<string>): void;
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

// ---------------------------------------------------------------- identity and joining

/** What a TLS end needs to prove itself to members and to check them; PEM. */
export interface TlsMaterial {
  readonly certificate: string;
  /** PKCS #8. */
  readonly key: string;
  readonly caCertificate: string;
}

/** Certificates and digests. Everything is PEM text; times are milliseconds since the epoch. */
export interface Pki {
  createCa(clusterId: string, now: number): Promise<{ readonly certificate: string; readonly key: string }>;
  /** A new P-256 private key, PKCS #8. */
  createKey(): Promise<string>;
  /** SHA-256 of the key's public half (SPKI, DER), lower-case hex. */
  fingerprint(key: string): string;
  /** PKCS #10, proves possession of the key; the names in the certificate are the issuer's choice. */
  createCsr(key: string): Promise<string>;
  /** Fingerprint of the key that the request proves. Throws `invalid-argument` when it is malformed or proves nothing. */
  verifyCsr(csr: string): Promise<string>;
  /** A node certificate for the key of `csr`, which has to be verified before. */
  issue(
    ca: { readonly certificate: string; readonly key: string },
    node: { readonly csr: string; readonly nodeId: string; readonly address: string },
    validity: { readonly now: number; readonly lifetimeMs: number },
  ): Promise<string>;
  /** Throws `invalid-argument` when the text is not a node certificate. */
  readCertificate(certificate: string): CertificateFacts;
  /** Of any certificate. Throws `invalid-argument` when the text is none. */
  validity(certificate: string): Validity;
  /** SHA-256 of the certificate (DER), lower-case hex: what join tokens pin. */
  digest(certificate: string): string;
  /** SHA-256 of UTF-8 text, lower-case hex. */
  sha256(text: string): string;
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

type Unpublished = 'id' | 'name' | 'keyFingerprint' | 'joinedAt' | 'left' | 'holdsStore' | Measured;
type Measured = 'addressProblem' | 'levels' | 'underlayLimit';

/** What a joiner asks, with what will be in its node record, as `proto/overlayd/v1/join.proto` says. */
export interface JoinRequest extends Required<Omit<NodeRecord, Unpublished>> {
  readonly tokenId: string;
  readonly tokenSecret: string;
  readonly csr: string;
  readonly nodeName: string;
  readonly nowMs: number;
  readonly levels?: LevelRange | undefined;
}

export interface JoinResponse {
  readonly nodeId: string;
  readonly clusterId: string;
  readonly certificate: string;
  readonly caCertificate: string;
  readonly caKey: string;
  readonly store: StoreAccess;
}

export interface JoinClient {
  /**
   * Asks the member at `host:port` to admit this host. Nothing secret is sent before the member has proved the CA
   * whose SHA-256 (hex) is `caDigest`. Every failure comes within 5 s and says what to do.
   */
  join(address: { host: string; port: number }, caDigest: string, request: JoinRequest): Promise<JoinResponse>;
  /** Whether a TCP connection can be made: undefined, or why not, in words. */
  probe(host: string, port: number, timeoutMs: number): Promise<string | undefined>;
}

/** One small file of JSON, replaced whole (write, fsync, rename). */
export interface JsonFile<T> {
  load(): Promise<T | undefined>;
  save(value: T): Promise<void>;
  remove(): Promise<void>;
}

// ---------------------------------------------------------------- this host

/** What this node must know without etcd: written whole before it is relied upon. */
export interface NodeState {
  readonly version: 2;
  readonly bootId: string;
  /** Of the agent's last run: the next one's is later, whatever the clock says, and refutes what is said of this one. */
  readonly startedAt: number;
  /** Of what one run of the agent saved, the later has the greater one. Absent in files of earlier versions, as `store`. */
  readonly serial?: number;
  readonly store?: StoreMemory;
  readonly endpoints: readonly LocalEndpoint[];
  /** What an engine's containers had before the host was restarted, see `local-endpoints.ts`. */
  readonly former?: readonly LocalEndpoint[];
  /** The networks that all of them are on. */
  readonly networks: readonly NetworkRecord[];
}

export interface StateFile {
  /** Undefined when there is none yet. Throws `state-unreadable`. */
  load(): Promise<NodeState | undefined>;
  /**
   * `kept`: the agent's end, however it comes, does not lose it any more. `onDisk`: nor does the host's; it may be waited
   * for by nobody, and rejects with what stands in the way.
   */
  keep(state: NodeState): { readonly kept: Promise<void>; readonly onDisk: Promise<void> };
  /** Resolves when it is on the disk, now and not a moment later. */
  save(state: NodeState): Promise<void>;
  remove(): Promise<void>;
  /** Why every change waits for the disk, in words; undefined when none does. */
  readonly hindrance: string | undefined;
}

export interface Containers {
  /** Throws `namespace-not-found`, `namespace-unusable` (the host's own namespace), `invalid-argument`. */
  resolve(text: string): Promise<ContainerRef>;
  /** False only on positive proof that the namespace instance is gone. */
  isAlive(ref: ContainerRef): Promise<boolean>;
  /**
   * Makes name resolution inside the container use these servers (`/etc/netns/NAME/resolv.conf` for `netns:NAME`);
   * an empty list restores what was there. Returns a warning for the user when a file of theirs was left alone.
   */
  configureResolver(ref: ContainerRef, servers: readonly string[]): Promise<string | undefined>;
}

/** Facts of the host that the cluster needs to know. */
export interface HostFacts {
  bootId(): Promise<string>;
  hostname(): string;
  /** Global IPv4 addresses with their interface. */
  addresses(): Promise<readonly HostAddress[]>;
  /** Names of all links. */
  links(): Promise<readonly string[]>;
  /** Main-table routes that are not ours, default routes (`0.0.0.0/0`) included. */
  routes(): Promise<readonly HostRoute[]>;
  /**
   * IPv4 addresses of the name servers that this host asks, and of those that a stub of its own asks on its behalf;
   * loopback addresses and the service address left out.
   */
  nameServers(): Promise<readonly string[]>;
  /** IPv4 addresses of a host name, sorted; none when it does not resolve. */
  lookUp(hostName: string): Promise<readonly string[]>;
  /** Smallest MTU on the routes from `source` towards these addresses (of the source's link when there are none). */
  underlay(source: string, peers: readonly string[]): Promise<Underlay>;
  /** By which link this host sends to each, by whatever rule; `lo`: to itself. Those that it sends nowhere are left out. */
  linksTo(addresses: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /** Undefined when a socket can be bound there now; else what is in the way. */
  bindProblem(socket: PortBinding): Promise<BindProblem | undefined>;
}

// ---------------------------------------------------------------- names

/**
 * The process that answers names. It outlives the agent, and goes on with what it was told. What it is told of and asked
 * for is in `core/dns/names-protocol.ts`.
 */
export interface NamesProcess {
  /**
   * Sees to it that one runs and is connected, until the signal aborts, which ends the connection alone. Each connection
   * is a session; the process knows nothing, or what was told in sessions before.
   */
  run(onSession: (session: NamesSession) => void, signal: AbortSignal): Promise<void>;
  /** In words, while there is none that answers. */
  readonly problem: string | undefined;
}

export interface NamesSession {
  /** Aborts when the connection has ended. The process has ended then as well, or another session follows. */
  readonly ended: AbortSignal;
  /** In order; lost when the session has ended. */
  tell(news: NamesNews): void;
  /** Resolves when it was done. Throws what the process says, or `data-path-failed` (retryable) when the session ends. */
  ask(request: NamesRequest): Promise<void>;
}

// ---------------------------------------------------------------- container engine

/**
 * The API of this host's Docker Engine. Calls throw `engine-unavailable` (retryable), `engine-refused` with what it
 * said, or `conflict` (a name that is taken).
 */
export interface Engine {
  /** Those that it is just removing are not among them. */
  networks(): Promise<readonly EngineNetwork[]>;
  /** Ids of networks that it has removed, as far as it remembers: its last events, none from before its start. */
  removedNetworks(): Promise<ReadonlySet<string>>;
  /** Undefined when there is none. Answers at once, also while a container is being started. */
  members(networkId: string): Promise<EngineNetworkMembers | undefined>;
  /** Returns its id. */
  createNetwork(spec: EngineNetworkSpec): Promise<string>;
  /** False when there was none. */
  removeNetwork(id: string): Promise<boolean>;
  /** Ids of the containers that run, or that do not. */
  running(): Promise<readonly string[]>;
  stopped(): Promise<readonly string[]>;
  /** By id, unique id prefix or name; undefined when there is none. Waits while the container is being started. */
  inspect(ref: string): Promise<EngineContainer | undefined>;
  /** Where on the host a container's `/etc/hosts` is, once it was started. Answers at once, in general. */
  hostsPath(containerId: string): Promise<string>;
  connect(networkId: string, containerId: string, options: EngineConnection): Promise<void>;
  disconnect(networkId: string, containerId: string, force: boolean): Promise<void>;
  /** Resolves when the container runs, as it does already when it was running. */
  startContainer(containerId: string): Promise<void>;
  events(signal: AbortSignal): AsyncIterable<EngineEvent>;
}

/**
 * What the engine asks of us as its network and IPAM driver. It holds locks while it waits, without a limit: handlers end
 * soon after their signal aborts, and never wait for a call of {@link Engine}.
 */
export type DriverHandlers = DriverCalls<AbortSignal>;

// ---------------------------------------------------------------- kernel

/**
 * The kernel of this host. `observe` and `apply` throw `data-path-failed` (retryable) or `tool-missing`; what fails
 * of a plan's single ops is in the result.
 */
export interface Kernel {
  observe(scope: Scope, signal?: AbortSignal): Promise<Observed>;
  apply(plan: Plan, signal?: AbortSignal): Promise<ApplyResult>;
  /** Goes on until the signal aborts; begins with `all`, and says `all` again whenever events may have been lost. */
  changes(signal: AbortSignal): AsyncIterable<KernelChange>;
  /**
   * Our tables inside network namespaces, where nftables changes come as no event; undefined without one. Cheap for
   * those that nobody changed since the last call. May leave some out that are told in a later call.
   */
  filters(namespaces: readonly string[], signal?: AbortSignal): Promise<ReadonlyMap<string, Filter | undefined>>;
  /** What a container is looked into for, in the namespace of that path. Throws `namespace-unusable`. */
  inside(path: string): Promise<NamespaceState>;
}
