/**
 * One connection to one endpoint, for all of etcd's services. It decides nothing: no call is sent again by it, and no other
 * endpoint is asked.
 */
import { Client, type ClientDuplexStream, connectivityState, credentials, Metadata } from '@grpc/grpc-js';
import { CALL_TIMEOUT_MS, channelOptions, type EtcdTarget } from './target.ts';

/** As the code made of `proto/etcd` describes it. */
export interface Method<Request, Response> {
  readonly path: string;
  readonly requestSerialize: (request: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

export interface CallLimits {
  /** Default {@link CALL_TIMEOUT_MS}. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** The trace that the call is a part of. */
  readonly traceparent?: string | undefined;
}

/** Errors are gRPC's own (`ServiceError`: `code` and `details`), in all of this folder. */
export class EtcdClient {
  readonly #client: Client;

  constructor(target: Pick<EtcdTarget, 'tls' | 'targetName'>, endpoint: string) {
    const { tls } = target;
    const secure = tls && credentials.createSsl(Buffer.from(tls.ca), Buffer.from(tls.key), Buffer.from(tls.cert));
    const address = endpoint.replace(/^https?:\/\//, '');
    this.#client = new Client(address, secure ?? credentials.createInsecure(), channelOptions(target));
  }

  /** Whether there is a connection at this moment. */
  get isConnected(): boolean {
    return this.#client.getChannel().getConnectivityState(false) === connectivityState.READY;
  }

  call<Request, Response>(
    { path, requestSerialize, responseDeserialize }: Method<Request, Response>,
    request: Request,
    { timeoutMs = CALL_TIMEOUT_MS, signal, traceparent }: CallLimits = {},
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const call = this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        requireLeader(traceparent),
        { deadline: Date.now() + timeoutMs },
        (error, answer) => {
          signal?.removeEventListener('abort', cancel);
          if (error) reject(error);
          else resolve(answer as Response);
        },
      );
      const cancel = () => call.cancel();
      if (signal?.aborted) cancel();
      else signal?.addEventListener('abort', cancel, { once: true });
    });
  }

  stream<Request, Response>(method: Method<Request, Response>): ClientDuplexStream<Request, Response> {
    const { path, requestSerialize, responseDeserialize } = method;
    return this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, requireLeader());
  }

  /** What was sent may still be answered. */
  close(): void {
    this.#client.close();
  }
}

/** A member without a leader then refuses, and ends its streams, instead of serving an old view for ever. */
function requireLeader(traceparent?: string): Metadata {
  const metadata = new Metadata();
  metadata.set('hasleader', 'true');
  if (traceparent !== undefined) metadata.set('traceparent', traceparent);
  return metadata;
}
