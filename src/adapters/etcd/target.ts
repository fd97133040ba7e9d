/** Where etcd is, and how a channel to it behaves, whoever opens it. */
import { OverlaydError } from '../../core/errors.ts';
import { parseHttpUrl } from '../../core/host-port.ts';

export interface EtcdTls {
  /** PEM. */
  readonly ca: string | Uint8Array;
  readonly cert: string | Uint8Array;
  readonly key: string | Uint8Array;
}

/** Where the cluster's etcd is. */
export interface EtcdTarget {
  /** `https://10.0.0.1:2379`, or `http://…` without TLS. The first is the one to be used where it serves. */
  readonly endpoints: readonly string[];
  readonly tls?: EtcdTls | undefined;
  /** The name that the server's certificate must carry, where that is not the endpoint's host. */
  readonly targetName?: string | undefined;
}

/** Of a call to one endpoint, or a connection to it. */
export const CALL_TIMEOUT_MS = 3_000;

/** Options of gRPC's channels, by gRPC's names. */
export function channelOptions({ targetName }: Pick<EtcdTarget, 'targetName'>) {
  return {
    // No keep-alive pings: calls have deadlines, and the streams ask for answers, each more often than a ping would.
    'grpc.initial_reconnect_backoff_ms': 200,
    'grpc.max_reconnect_backoff_ms': 2_000,
    // A new client must mean a new connection, not one that the process still has stuck in its pool.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.max_receive_message_length': 32 * 1024 * 1024,
    ...(targetName !== undefined && {
      'grpc.ssl_target_name_override': targetName,
      'grpc.default_authority': targetName,
    }),
  };
}

/** Throws `config-invalid`. */
export function assertEndpoints(endpoints: readonly string[], secure: boolean): void {
  if (endpoints.length === 0) throw new OverlaydError('config-invalid', 'no etcd endpoint is given');
  for (const endpoint of endpoints) {
    if (parseHttpUrl(endpoint) === undefined) {
      throw new OverlaydError('config-invalid', `etcd endpoint '${endpoint}' is not http(s)://HOST:PORT`);
    }
    if (secure && endpoint.startsWith('http:')) {
      throw new OverlaydError('config-invalid', `etcd endpoint '${endpoint}' must be https:// to use the certificates`);
    }
  }
}
