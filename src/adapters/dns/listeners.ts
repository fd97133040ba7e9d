/**
 * The sockets that the responder answers on: a UDP and a TCP socket per address of a network, bound in the network's
 * namespace by a short-lived child and kept here. Data changes never touch them; they are bound anew only when the
 * namespace is another one, and an address that comes or goes does not touch those of the others. An open socket keeps
 * its namespace alive, so they are closed before it is removed.
 */
import type { RemoteInfo } from 'node:dgram';
import { stat } from 'node:fs/promises';
import { FAIR_QUEUE_LIMITS, FairQueue } from '../../core/dns/fair-queue.ts';
import { OverlaydError } from '../../core/errors.ts';
import { KeyedQueue } from '../../core/keyed-queue.ts';
import { Sparing } from '../../core/sparing.ts';
import type { DnsHandler, DnsListeners, Logger } from '../../ports.ts';
import { type BindOptions, type BoundSockets, bindInNamespace } from './bind.ts';
import { STREAM_LIMITS, type StreamLimits, serveStreams } from './stream.ts';

export interface SocketListenersDeps {
  readonly handler: DnsHandler;
  readonly logger: Logger;
}

export interface SocketListenersOptions extends Omit<BindOptions, 'port'> {
  readonly port?: number;
  readonly streams?: Partial<StreamLimits>;
}

/** Linux takes it for `net.core.rmem_max` at most, and gives twice that. */
const RECEIVE_BUFFER_BYTES = 1 << 20;

interface Datagram {
  readonly networkId: string;
  readonly udp: BoundSockets['udp'];
  readonly message: Uint8Array;
  readonly from: RemoteInfo;
}

interface Listening {
  /** Of the namespace instance. */
  readonly identity: string;
  /** What closes the sockets, by address. */
  readonly closing: Map<string, () => void>;
}

