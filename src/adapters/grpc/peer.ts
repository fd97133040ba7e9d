/**
 * Gossip between members over mutual TLS. A server answers those only whose certificate is of the cluster's CA and
 * belongs to a current member, and takes no message from a node other than the certificate's. A client asks for
 * `<nodeId>.node.overlayd`, so it reaches exactly that node or nobody, whoever has the address today.
 * One channel per peer, lazily. It is thrown away when the peer's address changes or when it has been silent for
 * 5 s: channels can hang in CONNECTING for good, and half-open ones wait for TCP. It goes when the peer is no member
 * any more. TLS ends here, before HTTP/2 begins: nobody without a member's certificate gets as far as that.
 */
import { X509Certificate } from 'node:crypto';
import { createServer as createTlsServer } from 'node:tls';
import {
  credentials,
  Metadata,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceError,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import type { CertificateFacts } from '../../core/certificate.ts';
import { CLOCK_ADVICE, speaksOfTime } from '../../core/clock-words.ts';
import { asOverlaydError, OverlaydError } from '../../core/errors.ts';
import type { GossipMessage } from '../../core/gossip/message.ts';
import { GossipClient, GossipService, type GossipMessage as WireMessage } from '../../gen/overlayd/v1/gossip.ts';
import type { Clock, Logger, Peer, PeerTransport, Pki, TlsMaterial } from '../../ports.ts';
import { Door, type DoorLimits } from './door.ts';
import { decodeError, encodeError } from './error.ts';
import { contextOf, createServer, KEEPALIVE, TLS_VERSION } from './server.ts';

const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
const SILENCE_MS = 5_000;
const KNOWN_CERTIFICATES = 4096;
const MAX_IDLE_MS = 600_000;

/** Of connections whose client has not proved yet to be of the cluster; all members may come at once. */
const LIMITS: DoorLimits = {
  perSource: 8,
  total: 256,
  credit: 30,
  creditPerSecond: 5,
  settleMs: 5_000,
  bytes: 64 * 1024,
};

export interface PeerDeps {
  readonly clock: Clock;
  readonly pki: Pick<Pki, 'readCertificate'>;
  /** Whether this node with this key is a member now. */
  readonly isMember: (nodeId: string, fingerprint: string) => boolean;
  readonly logger: Logger;
}

export interface PeerOptions {
  readonly nodeId: string;
  readonly material: TlsMaterial;
  readonly listenAddress: string;
  readonly port: number;
}

type Handler = (from: string, message: GossipMessage) => Promise<GossipMessage>;

interface Channel {
  readonly address: string;
  readonly client: GossipClient;
  /** First call without an answer since the last one that had one. */
  silentSince: number | undefined;
}

export class GrpcPeerTransport implements PeerTransport {
  readonly #deps: PeerDeps;
  readonly #options: PeerOptions;
  readonly #channels = new Map<string, Channel>();
  readonly #certificates = new Map<string, CertificateFacts>();
  #material: TlsMaterial;
  #port = 0;
  #closed = false;
  #stop: () => void = () => undefined;
  #replaceServerMaterial: (material: TlsMaterial) => void = () => undefined;

  constructor(deps: PeerDeps, options: PeerOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#material = options.material;
  }

  /** The port that is listened on, once it is. */
  get port(): number {
    return this.#port;
  }

  /**
   * Resolves when it listens. When the signal aborts it stops and drops every connection, those to others too. Throws
   * `config-invalid` when it cannot listen.
   */
  async serve(handle: Handler, signal: AbortSignal): Promise<void> {
    const server = createServer({ messageBytes: MAX_MESSAGE_BYTES, 'grpc.max_connection_idle_ms': MAX_IDLE_MS });
    server.addService(GossipService, {
      exchange: (call: ServerUnaryCall<WireMessage, WireMessage>, callback: sendUnaryData<WireMessage>) => {
        this.#answer(call, handle).then(
          (reply) => callback(null, reply),
          (error) => callback(encodeError(error)),
        );
      },
    });
    // The connections that it gets are TLS already.
    const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
    const tls = createTlsServer({
      ...contextOf(this.#material),
      ALPNProtocols: ['h2'],
      handshakeTimeout: LIMITS.settleMs,
      minVersion: TLS_VERSION,
      requestCert: true,
    });
    const { logger } = this.#deps;
    const door = new Door(LIMITS, { logger, receive: (socket) => tls.emit('connection', socket) });
    tls.on('tlsClientError', (_error, socket) => socket.destroy());
    tls.on('secureConnection', (socket) => {
      door.settle(`${socket.remoteAddress}:${socket.remotePort}`);
      socket.on('error', () => undefined);
      injector.injectConnection(socket);
    });
    const { listenAddress: host, port } = this.#options;
    this.#port = await door.open({ host, port, option: '--gossip-port' });
    this.#replaceServerMaterial = (material) =>
      tls.setSecureContext({ ...contextOf(material), minVersion: TLS_VERSION });
    const stop = () => {
      door.close();
      server.forceShutdown();
    };
    this.#stop = stop;
    this.#closed = false;
    const abort = () => (this.#stop === stop ? this.close() : stop());
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  }

  async request(peer: Peer, message: GossipMessage, timeoutMs: number): Promise<GossipMessage> {
    if (this.#closed) throw unreachable('this node has stopped talking to others', undefined);
    const channel = this.#channel(peer);
    const reply = await this.#exchange(channel, peer, message, timeoutMs);
    if (reply.from === peer.nodeId) return reply;
    throw new OverlaydError('peer-unreachable', `node ${peer.nodeId} at ${peer.address} answered as ${reply.from}`);
  }

  /** Takes a renewed certificate into use for new connections. */
  replaceMaterial(material: TlsMaterial): void {
    this.#material = material;
    this.#replaceServerMaterial(material);
    this.#closeChannels();
  }

  /** Closes what is open to others than these. */
  retain(nodeIds: ReadonlySet<string>): void {
    for (const [nodeId, { client }] of this.#channels) {
      if (nodeIds.has(nodeId)) continue;
      client.close();
      this.#channels.delete(nodeId);
    }
  }

  /** Stops serving and drops every connection. */
  close(): void {
    this.#closed = true;
    this.#stop();
    this.#closeChannels();
  }

  #closeChannels(): void {
    for (const { client } of this.#channels.values()) client.close();
    this.#channels.clear();
  }

  async #answer(call: ServerUnaryCall<WireMessage, WireMessage>, handle: Handler): Promise<WireMessage> {
    const raw = call.getAuthContext().sslPeerCertificate?.raw;
    if (raw === undefined) throw new OverlaydError('peer-refused', 'no client certificate');
    const { nodeId, fingerprint } = this.#identify(raw);
    if (!this.#deps.isMember(nodeId, fingerprint)) {
      throw new OverlaydError('peer-refused', `node ${nodeId} is not a member of the cluster (any more)`);
    }
    if (call.request.from !== nodeId) {
      throw new OverlaydError('peer-refused', `a message from ${call.request.from} came with ${nodeId}'s certificate`);
    }
    return toWire(await handle(nodeId, call.request));
  }

  #identify(raw: Buffer): CertificateFacts {
    const key = raw.toString('latin1');
    let facts = this.#certificates.get(key);
    if (facts === undefined) {
      facts = this.#deps.pki.readCertificate(new X509Certificate(raw).toString());
      if (this.#certificates.size >= KNOWN_CERTIFICATES) this.#certificates.clear();
      this.#certificates.set(key, facts);
    }
    return facts;
  }

  #channel(peer: Peer): Channel {
    const known = this.#channels.get(peer.nodeId);
    if (known !== undefined) {
      const silentMs = known.silentSince === undefined ? 0 : this.#deps.clock.elapsed() - known.silentSince;
      if (known.address === peer.address && silentMs <= SILENCE_MS) return known;
      known.client.close();
    }
    const channel: Channel = {
      address: peer.address,
      client: this.#createClient(peer),
      silentSince: undefined,
    };
    this.#channels.set(peer.nodeId, channel);
    return channel;
  }

  #createClient(peer: Peer): GossipClient {
    const { caCertificate, key, certificate } = this.#material;
    const name = `${peer.nodeId}.node.overlayd`;
    const secure = credentials.createSsl(Buffer.from(caCertificate), Buffer.from(key), Buffer.from(certificate));
    return new GossipClient(peer.address, secure, {
      ...KEEPALIVE,
      'grpc.ssl_target_name_override': name,
      'grpc.default_authority': name,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 2_000,
      'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
      'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
      'grpc.enable_retries': 0,
      'grpc.enable_http_proxy': 0,
      // A shared pool would give a new client the old one's stuck connection.
      'grpc.use_local_subchannel_pool': 1,
      'grpc.service_config_disable_resolution': 1,
      'grpc.enable_channelz': 0,
    });
  }

  #isInTime(): boolean {
    const { notBefore, notAfter } = this.#deps.pki.readCertificate(this.#material.certificate);
    const now = this.#deps.clock.now();
    return now >= notBefore && now <= notAfter;
  }

  #exchange(channel: Channel, peer: Peer, message: GossipMessage, timeoutMs: number): Promise<WireMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<WireMessage>();
    // A call's deadline is wall time, which a virtual clock knows nothing of.
    const deadline = Date.now() + timeoutMs;
    channel.client.exchange(toWire(message), new Metadata(), { deadline }, (error, reply) => {
      if (error?.code === status.DEADLINE_EXCEEDED) channel.silentSince ??= this.#deps.clock.elapsed();
      else channel.silentSince = undefined;
      if (error === null) resolve(reply);
      else reject(toPeerError(error, peer, this.#isInTime()));
    });
    return promise;
  }
}

