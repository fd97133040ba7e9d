/**
 * Gossip between members over mutual TLS. A server answers those only whose certificate is of the cluster's CA and
 * belongs to a current member, and takes no message from a node other than the certificate's. A client asks for
 * `<nodeId>.node.overlayd`, so it reaches exactly that node or nobody, whoever has the address today.
 * One channel per peer, lazily. It is thrown away when the peer's address changes or when it has been silent for
 * 5 s: channels can hang in CONNECTING for good, and half-open ones wait for TCP.
 */
import { X509Certificate } from 'node:crypto';
import {
  credentials,
  Metadata,
  type Server,
  type ServerUnaryCall,
  type ServiceError,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { asOverlaydError, OverlaydError } from '../../core/errors.ts';
import type { GossipMessage } from '../../core/gossip/message.ts';
import { GossipClient, GossipService, type GossipMessage as WireMessage } from '../../gen/overlayd/v1/gossip.ts';
import type { CertificateFacts, Clock, Peer, PeerTransport, Pki, TlsMaterial } from '../../ports.ts';
import { decodeError, encodeError } from './error.ts';
import { createServer, KEEPALIVE, listen, NodeCredentials } from './server.ts';

const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
const SILENCE_MS = 5_000;
const KNOWN_CERTIFICATES = 4096;

export interface PeerDeps {
  readonly clock: Clock;
  readonly pki: Pick<Pki, 'readCertificate'>;
  /** Whether this node with this key is a member now. */
  readonly isMember: (nodeId: string, fingerprint: string) => boolean;
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
  readonly #serverCredentials: NodeCredentials;
  readonly #channels = new Map<string, Channel>();
  readonly #certificates = new Map<string, CertificateFacts>();
  #material: TlsMaterial;
  #server: Server | undefined;
  #port = 0;

  constructor(deps: PeerDeps, options: PeerOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#material = options.material;
    this.#serverCredentials = new NodeCredentials(options.material, { clientCertificates: true });
  }

  /** The port that is listened on, once it is. */
  get port(): number {
    return this.#port;
  }

  /** Resolves when it listens; stops when the signal aborts. Throws `config-invalid` when it cannot listen. */
  async serve(handle: Handler, signal: AbortSignal): Promise<void> {
    const server = createServer({ messageBytes: MAX_MESSAGE_BYTES });
    server.addService(GossipService, {
      exchange: (call: ServerUnaryCall<WireMessage, WireMessage>, callback: sendUnaryData<WireMessage>) => {
        this.#answer(call, handle).then(
          (reply) => callback(null, reply),
          (error) => callback(encodeError(error)),
        );
      },
    });
    const target = `${this.#options.listenAddress}:${this.#options.port}`;
    this.#port = await listen(server, { target, option: '--gossip-port' }, this.#serverCredentials);
    this.#server = server;
    if (signal.aborted) server.forceShutdown();
    else signal.addEventListener('abort', () => server.forceShutdown(), { once: true });
  }

  async request(peer: Peer, message: GossipMessage, timeoutMs: number): Promise<GossipMessage> {
    const channel = this.#channel(peer);
    const reply = await this.#exchange(channel, peer, message, timeoutMs);
    if (reply.from === peer.nodeId) return reply;
    throw new OverlaydError('peer-unreachable', `node ${peer.nodeId} at ${peer.address} answered as ${reply.from}`);
  }

  /** Takes a renewed certificate into use for new connections. */
  replaceMaterial(material: TlsMaterial): void {
    this.#material = material;
    this.#serverCredentials.replace(material);
    this.#closeChannels();
  }

  /** Stops serving and drops every connection. */
  close(): void {
    this.#server?.forceShutdown();
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
      const silentMs = known.silentSince === undefined ? 0 : this.#deps.clock.now() - known.silentSince;
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

  #exchange(channel: Channel, peer: Peer, message: GossipMessage, timeoutMs: number): Promise<WireMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<WireMessage>();
    // A call's deadline is wall time, which a virtual clock knows nothing of.
    const deadline = Date.now() + timeoutMs;
    channel.client.exchange(toWire(message), new Metadata(), { deadline }, (error, reply) => {
      if (error?.code === status.DEADLINE_EXCEEDED) channel.silentSince ??= this.#deps.clock.now();
      else channel.silentSince = undefined;
      if (error === null) resolve(reply);
      else reject(toPeerError(error, peer));
    });
    return promise;
  }
}

function toPeerError(error: ServiceError, peer: Peer): OverlaydError {
  const coded = decodeError(error);
  if (coded !== undefined) return coded;
  const where = `node ${peer.nodeId} at ${peer.address}`;
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