export class SocketListeners implements DnsListeners {
  readonly #deps: SocketListenersDeps;
  readonly #options: SocketListenersOptions;
  readonly #listening = new Map<string, Listening>();
  readonly #queue = new KeyedQueue();
  readonly #datagrams = new FairQueue<Datagram>(FAIR_QUEUE_LIMITS);
  readonly #drops = new Sparing({ limit: 1, windowMs: 60_000 });
  #dropped = 0;
  #turnAwaited = false;
  readonly #takeTurn = (): void => {
    this.#turnAwaited = false;
    for (const datagram of this.#datagrams.turn()) this.#answerDatagram(datagram);
    if (!this.#datagrams.turnDue) return;
    this.#turnAwaited = true;
    setImmediate(this.#takeTurn);
  };

  constructor(deps: SocketListenersDeps, options: SocketListenersOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  ensure(listener: { networkId: string; namespacePath: string; addresses: readonly string[] }): Promise<void> {
    const { networkId, namespacePath, addresses } = listener;
    return this.#queue.run(networkId, async () => {
      const identity = await identityOf(namespacePath);
      if (this.#listening.get(networkId)?.identity !== identity) this.#drop(networkId);
      const { closing } = this.#listening.get(networkId) ?? { closing: new Map<string, () => void>() };
      for (const [address, close] of closing) {
        if (addresses.includes(address)) continue;
        close();
        closing.delete(address);
      }
      const missing = addresses.filter((address) => !closing.has(address));
      if (missing.length === 0) return;
      this.#listening.set(networkId, { identity, closing });
      const startedAt = performance.now();
      const options = { ...this.#options, port: this.#options.port ?? 53 };
      await bindInNamespace(namespacePath, missing, options, (sockets) => {
        closing.set(sockets.address, this.#serve(networkId, sockets));
      });
      const durationMs = Math.round(performance.now() - startedAt);
      this.#deps.logger.info({ networkId, addresses: missing, namespacePath, durationMs }, 'answering names');
    });
  }

  close(networkId: string): Promise<void> {
    return this.#queue.run(networkId, async () => this.#drop(networkId));
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#listening.keys()].map((networkId) => this.close(networkId)));
  }

  #drop(networkId: string): void {
    for (const close of this.#listening.get(networkId)?.closing.values() ?? []) close();
    this.#listening.delete(networkId);
  }

  #serve(networkId: string, { udp, tcp }: BoundSockets): () => void {
    const { logger } = this.#deps;
    // Questions wait there while this process does not run, and twice as many as by default.
    udp.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
    udp.on('message', (message, from) => this.#takeDatagram({ networkId, udp, message, from }));
    udp.on('error', (error: NodeJS.ErrnoException) => {
      // a client that went away with its question is nobody's concern
      if (error.syscall === 'send') logger.debug({ networkId, error }, 'name answer not sent');
      else logger.warn({ networkId, error }, 'name socket failed');
    });
    tcp.on('error', (error) => logger.warn({ networkId, error }, 'name socket failed'));
    const endStreams = serveStreams(tcp, (query, source) => this.#answerStream(networkId, query, source), {
      ...STREAM_LIMITS,
      ...this.#options.streams,
    });
    return () => {
      udp.removeAllListeners('message');
      udp.close();
      tcp.close();
      endStreams();
    };
  }

  #takeDatagram(datagram: Datagram): void {
    const queue = this.#datagrams;
    const fate = queue.offer(`${datagram.networkId} ${datagram.from.address}`, datagram);
    if (fate === 'now') this.#answerDatagram(datagram);
    else if (fate === 'dropped') this.#reportDropped(datagram);
    if (!queue.turnDue || this.#turnAwaited) return;
    this.#turnAwaited = true;
    setImmediate(this.#takeTurn);
  }

  #reportDropped({ networkId, from }: Datagram): void {
    this.#dropped++;
    if (this.#drops.take(performance.now()) === undefined) return;
    const fields = { networkId, container: from.address, dropped: this.#dropped };
    this.#deps.logger.warn(fields, 'name questions dropped: this container asks faster than it can be answered');
  }

  #answerDatagram({ networkId, udp, message, from }: Datagram): void {
    // The network may have gone meanwhile, its socket with it.
    if (udp.listenerCount('message') === 0) return;
    let answer: ReturnType<DnsHandler>;
    try {
      answer = this.#deps.handler(message, { networkId, address: from.address, transport: 'udp' });
    } catch (error) {
      this.#deps.logger.error({ networkId, error }, 'name question failed');
      return;
    }
    if (answer === undefined) return;
    if (answer instanceof Uint8Array) udp.send(answer, from.port, from.address);
    else void this.#answerLater(networkId, udp, answer, from);
  }

  async #answerLater(
    networkId: string,
    udp: BoundSockets['udp'],
    answer: Promise<Uint8Array | undefined>,
    from: RemoteInfo,
  ): Promise<void> {
    try {
      const message = await answer;
      // the network may have gone meanwhile, its socket with it
      if (message !== undefined && udp.listenerCount('message') > 0) udp.send(message, from.port, from.address);
    } catch (error) {
      this.#deps.logger.error({ networkId, error }, 'name question failed');
    }
  }

  async #answerStream(networkId: string, query: Uint8Array, source: string): Promise<Uint8Array | undefined> {
    try {
      return await this.#deps.handler(query, { networkId, address: source, transport: 'tcp' });
    } catch (error) {
      this.#deps.logger.error({ networkId, error }, 'name question failed');
      return undefined;
    }
  }
}

/** Tells a namespace from a later one at the same path. */
async function identityOf(namespacePath: string): Promise<string> {
  try {
    const { dev, ino } = await stat(namespacePath, { bigint: true });
    return `${dev}:${ino}`;
  } catch (cause) {
    throw new OverlaydError(
      'data-path-failed',
      `cannot listen for DNS in ${namespacePath}: the namespace is not there; it is made again when the network is next set up`,
      { cause, retryable: true },
    );
  }
}
