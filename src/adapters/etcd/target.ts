/** Where etcd is, and how a channel to it behaves, whoever opens it. */

export interface EtcdTls {
  /** PEM. */
  readonly ca: string | Uint8Array;
  readonly cert: string | Uint8Array;
  readonly key: string | Uint8Array;
}

/** Where the cluster's etcd is. */
export interface EtcdTarget {
  /** `https://10.0.0.1:2379`, or `http://…` without TLS. */
  readonly endpoints: readonly string[];
  readonly tls?: EtcdTls;
  /** The name that the server's certificate must carry, where that is not the endpoint's host. */
  readonly targetName?: string;
}

/** Deadline of every unary call. */
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
