/** The command's end of the control service. Connects with the first call. */
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { asOverlaydError, OverlaydError } from '../../core/errors.ts';
import { type ClusterEvent, type ClusterResult, ControlService } from '../../gen/overlayd/v1/control.ts';
import {
  MAX_MESSAGE_BYTES,
  type Method,
  type RequestOf,
  type ResponseOf,
  type StreamMethod,
  type UnaryMethod,
} from './control-method.ts';
import { decodeError } from './error.ts';

/** Rejects with the agent's `OverlaydError`; `agent-not-running`, `permission-denied` when it cannot be asked. */
export type ControlClient = {
  [M in UnaryMethod]: (request: RequestOf<M>) => Promise<ResponseOf<M>>;
} & {
  [M in StreamMethod]: (request: RequestOf<M>, onProgress: (text: string) => void) => Promise<ClusterResult>;
} & { close(): void };

/** For answers, not for the long steps that report progress. */
const ANSWER_MS = 60_000;

export function createControlClient(socketPath: string): ControlClient {
  const client = new Client(`unix:${socketPath}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
    'grpc.default_authority': 'localhost',
    'grpc.enable_retries': 0,
    'grpc.enable_http_proxy': 0,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.service_config_disable_resolution': 1,
    'grpc.enable_channelz': 0,
  });
  const methods = (Object.keys(ControlService) as Method[]).map((method) => [
    method,
    ControlService[method].responseStream
      ? (request: unknown, onProgress: (text: string) => void) =>
          follow(client, socketPath, method, request, onProgress)
      : (request: unknown) => ask(client, socketPath, method, request),
  ]);
  return { ...Object.fromEntries(methods), close: () => client.close() };
}

type Codec = {
  readonly path: string;
  readonly requestSerialize: (value: unknown) => Buffer;
  readonly responseDeserialize: (value: Buffer) => unknown;
};

function ask(client: Client, socketPath: string, method: Method, request: unknown): Promise<unknown> {
  const { path, requestSerialize, responseDeserialize } = ControlService[method] as unknown as Codec;
  const deadline = Date.now() + ANSWER_MS;
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  client.makeUnaryRequest(
    path,
    requestSerialize,
    responseDeserialize,
    request,
    new Metadata(),
    { deadline },
    (error, response) => (error === null ? resolve(response) : reject(toControlError(error, socketPath))),
  );
  return promise;
}

async function follow(
  client: Client,
  socketPath: string,
  method: Method,
  request: unknown,
  onProgress: (text: string) => void,
): Promise<ClusterResult> {
  const { path, requestSerialize, responseDeserialize } = ControlService[method] as unknown as Codec;
  const stream = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request);
  try {
    let result: ClusterResult | undefined;
    for await (const { event } of stream as AsyncIterable<ClusterEvent>) {
      if (event?.$case === 'progress') onProgress(event.value);
      if (event?.$case === 'result') result = event.value;
    }
    if (result !== undefined) return result;
  } catch (error) {
    throw toControlError(error as ServiceError, socketPath);
  }
  throw new OverlaydError('internal', 'the agent ended without a result; its log says why');
}

function toControlError(error: ServiceError, socketPath: string): OverlaydError {
  const coded = error.metadata === undefined ? undefined : decodeError(error);
  if (coded !== undefined) return coded;
  if (error.code === status.DEADLINE_EXCEEDED) {
    return new OverlaydError(
      'agent-not-running',
      `the agent has ${socketPath} open but does not answer; see \`systemctl status overlayd\` and its log`,
      { cause: error, retryable: true },
    );
  }
  if (error.code !== status.UNAVAILABLE) return asOverlaydError(error);
  if (/EACCES|EPERM/.test(error.details)) {
    return new OverlaydError(
      'permission-denied',
      `no permission to talk to the agent on ${socketPath}; run the command as root (sudo) or as a member of its group`,
      { cause: error },
    );
  }
  if (/ENOENT|ECONNREFUSED|ENOTSOCK/.test(error.details)) {
    return new OverlaydError(
      'agent-not-running',
      `the agent does not answer on ${socketPath}: start it with \`systemctl start overlayd\` or \`overlayd agent\``,
      { cause: error },
    );
  }
  return new OverlaydError(
    'agent-not-running',
    `the agent went away during the request (${error.details}); see its log`,
    {
      cause: error,
      retryable: true,
    },
  );
}
