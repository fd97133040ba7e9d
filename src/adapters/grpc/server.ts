/**
 * What every gRPC server of ours has in common: TLS 1.3 only with certificates that can be replaced while it runs,
 * small limits, and errors about listening that say what to do.
 */
import { logVerbosity, Server, ServerCredentials, type ServerOptions, setLogVerbosity } from '@grpc/grpc-js';
import type { TlsMaterial } from '../../ports/identity.ts';
import { cannotListen } from './door.ts';

// The library writes to stderr by itself; what matters reaches us as errors.
setLogVerbosity(logVerbosity.NONE);

export const KEEPALIVE = {
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 4_000,
  'grpc.keepalive_permit_without_calls': 1,
};

export const TLS_VERSION = 'TLSv1.3' as const;

export function createServer({ messageBytes, ...options }: { messageBytes: number } & ServerOptions): Server {
  return new Server({
    ...KEEPALIVE,
    'grpc.max_receive_message_length': messageBytes,
    'grpc.max_send_message_length': messageBytes,
    'grpc.enable_channelz': 0,
    ...options,
  });
}

/** What an HTTP/2 client that has not proved who it is may do in one session. */
const STRANGER = {
  handshakeTimeout: 5_000,
  maxSessionMemory: 2,
  maxSessionInvalidFrames: 10,
  maxSessionRejectedStreams: 10,
  streamResetBurst: 10,
  streamResetRate: 1,
  maxHeaderListPairs: 64,
  settings: { maxHeaderListSize: 8192, maxConcurrentStreams: 4 },
};

/** Of servers for strangers: the node proves who it is, the client does not. */
export class NodeCredentials extends ServerCredentials {
  constructor(material: TlsMaterial) {
    super(STRANGER, contextOf(material));
  }

  /** New connections use it; those that stand keep theirs. */
  replace(material: TlsMaterial): void {
    this.updateSecureContextOptions(contextOf(material));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

/** The node's certificate with the CA's behind it, so that a joiner sees the whole chain. */
export function contextOf({ certificate, key, caCertificate }: TlsMaterial) {
  return {
    ...{ ca: caCertificate, cert: `${certificate.trim()}\n${caCertificate}`, key },
    minVersion: TLS_VERSION,
  } as const;
}

/** Binds to a Unix socket and starts. `option` names the setting that chooses another place. */
export async function listen(server: Server, where: { path: string; option: string }): Promise<void> {
  const target = `unix:${where.path}`;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.bindAsync(target, ServerCredentials.createInsecure(), (error) => {
    if (error === null) resolve();
    else reject(cannotListen(target, where.option, error));
  });
  await promise;
}
