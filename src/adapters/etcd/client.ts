/**
 * One etcd3 client for one endpoint, with everything switched off that decides on its own: etcd3's retries (a repeated
 * transaction is not idempotent), its circuit breaker and its choice among hosts. Who asks decides what to do next.
 */
import { noop } from 'cockatiel';
import { Etcd3, type IOptions } from 'etcd3';
import { CALL_TIMEOUT_MS, channelOptions, type EtcdTarget } from './target.ts';

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
  const { tls } = target;
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
    grpcOptions: channelOptions(target),
  });
}
