/**
 * The door for hosts that are not members yet: server-authenticated TLS, the cluster's CA in the presented chain so
 * that the joiner can compare it with its token. Whoever can reach the port can talk to it, so every limit is small, and
 * a source that tries tokens is soon not listened to any more (`Door`).
 */
import type { ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import { asOverlaydError, OverlaydError } from '../../core/errors.ts';
import {
  JoinService,
  type WhereRequest,
  type WhereResponse,
  type JoinRequest as WireRequest,
  type JoinResponse as WireResponse,
} from '../../gen/overlayd/v1/join.ts';
import type { TlsMaterial } from '../../ports/identity.ts';
import type { JoinRequest, JoinResponse } from '../../ports/join.ts';
import type { Logger } from '../../ports/runtime.ts';
import { Door, type DoorLimits, peerName } from './door.ts';
import { encodeError } from './error.ts';
import { createServer, NodeCredentials } from './server.ts';

const MAX_MESSAGE_BYTES = 64 * 1024;
const MAX_AT_ONCE = 64;
const MAX_IDLE_MS = 10_000;

/** A join takes two connections and less than 10 KiB; some twenty hosts may come at once from behind one address, or from one /64. */
const LIMITS: DoorLimits = {
  perSource: 16,
  total: 256,
  credit: 60,
  creditPerSecond: 5,
  settleMs: 10_000,
  ipv6Prefix: 64,
  bytes: 2 * MAX_MESSAGE_BYTES,
};
/** What a wrong token costs of that credit. */
const GUESS_COST = 20;

export interface JoinServer {
  readonly port: number;
  /** Takes a renewed certificate into use for new connections. */
  replaceMaterial(material: TlsMaterial): void;
}

export interface JoinServerOptions {
  readonly material: TlsMaterial;
  readonly listenAddress: string;
  readonly port: number;
  /** `host:port` of the join ports of hosts that admit. */
  readonly keepers: () => readonly string[];
  /** Undefined: this host cannot tell now. */
  readonly isMember: (nodeId: string) => boolean | undefined;
  readonly logger: Logger;
}

/** `from` is the joiner's `ip:port`. Resolves when it listens; stops when the signal aborts. */
export async function serveJoin(
  admit: (request: JoinRequest, from: string) => Promise<JoinResponse>,
  options: JoinServerOptions,
  signal: AbortSignal,
): Promise<JoinServer> {
  const server = createServer({ messageBytes: MAX_MESSAGE_BYTES, 'grpc.max_connection_idle_ms': MAX_IDLE_MS });
  const credentials = new NodeCredentials(options.material);
  const injector = server.createConnectionInjector(credentials);
  const door = new Door(LIMITS, { ...options, receive: (socket) => injector.injectConnection(socket) });
  let active = 0;
  const answer = async (call: ServerUnaryCall<WireRequest, WireResponse>): Promise<WireResponse> => {
    const from = callerOf(call);
    if (active >= MAX_AT_ONCE || !door.mayAsk(from)) {
      throw tooMany();
    }
    active++;
    try {
      const response = await admit(call.request, from);
      return { ...response, store: { ...response.store, endpoints: [...response.store.endpoints] } };
    } catch (error) {
      if (GUESSED.has(asOverlaydError(error).code)) door.charge(from, GUESS_COST);
      throw error;
    } finally {
      active--;
    }
  };
  server.addService(JoinService, {
    where: (call: ServerUnaryCall<WhereRequest, WhereResponse>, callback: sendUnaryData<WhereResponse>) => {
      if (!door.mayAsk(callerOf(call))) return callback(encodeError(tooMany()));
      const { nodeId } = call.request;
      callback(null, {
        keepers: [...options.keepers()],
        isMember: nodeId === '' ? undefined : options.isMember(nodeId),
      });
    },
    join: (call: ServerUnaryCall<WireRequest, WireResponse>, callback: sendUnaryData<WireResponse>) => {
      answer(call).then(
        (response) => callback(null, response),
        (error) => callback(encodeError(error)),
      );
    },
  });
  const port = await door.open({ host: options.listenAddress, port: options.port, option: '--join-port' });
  const stop = () => {
    door.close();
    server.forceShutdown();
  };
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  return { port, replaceMaterial: (material) => credentials.replace(material) };
}

function tooMany(): OverlaydError {
  return new OverlaydError('conflict', 'too many hosts are joining by this member; try again', { retryable: true });
}

/** gRPC says `address:port`, of IPv6 too. */
function callerOf(call: Pick<ServerUnaryCall<unknown, unknown>, 'getPeer'>): string {
  const peer = call.getPeer();
  const colon = peer.lastIndexOf(':');
  return peerName(peer.slice(0, colon), Number(peer.slice(colon + 1)));
}

/** What one hears who does not have a token that is good. */
const GUESSED: ReadonlySet<string> = new Set(['token-invalid', 'token-expired', 'token-used']);
