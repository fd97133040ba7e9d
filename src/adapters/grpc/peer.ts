/**
 * Gossip between members over mutual TLS. A server answers those only whose certificate is of the cluster's CA and
 * belongs to a current member, and takes no message from a node other than the certificate's. A client asks for
 * `<nodeId>.node.overlayd`, so it reaches exactly that node or nobody, whoever has the address today.
 * One channel per peer, lazily, and on it one stream while there is something to ask. It is thrown away when the peer's
 * address changes or when it has been silent for 5 s: channels can hang in CONNECTING for good, and half-open ones wait
 * for TCP. It goes when the peer is no member any more. TLS ends here, before HTTP/2 begins: nobody without a member's
 * certificate gets as far as that. What is asked of keepers comes here too (`keepers.ts`), and what members
 * tell of their hosts (`members.ts`).
 */
import { X509Certificate } from 'node:crypto';
import { createServer as createTlsServer } from 'node:tls';
import {
  type ChannelCredentials,
  type ClientOptions,
  credentials,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import type { CertificateFacts } from '../../core/certificate.ts';
import { CLOCK_ADVICE, speaksOfTime } from '../../core/clock-words.ts';
import type { DriftReport } from '../../core/drift/drift.ts';
import { OverlaydError } from '../../core/errors.ts';
import type { Selected } from '../../core/events/event-history.ts';
import type { GossipMessage } from '../../core/gossip/message.ts';
import { parseHostPort } from '../../core/host-port.ts';
import type { Look, Seen } from '../../core/look.ts';
import { type Answer, GossipClient, GossipService, type Question } from '../../gen/overlayd/v1/gossip.ts';
import { KeepersService } from '../../gen/overlayd/v1/keepers.ts';
import { MembersService } from '../../gen/overlayd/v1/members.ts';
import type { Pki, TlsMaterial } from '../../ports/identity.ts';
import type { Answered, Asked, KeeperMethod, KeepersHandler, KeepersTransport } from '../../ports/keepers.ts';
import type { DriftQuery, EventQuery, MembersHandler, MembersTransport } from '../../ports/members.ts';
import type { Peer, PeerTransport } from '../../ports/peers.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import { answerAll, Conversation, type Unanswered } from './conversation.ts';
import { Door, type DoorLimits, peerName } from './door.ts';
import { unreachable } from './error.ts';
import { answerFor, askKeeper, keeperMethods } from './keepers.ts';
import type { RequireMember } from './member-stream.ts';
import { askDrift, askEvents, askLook, memberMethods } from './members.ts';
import { takesOrRefuses } from './presence.ts';
import { contextOf, createServer, KEEPALIVE } from './server.ts';

const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
const SILENCE_MS = 5_000;
/** Of many members each is asked now and then: a stream that nothing is asked on is memory at both ends. */
const QUIET_MS = 30_000;
const KNOWN_CERTIFICATES = 4096;
const MAX_IDLE_MS = 600_000;
/** Of one connection: one that is asked on, and those that wait for their last answers. */
const MOST_STREAMS = 8;
/** Both ends of all connections ping. Questions tell sooner who does not answer: this only ends what nobody asks on. */
const PING = { 'grpc.keepalive_time_ms': 60_000 };

/**
 * Of connections whose client has not proved yet to be a member; all members may come at once, and out of one subnet. Each question
 * beside gossip has a connection of its own, so a member that has been there has room for many.
 */
const LIMITS: DoorLimits = {
  perSource: 8,
  total: 256,
  reserved: 64,
  credit: 30,
  creditPerSecond: 5,
  settleMs: 5_000,
  ipv6Prefix: 128,
  bytes: 64 * 1024,
};

export interface PeerDeps {
  readonly clock: Clock;
  readonly pki: Pick<Pki, 'readCertificate'>;
  /** Whether this node with this key is a member now. */
  readonly isMember: (nodeId: string, fingerprint: string) => boolean;
  /** What this node does for others as a keeper. */
  readonly keeper: KeepersHandler;
  /** What this node tells others of its host. Absent: it is not asked, as in older releases. */
  readonly members?: MembersHandler;
  /** Another member asked, or answered: the process is awake. */
  readonly onHeard?: () => void;
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
  conversation: Conversation | undefined;
  askedAt: number;
  /** First question without an answer since the last one that had one. */
  silentSince: number | undefined;
}

export class GrpcPeerTransport implements PeerTransport, KeepersTransport, MembersTransport {
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
    const server = createServer({
      ...PING,
      messageBytes: MAX_MESSAGE_BYTES,
      'grpc.max_connection_idle_ms': MAX_IDLE_MS,
      'grpc.max_concurrent_streams': MOST_STREAMS,
    });
    server.addService(GossipService, {
      converse: (stream: ServerDuplexStream<Question, Answer>) => {
        const proven = this.#identifier(stream);
        answerAll(stream, (message) => {
          this.#deps.onHeard?.();
          return this.#answer(proven, message, handle);
        });
      },
    });
    server.addService(
      KeepersService,
      keeperMethods(async (method, asked, call) => {
        const { nodeId } = this.#requireMember(this.#identifier(call));
        return answerFor(this.#deps.keeper, method, asked, nodeId);
      }),
    );
    const { members } = this.#deps;
    if (members) {
      const require: RequireMember = (call) => this.#requireMember(this.#identifier(call)).nodeId;
      const methods = memberMethods(members, require, this.#deps.clock.elapsed);
      server.addService(MembersService, methods);
    }
    // The connections that it gets are TLS already.
    const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
    const tls = createTlsServer({
      ...contextOf(this.#material),
      ALPNProtocols: ['h2'],
      handshakeTimeout: LIMITS.settleMs,
      requestCert: true,
    });
    const { logger } = this.#deps;
    const door = new Door(LIMITS, { logger, receive: (socket) => tls.emit('connection', socket) });
    tls.on('tlsClientError', (_error, socket) => socket.destroy());
    tls.on('secureConnection', (socket) => {
      const raw = socket.getPeerX509Certificate()?.raw;
      door.settle(
        peerName(socket.remoteAddress ?? '', socket.remotePort ?? 0),
        raw !== undefined && this.#isMember(raw),
      );
      socket.on('error', () => undefined);
      injector.injectConnection(socket);
    });
    const { listenAddress: host, port } = this.#options;
    this.#port = await door.open({ host, port, option: '--gossip-port' });
    this.#replaceServerMaterial = (material) => tls.setSecureContext(contextOf(material));
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
    const reply = await this.#ask(channel, peer, message, timeoutMs);
    if (reply.from === peer.nodeId) return reply;
    throw new OverlaydError('peer-unreachable', `node ${peer.nodeId} at ${peer.address} answered as ${reply.from}`);
  }

  isThere({ address }: Peer, timeoutMs: number): Promise<boolean> {
    return takesOrRefuses(address, timeoutMs);
  }

  async ask<M extends KeeperMethod>(peer: Peer, method: M, asked: Asked<M>, timeoutMs: number): Promise<Answered<M>> {
    if (this.#closed) throw unreachable('this node has stopped talking to others', undefined, true);
    return askKeeper(peer, method, asked, { ...this.#wayTo(peer), timeoutMs });
  }

  events(peer: Peer, query: EventQuery, signal: AbortSignal): AsyncIterable<Selected> {
    if (this.#closed) throw unreachable('this node has stopped talking to others', undefined);
    return askEvents(peer, query, { ...this.#wayTo(peer), signal });
  }

  async drift(peer: Peer, query: DriftQuery, signal: AbortSignal): Promise<DriftReport> {
    if (this.#closed) throw unreachable('this node has stopped talking to others', undefined);
    return await askDrift(peer, query, { ...this.#wayTo(peer), signal });
  }

  async look(peer: Peer, look: Look, signal: AbortSignal): Promise<Seen> {
    if (this.#closed) throw unreachable('this node has stopped talking to others', undefined);
    return await askLook(peer, look, { ...this.#wayTo(peer), signal });
  }

  /** Takes a renewed certificate into use for new connections. */
  replaceMaterial(material: TlsMaterial): void {
    this.#material = material;
    this.#replaceServerMaterial(material);
    this.#closeChannels();
  }

  /** Closes what is open to others than these. */
  retain(nodeIds: ReadonlySet<string>): void {
    const now = this.#deps.clock.elapsed();
    for (const [nodeId, channel] of this.#channels) {
      if (!nodeIds.has(nodeId)) {
        close(channel);
        this.#channels.delete(nodeId);
      } else if (now - channel.askedAt > QUIET_MS) {
        channel.conversation?.end();
        channel.conversation = undefined;
      }
    }
  }

  /** Stops serving and drops every connection. */
  close(): void {
    this.#closed = true;
    this.#stop();
    this.#closeChannels();
  }

  #closeChannels(): void {
    for (const channel of this.#channels.values()) close(channel);
    this.#channels.clear();
  }

  /** Reads who is at the other end once, when it is first asked for. */
  #identifier(call: Pick<ServerUnaryCall<object, object>, 'getAuthContext'>): () => CertificateFacts {
    let facts: CertificateFacts | undefined;
    return () => {
      const raw = facts ? undefined : call.getAuthContext().sslPeerCertificate?.raw;
      if (raw) facts = this.#identify(raw);
      if (!facts) throw new OverlaydError('peer-refused', 'no client certificate');
      return facts;
    };
  }

  #requireMember(proven: () => CertificateFacts): CertificateFacts {
    const facts = proven();
    if (this.#deps.isMember(facts.nodeId, facts.fingerprint)) return facts;
    throw new OverlaydError('peer-refused', `node ${facts.nodeId} is not a member of the cluster (any more)`);
  }

  async #answer(proven: () => CertificateFacts, message: GossipMessage, handle: Handler): Promise<GossipMessage> {
    const { nodeId } = this.#requireMember(proven);
    if (message.from !== nodeId) {
      throw new OverlaydError('peer-refused', `a message from ${message.from} came with ${nodeId}'s certificate`);
    }
    return handle(nodeId, message);
  }

  #isMember(raw: Buffer): boolean {
    const { nodeId, fingerprint } = this.#identify(raw);
    return this.#deps.isMember(nodeId, fingerprint);
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
      close(known);
    }
    const channel: Channel = {
      address: peer.address,
      client: this.#createClient(peer),
      conversation: undefined,
      askedAt: 0,
      silentSince: undefined,
    };
    this.#channels.set(peer.nodeId, channel);
    return channel;
  }

  #createClient(peer: Peer): GossipClient {
    const { secure, options } = this.#wayTo(peer);
    return new GossipClient(peer.address, secure, options);
  }

  #wayTo({ nodeId }: Peer): { readonly secure: ChannelCredentials; readonly options: ClientOptions } {
    const { caCertificate, key, certificate } = this.#material;
    const name = `${nodeId}.node.overlayd`;
    const secure = credentials.createSsl(Buffer.from(caCertificate), Buffer.from(key), Buffer.from(certificate));
    return { secure, options: { ...CHANNEL, 'grpc.ssl_target_name_override': name, 'grpc.default_authority': name } };
  }

  #isInTime(): boolean {
    const { notBefore, notAfter } = this.#deps.pki.readCertificate(this.#material.certificate);
    const now = this.#deps.clock.now();
    return now >= notBefore && now <= notAfter;
  }

  async #ask(channel: Channel, peer: Peer, message: GossipMessage, timeoutMs: number): Promise<GossipMessage> {
    const { clock, onHeard } = this.#deps;
    channel.askedAt = clock.elapsed();
    if (channel.conversation?.isOver !== false) channel.conversation = new Conversation(channel.client.converse());
    const outcome = await channel.conversation.ask(message, timeoutMs);
    if (outcome.kind === 'late') channel.silentSince ??= clock.elapsed();
    else channel.silentSince = undefined;
    if (outcome.kind !== 'message') throw toPeerError(outcome, peer, this.#isInTime());
    onHeard?.();
    return outcome.message;
  }
}

const CHANNEL: ClientOptions = {
  ...KEEPALIVE,
  ...PING,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2_000,
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
  'grpc.enable_http_proxy': 0,
  // A shared pool would give a new client the old one's stuck connection.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_channelz': 0,
};

function close({ conversation, client }: Channel): void {
  conversation?.end();
  client.close();
}

/** `inTime`: whether this node's own certificate is valid now; a server that refuses it closes without a word. */
function toPeerError(outcome: Unanswered, peer: Peer, inTime: boolean): OverlaydError {
  const where = `node ${peer.nodeId} at ${peer.address}`;
  switch (outcome.kind) {
    case 'failure':
      return outcome.error;
    case 'late':
      return unreachable(
        `${where} did not answer in time; is ${parseHostPort(peer.address)?.port}/tcp open on the way?`,
        undefined,
      );
    case 'ended':
      return toEndError(outcome.error, where, inTime);
  }
}

function toEndError(error: Pick<ServiceError, 'code' | 'details'>, where: string, inTime: boolean): OverlaydError {
  const { code, details } = error;
  switch (code) {
    case status.UNAVAILABLE:
      if (inTime && !speaksOfTime(details)) return unreachable(`${where} cannot be reached: ${details}`, error);
      return new OverlaydError('clock-skew', `${where}: ${CLOCK_ADVICE}`, { cause: error, retryable: true });
    case status.CANCELLED:
      return unreachable(`the connection to ${where} was closed`, error);
    default:
      return new OverlaydError('internal', `${where}: ${details}`, { cause: error });
  }
}
