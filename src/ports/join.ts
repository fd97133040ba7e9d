/** The way of a host that is no member yet to one that is. */
import type { LevelRange, NodeRecord } from '../core/records.ts';
import type { StoreAccess } from './store.ts';

type Unpublished =
  | 'id'
  | 'name'
  | 'keyFingerprint'
  | 'joinedAt'
  | 'left'
  | 'removed'
  | 'holdsStore'
  | Measured
  | 'nat'
  | 'wireguard';
type Measured =
  | 'addressProblem'
  | 'certifiedBy'
  | 'hasIpv6'
  | 'levels'
  | 'store'
  | 'storeProblem'
  | 'trusts'
  | 'underlayLimit';

/** What a joiner asks, with what will be in its node record, as `proto/overlayd/v1/join.proto` says. */
export interface JoinRequest extends Required<Omit<NodeRecord, Unpublished>> {
  readonly tokenId: string;
  readonly tokenSecret: string;
  readonly csr: string;
  readonly nodeName: string;
  readonly nowMs: number;
  readonly levels?: LevelRange | undefined;
  /** Whether it is behind NAT, as somebody said. */
  readonly nat?: boolean | undefined;
  /** All of its host. */
  readonly ownAddresses: readonly string[];
  /** What runs WireGuard there, in words; empty: nothing. */
  readonly wireguardBackend: string;
}

export interface JoinResponse {
  readonly nodeId: string;
  readonly clusterId: string;
  readonly certificate: string;
  readonly caCertificate: string;
  /** While the CA is replaced, the one that comes; else empty. */
  readonly nextCaCertificate: string;
  /** Empty: the joiner is no keeper. */
  readonly caKey: string;
  readonly store: StoreAccess;
  /** The joiner is behind NAT, and is a member as such. */
  readonly nat: boolean;
  /** The address that the request came from. */
  readonly seenFrom: string;
}

export interface JoinClient {
  /**
   * Asks the member at `host:port` to admit this host. Nothing secret is sent before the member has proved the CA
   * whose SHA-256 (hex) is `caDigest`, and a certificate of a keeper; another member says where those are. Every failure comes
   * within 5 s, or 5 s for each of three keepers, and says what to do.
   */
  join(address: { host: string; port: number }, caDigest: string, request: JoinRequest): Promise<JoinResponse>;
  /**
   * Whether the node is a member, as the keeper at `host:port` has it from etcd. Undefined: who answers there does not know, or is no
   * keeper. `caDigest` as above. Throws `peer-unreachable`, `ca-mismatch`, `clock-skew` where no keeper of that CA answers.
   */
  isMember(address: { host: string; port: number }, caDigest: string, nodeId: string): Promise<boolean | undefined>;
  /** Whether a TCP connection can be made: undefined, or why not, in words. */
  probe(host: string, port: number, timeoutMs: number): Promise<string | undefined>;
}
