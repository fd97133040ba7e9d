/**
 * What every gRPC server of ours has in common: TLS 1.3 only with certificates that can be replaced while it runs,
 * small limits, and errors about listening that say what to do.
 */
import { logVerbosity, Server, ServerCredentials, type ServerOptions, setLogVerbosity } from '@grpc/grpc-js';
import { OverlaydError } from '../../core/errors.ts';
import type { TlsMaterial } from '../../ports.ts';

// The library writes to stderr by itself; what matters reaches us as errors.
setLogVerbosity(logVerbosity.NONE);

export const KEEPALIVE = {
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 4_000,
  'grpc.keepalive_permit_without_calls': 1,
};

const MAX_HEADER_BYTES = 8192;
const MAX_HEADER_PAIRS = 64;

export function createServer({ messageBytes, ...options }: { messageBytes: number } & ServerOptions): Server {
  return new Server({
    ...KEEPALIVE,
    'grpc.max_receive_message_length': messageBytes,
    'grpc.max_send_message_length': messageBytes,
    'grpc.enable_channelz': 0,
    ...options,
  });
}

/** The node's certificate with the CA's behind it, so that a joiner sees the whole chain. */
export class NodeCredentials extends ServerCredentials {
  constructor(material: TlsMaterial, options: { clientCertificates: boolean }) {
    super(
      {
        requestCert: options.clientCertificates,
        rejectUnauthorized: true,
        minVersion: 'TLSv1.3',
        maxHeaderListPairs: MAX_HEADER_PAIRS,
        settings: { maxHeaderListSize: MAX_HEADER_BYTES, maxConcurrentStreams: 100 },
      },
      contextOf(material),
    );
  }

  /** New connections use it; those that stand keep theirs. */
  replace(material: TlsMaterial): void {
    this.updateSecureContextOptions(contextOf(material));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

function contextOf({ certificate, key, caCertificate }: TlsMaterial) {
  return { ca: caCertificate, cert: `${certificate.trim()}\n${caCertificate}`, key };
}

/** Binds and starts; returns the port (of TCP). `option` names the setting that chooses another place. */
export async function listen(
  server: Server,
  where: { target: string; option: string },
  credentials: ServerCredentials,
): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(where.target, credentials, (error, port) => {
      if (error === null) return resolve(port);
      const problem = /EADDRINUSE/.test(error.message)
        ? `another program uses it; stop that one, or choose with ${where.option}`
        : `${error.message}; check ${where.option}`;
      reject(new OverlaydError('config-invalid', `cannot listen on ${where.target}: ${problem}`, { cause: error }));
    });
  });
}
