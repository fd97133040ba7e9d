/**
 * The door for hosts that are not members yet: server-authenticated TLS, the cluster's CA in the presented chain so
 * that the joiner can compare it with its token. Whoever can reach the port can talk to it, so every limit is small.
 */
import type { ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import { OverlaydError } from '../../core/errors.ts';
import {
  JoinService,
  type JoinRequest as WireRequest,
  type JoinResponse as WireResponse,
} from '../../gen/overlayd/v1/join.ts';
import type { JoinRequest, JoinResponse, TlsMaterial } from '../../ports.ts';
import { encodeError } from './error.ts';
import { createServer, listen, NodeCredentials } from './server.ts';

const MAX_MESSAGE_BYTES = 64 * 1024;
const MAX_AT_ONCE = 64;
const MAX_IDLE_MS = 10_000;

export interface JoinServer {
  readonly port: number;
  /** Takes a renewed certificate into use for new connections. */
  replaceMaterial(material: TlsMaterial): void;
}

/** `from` is the joiner's `ip:port`. Resolves when it listens; stops when the signal aborts. */
export async function serveJoin(
  admit: (request: JoinRequest, from: string) => Promise<JoinResponse>,
  options: { readonly material: TlsMaterial; readonly listenAddress: string; readonly port: number },
  signal: AbortSignal,
): Promise<JoinServer> {
  const server = createServer({ messageBytes: MAX_MESSAGE_BYTES, 'grpc.max_connection_idle_ms': MAX_IDLE_MS });
  let active = 0;
  const answer = async (call: ServerUnaryCall<WireRequest, WireResponse>): Promise<WireResponse> => {
    if (active >= MAX_AT_ONCE) {
      throw new OverlaydError('conflict', 'too many hosts are joining by this member; try again', { retryable: true });
    }
    active++;
    try {
      const response = await admit(call.request, call.getPeer());
      return { ...response, store: { ...response.store, endpoints: [...response.store.endpoints] } };
    } finally {
      active--;
    }
  };
  server.addService(JoinService, {
    join: (call: ServerUnaryCall<WireRequest, WireResponse>, callback: sendUnaryData<WireResponse>) => {
      answer(call).then(
        (response) => callback(null, response),
        (error) => callback(encodeError(error)),
      );
    },
  });
  const credentials = new NodeCredentials(options.material, { clientCertificates: false });
  const target = `${options.listenAddress}:${options.port}`;
  const port = await listen(server, { target, option: '--join-port' }, credentials);
  if (signal.aborted) server.forceShutdown();
  else signal.addEventListener('abort', () => server.forceShutdown(), { once: true });
  return { port, replaceMaterial: (material) => credentials.replace(material) };
}