/** `inTime`: whether this node's own certificate is valid now; a server that refuses it closes without a word. */
function toPeerError(error: ServiceError, peer: Peer, inTime: boolean): OverlaydError {
  const coded = decodeError(error);
  if (coded !== undefined) return coded;
  const where = `node ${peer.nodeId} at ${peer.address}`;
  if (error.code === status.UNAVAILABLE && (speaksOfTime(error.details) || !inTime)) {
    return new OverlaydError('clock-skew', `${where}: ${CLOCK_ADVICE}`, { cause: error, retryable: true });
  }
  switch (error.code) {
    case status.DEADLINE_EXCEEDED:
      return unreachable(`${where} did not answer in time; is ${portOf(peer.address)}/tcp open on the way?`, error);
    case status.UNAVAILABLE:
      return unreachable(`${where} cannot be reached: ${error.details}`, error);
    case status.CANCELLED:
      return unreachable(`the connection to ${where} was closed`, error);
    default:
      return asOverlaydError(error);
  }
}

function unreachable(message: string, cause: unknown): OverlaydError {
  return new OverlaydError('peer-unreachable', message, { cause, retryable: true });
}

function portOf(address: string): string {
  return address.slice(address.lastIndexOf(':') + 1);
}

/** The codec's types are mutable; it only reads. */
function toWire(message: GossipMessage): WireMessage {
  return message as WireMessage;
}
