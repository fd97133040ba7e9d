/**
 * One etcd3 client for one endpoint, with everything switched off that decides on its own: etcd3's retries (a repeated
 * transaction is not idempotent), its circuit breaker and its choice among hosts. Who asks decides what to do next.
 */
import { noop } from 'cockatiel';
import { Etcd3, type IOptions } from 'etcd3';

export interface EtcdTls {
  /** PEM. */
  readonly ca: string | Uint8Array;
  readonly cert: string | Uint8Array;
  readonly key: string | Uint8Array;
}

/** Where the cluster's etcd is; plain data, so that it can be handed to a worker thread. */
export interface EtcdTarget {
  /** `https://10.0.0.1:2379`, or `http://…` without TLS. */
  readonly endpoints: readonly string[];
  readonly tls?: EtcdTls;
  /** The name that the server's certificate must carry, where that is not the endpoint's host. */
  readonly targetName?: string;
}

/** Deadline of every unary call. */
export const CALL_TIMEOUT_MS = 3_000;

type CallOptions = Exclude<IOptions['defaultCallOptions'], undefined | ((...args: never[]) => unknown)>;
type Interceptor = NonNullable<CallOptions['interceptors']>[number];

/** A member without a leader then refuses, and ends its streams, instead of serving an old view for ever. */
const requireLeader: Interceptor = (options, nextCall) => {
  const call = nextCall(options);
  const start = call.start.bind(call);
  call.start = (metadata, listener) => {
    metadata.set('hasleader', 'true');
    start(metadata, listener);
  };
  return call as ReturnType<Interceptor>;
};

export function openClient(target: EtcdTarget, endpoint: string): Etcd3 {
  const { tls, targetName } = target;
  return new Etcd3({
    hosts: endpoint,
    ...(tls && {
      credentials: {
        rootCertificate: Buffer.from(tls.ca),
        certChain: Buffer.from(tls.cert),
        privateKey: Buffer.from(tls.key),
      },
    }),
    faultHandling: { host: () => noop, global: noop },
    defaultCallOptions: ({ isStream }) => ({
      interceptors: [requireLeader],
      ...(!isStream && { deadline: Date.now() + CALL_TIMEOUT_MS }),
    }),
    grpcOptions: {
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
    },
  });
}
