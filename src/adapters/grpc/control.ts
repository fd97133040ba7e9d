/** The command's end of the control service. Connects with the first call. */
import { type Call, Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { asOverlaydError, isOverlaydError, OverlaydError } from '../../core/errors.ts';
import { type ClusterEvent, type ClusterResult, ControlService } from '../../gen/overlayd/v1/control.ts';
import type { Tracer } from '../../ports/telemetry.ts';
import {
  ANSWER_MS,
  deaf,
  notReached,
  PATIENCE,
  type Patience,
  tookTooLong,
  unknownRequest,
  wentAway,
} from './control-failure.ts';
import {
  MAX_MESSAGE_BYTES,
  type Method,
  type ProgressMethod,
  type RequestOf,
  type ResponseOf,
  TELLING,
  type TellingMethod,
  type UnaryMethod,
} from './control-method.ts';
import { decodeError } from './error.ts';

/** Rejects with the agent's `OverlaydError`; `agent-not-running`, `permission-denied` when it cannot be asked. */
export type ControlClient = {
  [M in UnaryMethod]: (request: RequestOf<M>) => Promise<ResponseOf<M>>;
} & {
  [M in ProgressMethod]: (request: RequestOf<M>, onProgress: (text: string) => void) => Promise<ClusterResult>;
} & {
  [M in TellingMethod]: (
    request: RequestOf<M>,
    onTold: (told: ResponseOf<M>) => void,
    signal?: AbortSignal,
  ) => Promise<void>;
} & { close(): void };

/** `tracer`: each call is a span, and the agent goes on with its trace. */
export function createControlClient(socketPath: string, patience = PATIENCE, tracer?: Tracer): ControlClient {
  const client = new Client(`unix:${socketPath}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
    'grpc.default_authority': 'localhost',
    'grpc.keepalive_time_ms': patience.pingMs,
    'grpc.keepalive_timeout_ms': patience.pingMs,
    'grpc.enable_http_proxy': 0,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.service_config_disable_resolution': 1,
    'grpc.enable_channelz': 0,
  });
  const way = { client, socketPath, patience, tracer };
  const methods = (Object.keys(ControlService) as Method[]).map((method) => [method, callOf(way, method)]);
  return { ...Object.fromEntries(methods), close: () => client.close() };
}

type Codec = {
  readonly path: string;
  readonly requestSerialize: (value: unknown) => Buffer;
  readonly responseDeserialize: (value: Buffer) => unknown;
};

interface Way {
  readonly client: Client;
  readonly socketPath: string;
  readonly patience: Patience;
  readonly tracer: Tracer | undefined;
}

/** As {@link ControlClient} has it. */
function callOf(
  way: Way,
  method: Method,
): (request: unknown, listen: (told: never) => void, signal?: AbortSignal) => Promise<unknown> {
  const span = <T>(task: () => Promise<T>) =>
    way.tracer?.span(
      { name: ControlService[method].path.slice(1), kind: 'client', attributes: {}, begins: true },
      task,
    ) ?? task();
  if (!ControlService[method].responseStream) return (request) => span(() => ask(way, method, request));
  if (TELLING.includes(method)) return (request, onTold, signal) => hear(way, method, request, onTold, signal);
  return (request, listen) => span(() => follow(way, method, request, listen as (text: string) => void));
}

function metadataOf({ tracer }: Way): Metadata {
  const metadata = new Metadata();
  const traceparent = tracer?.here();
  if (traceparent !== undefined) metadata.set('traceparent', traceparent);
  return metadata;
}

function ask(way: Way, method: Method, request: unknown): Promise<unknown> {
  const { client, socketPath } = way;
  const { path, requestSerialize, responseDeserialize } = ControlService[method] as unknown as Codec;
  const deadline = Date.now() + ANSWER_MS;
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const call = client.makeUnaryRequest(
    path,
    requestSerialize,
    responseDeserialize,
    request,
    metadataOf(way),
    { deadline },
    (error, response) => (error === null ? resolve(response) : reject(toControlError(error, socketPath))),
  );
  endWhenDeaf(way, call, reject);
  return promise;
}

/** For a socket that is open while nobody answers on it: a call waits for a connection without end. */
function endWhenDeaf({ client, socketPath, patience }: Way, call: Call, reject: (error: Error) => void): void {
  client.waitForReady(Date.now() + patience.connectMs, (error) => {
    if (error === undefined) return;
    reject(deaf(socketPath, error));
    call.cancel();
  });
}

async function follow(
  way: Way,
  method: Method,
  request: unknown,
  onProgress: (text: string) => void,
): Promise<ClusterResult> {
  let result: ClusterResult | undefined;
  await hear(way, method, request, ({ event }: ClusterEvent) => {
    if (event?.$case === 'progress') onProgress(event.value);
    if (event?.$case === 'result') result = event.value;
  });
  if (result !== undefined) return result;
  throw new OverlaydError('internal', 'the agent ended without a result; its log says why');
}

async function hear(
  way: Way,
  method: Method,
  request: unknown,
  onTold: (told: never) => void,
  signal?: AbortSignal,
): Promise<void> {
  const { client, socketPath } = way;
  const { path, requestSerialize, responseDeserialize } = ControlService[method] as unknown as Codec;
  const stream = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request, metadataOf(way));
  endWhenDeaf(way, stream, (error) => stream.destroy(error));
  const abort = () => stream.cancel();
  if (signal?.aborted) abort();
  signal?.addEventListener('abort', abort, { once: true });
  try {
    for await (const told of stream as AsyncIterable<never>) onTold(told);
  } catch (error) {
    if (signal?.aborted) return;
    throw isOverlaydError(error) ? error : toControlError(error as ServiceError, socketPath);
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

function toControlError(error: ServiceError, socketPath: string): OverlaydError {
  const coded = error.metadata === undefined ? undefined : decodeError(error);
  if (coded !== undefined) return coded;
  if (error.code === status.DEADLINE_EXCEEDED) return tookTooLong(error);
  if (error.code === status.UNIMPLEMENTED) return unknownRequest(error);
  if (error.code !== status.UNAVAILABLE) return asOverlaydError(error);
  return notReached(socketPath, error.details, error) ?? wentAway(error.details, error);
}
