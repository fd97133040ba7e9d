/**
 * The sockets that the responder answers on: a UDP and a TCP socket per address of a network, in the network's namespace.
 * Data changes never touch them; they are bound anew only when the namespace is another one, and an address that
 * comes or goes does not touch those of the others. An open socket keeps its namespace alive, so they are closed before it
 * is removed.
 *
 * A successor takes them over as they are, with what waits in them: questions, connections.
 */
import type { RemoteInfo } from 'node:dgram';
import { stat } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { setImmediate as immediate } from 'node:timers/promises';
import { FAIR_QUEUE_LIMITS, FairQueue } from '../../core/dns/fair-queue.ts';
import { OverlaydError } from '../../core/errors.ts';
import { formatIp, parseIp } from '../../core/ip.ts';
import { KeyedQueue } from '../../core/keyed-queue.ts';
import { Sparing } from '../../core/sparing.ts';
import type { DnsHandler, DnsListeners } from '../../names/ports.ts';
import type { Logger } from '../../ports/runtime.ts';
import { type BindOptions, type BoundSockets, bindInNamespace } from './bind.ts';
import { STREAM_LIMITS, type StreamLimits, serveStreams } from './stream.ts';

export interface SocketListenersDeps {
  readonly handler: DnsHandler;
  readonly logger: Logger;
}

export interface SocketListenersOptions extends Partial<BindOptions> {
  readonly streams?: Partial<StreamLimits>;
}

/** As many as all that may wait of one source, and more. */
const MOST_TURNS = 300;

type Udp = BoundSockets['udp'];
type Tcp = BoundSockets['tcp'];

interface Datagram {
  readonly networkId: string;
  readonly udp: Udp;
  readonly message: Uint8Array;
  readonly from: RemoteInfo;
}

interface Listening {
  /** Of the namespace instance. */
  readonly identity: string;
  /** By address. */
  readonly serving: Map<string, Serving>;
}

/** Of sockets that are taken over one follows the other. */
interface Serving {
  udp?: Udp;
  tcp?: Tcp;
  /** Ends all connections. */
  endStreams?: () => void;
}

/** Where sockets are. */
export interface Place {
  readonly networkId: string;
  readonly identity: string;
  readonly address: string;
}

/** A question by UDP that is not answered yet. */
export interface OpenQuestion extends Pick<Place, 'networkId' | 'address'> {
  readonly message: Uint8Array;
  readonly from: RemoteInfo;
}

/** Has to send the socket before it returns, and resolves when the successor has it. */
export type GiveSocket = (place: Place, kind: 'udp' | 'tcp', socket: Udp | Tcp) => Promise<void>;

export class SocketListeners implements DnsListeners {
  readonly #deps: SocketListenersDeps;
  readonly #options: SocketListenersOptions;
  readonly #listening = new Map<string, Listening>();
  readonly #queue = new KeyedQueue();
  readonly #datagrams = new FairQueue<Datagram>(FAIR_QUEUE_LIMITS);
  /** Those that wait for an upstream server. */
  readonly #open = new Set<Datagram>();
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

  constructor(deps: SocketListenersDeps, options: SocketListenersOptions = {}) {
    this.#deps = deps;
    this.#options = options;
  }

  ensure(listener: { networkId: string; namespacePath: string; addresses: readonly string[] }): Promise<void> {
    const { networkId, namespacePath, addresses } = listener;
    return this.#queue.run(networkId, async () => {
      const identity = await identityOf(namespacePath);
      if (this.#listening.get(networkId)?.identity !== identity) this.#drop(networkId);
      const { serving } = this.#listening.get(networkId) ?? { serving: new Map<string, Serving>() };
      for (const [address, served] of serving) {
        if (addresses.includes(address)) continue;
        end(served);
        serving.delete(address);
      }
      const missing = addresses.filter((address) => !serving.has(address));
      if (missing.length === 0) return;
      this.#listening.set(networkId, { identity, serving });
      const startedAt = performance.now();
      const options = { ...this.#options, port: this.#options.port ?? 53 };
      for (const address of missing) {
        const sockets = await bindInNamespace(namespacePath, address, options);
        serving.set(address, {});
        this.#serveTcp(networkId, serving.get(address)!, sockets.tcp);
        this.#serveUdp(networkId, serving.get(address)!, sockets.udp);
      }
      const durationMs = Math.round(performance.now() - startedAt);
      this.#deps.logger.info({ networkId, addresses: missing, namespacePath, durationMs }, 'answering names');
    });
  }

  close(networkId: string): Promise<void> {
    return this.#queue.run(networkId, async () => this.#drop(networkId));
  }

