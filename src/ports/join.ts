/** The way of a host that is no member yet to one that is. */
import type { LevelRange, NodeRecord } from '../core/records.ts';
import type { StoreAccess } from './store.ts';

type Unpublished = 'id' | 'name' | 'keyFingerprint' | 'joinedAt' | 'left' | 'holdsStore' | Measured;
type Measured = 'addressProblem' | 'hasIpv6' | 'levels' | 'underlayLimit';

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