  async keep(networkIds: ReadonlySet<string>): Promise<void> {
    const others = [...this.#listening.keys()].filter((networkId) => !networkIds.has(networkId));
    await Promise.all(others.map((networkId) => this.close(networkId)));
  }

  async release(namespacePath: string): Promise<void> {
    const identity = await identityOf(namespacePath).catch(() => undefined);
    const there = [...this.#listening].filter(([, listening]) => listening.identity === identity);
    await Promise.all(there.map(([networkId]) => this.close(networkId)));
  }

  async closeAll(): Promise<void> {
    await this.keep(new Set());
  }

  /** Questions of askers that were faster than they could be answered. */
  get dropped(): number {
    return this.#dropped;
  }

  get count(): number {
    return this.#listening.size;
  }

  /** Where both sockets of the address are bound; undefined while one of them is missing. */
  ports(networkId: string, address: string): { readonly udp: number; readonly tcp: number } | undefined {
    const { udp, tcp } = this.#listening.get(networkId)?.serving.get(address) ?? {};
    return udp && tcp && { udp: udp.address().port, tcp: (tcp.address() as AddressInfo).port };
  }

  /** A socket from a predecessor, which has stopped to read from it. */
  adopt({ networkId, identity, address }: Place, kind: 'udp' | 'tcp', socket: unknown): void {
    const listening = this.#listening.get(networkId) ?? { identity, serving: new Map<string, Serving>() };
    this.#listening.set(networkId, listening);
    const serving = listening.serving.get(address) ?? {};
    listening.serving.set(address, serving);
    if (kind === 'udp') this.#serveUdp(networkId, serving, socket as Udp);
    else this.#serveTcp(networkId, serving, socket as Tcp);
  }

  /** Questions that a predecessor has read and not answered. */
  resume({ networkId, address, message, from }: OpenQuestion): void {
    const udp = this.#listening.get(networkId)?.serving.get(address)?.udp;
    if (udp !== undefined) this.#answerDatagram({ networkId, udp, message, from });
  }

  /**
   * Gives all sockets away, one after the other; what is asked meanwhile is answered by whoever has the socket. Connections
   * that are open are served here until they end, which `drained` tells.
   */
  async handOver(give: GiveSocket): Promise<{ open: readonly OpenQuestion[]; drained: Promise<unknown> }> {
    const open: OpenQuestion[] = [];
    const draining: Promise<unknown>[] = [];
    for (const [networkId, { identity, serving }] of this.#listening) {
      for (const [address, { udp, tcp }] of serving) {
        const place = { networkId, identity, address };
        if (udp === undefined || tcp === undefined) continue;
        await give(place, 'tcp', tcp);
        draining.push(new Promise((resolve) => tcp.close(resolve)));
        await this.#answerWhatWasRead();
        for (const each of this.#open) {
          if (each.udp !== udp) continue;
          open.push({ networkId, address, message: each.message, from: each.from });
        }
        const given = give(place, 'udp', udp);
        udp.removeAllListeners('message');
        // In this turn: it would go on to read.
        udp.close();
        await given;
        serving.delete(address);
      }
    }
    this.#listening.clear();
    return { open, drained: Promise.all(draining) };
  }

  /** Resolves in a turn in which nothing waits that was read, nor to be sent. Who asks without end is not waited for. */
  async #answerWhatWasRead(): Promise<void> {
    for (let turn = 0; turn < MOST_TURNS; turn++) {
      await immediate();
      if (!this.#datagrams.turnDue) return;
      for (const datagram of this.#datagrams.turn()) this.#answerDatagram(datagram);
    }
  }

  #drop(networkId: string): void {
    for (const serving of this.#listening.get(networkId)?.serving.values() ?? []) end(serving);
    this.#listening.delete(networkId);
  }

  #serveUdp(networkId: string, serving: Serving, udp: Udp): void {
    const { logger } = this.#deps;
    udp.on('message', (message, from) => this.#takeDatagram({ networkId, udp, message, from }));
    udp.on('error', (error: NodeJS.ErrnoException) => {
      // a client that went away with its question is nobody's concern
      if (error.syscall === 'send') logger.debug({ networkId, error }, 'name answer not sent');
      else logger.warn({ networkId, error }, 'name socket failed');
    });
    serving.udp = udp;
  }

  #serveTcp(networkId: string, serving: Serving, tcp: Tcp): void {
    tcp.on('error', (error) => this.#deps.logger.warn({ networkId, error }, 'name socket failed'));
    const answer = (query: Uint8Array, source: string) => this.#answerStream(networkId, query, source);
    serving.tcp = tcp;
    serving.endStreams = serveStreams(tcp, answer, { ...STREAM_LIMITS, ...this.#options.streams });
  }

  #takeDatagram(datagram: Datagram): void {
    // A container may write that into its packets; Node.js throws when it is to send there.
    if (datagram.from.port === 0) return;
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

  #answerDatagram(datagram: Datagram): void {
    const { networkId, udp, message, from } = datagram;
    // The network may have gone meanwhile, its socket with it.
    if (udp.listenerCount('message') === 0) return;
    let answer: ReturnType<DnsHandler>;
    try {
      answer = this.#deps.handler(message, { networkId, address: canonical(from.address), transport: 'udp' });
    } catch (error) {
      this.#deps.logger.error({ networkId, error }, 'name question failed');
      return;
    }
    if (answer === undefined) return;
    if (answer instanceof Uint8Array) udp.send(answer, from.port, from.address);
    else void this.#answerLater(datagram, answer);
  }

  async #answerLater(datagram: Datagram, answer: Promise<Uint8Array | undefined>): Promise<void> {
    const { networkId, udp, from } = datagram;
    this.#open.add(datagram);
    try {
      const message = await answer;
      // the network may have gone meanwhile, its socket with it
      if (message !== undefined && udp.listenerCount('message') > 0) udp.send(message, from.port, from.address);
    } catch (error) {
      this.#deps.logger.error({ networkId, error }, 'name question failed');
    } finally {
      this.#open.delete(datagram);
    }
  }

  async #answerStream(networkId: string, query: Uint8Array, source: string): Promise<Uint8Array | undefined> {
    try {
      return await this.#deps.handler(query, { networkId, address: canonical(source), transport: 'tcp' });
    } catch (error) {
      this.#deps.logger.error({ networkId, error }, 'name question failed');
      return undefined;
    }
  }
}

function end({ udp, tcp, endStreams }: Serving): void {
  udp?.removeAllListeners('message');
  udp?.close();
  tcp?.close();
  endStreams?.();
}

/** What clients are known by. Of IPv6 the C library and RFC 5952 are not of one mind. */
function canonical(address: string): string {
  const ip = address.includes(':') ? parseIp(address) : undefined;
  return ip === undefined ? address : formatIp(ip);
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
