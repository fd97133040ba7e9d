/**
 * The network between a thousand nodes in one process: latency, loss, cuts and starved hosts as the simulator's memory
 * transport has them, but messages are counted instead of encoded, and a request that is answered costs no timer of
 * its own. One message in {@link CHECKED} goes through the codec, and must have the length that was counted.
 */
import assert from 'node:assert/strict';
import { OverlaydError } from '../../src/core/errors.ts';
import type { GossipMessage } from '../../src/core/gossip/message.ts';
import { GossipMessage as Wire } from '../../src/gen/overlayd/v1/gossip.ts';
import type { Peer, PeerTransport } from '../../src/ports/peers.ts';
import type { Clock, Random } from '../../src/ports/runtime.ts';
import type { Cpu } from './cpu.ts';
import { deltaBytes, messageBytes } from './message-size.ts';

const CHECKED = 1_000;

type Handler = (from: string, message: GossipMessage) => Promise<GossipMessage>;

interface Station {
  readonly nodeId: string;
  readonly cpu: Cpu;
  handle: Handler | undefined;
  dead: boolean;
  /** Stations of different sides do not reach each other. */
  side: number;
  /** Stations that nothing from here gets to. */
  readonly unreachable: Set<Station>;
}

interface Exchange {
  readonly from: Station;
  readonly to: Station;
  readonly timeoutMs: number;
  readonly startedAt: number;
  readonly reply: PromiseWithResolvers<GossipMessage>;
  /** Its request carries records: it would not be there if nothing had changed. */
  readonly news: boolean;
}

export interface Traffic {
  readonly messages: number;
  readonly bytes: number;
  /** Messages and bytes that are there because a record changed: exchanges that bring records, deltas in replies. */
  readonly newsMessages: number;
  readonly newsBytes: number;
}

export interface LeanNetworkOptions {
  /** One way, uniform between the two. */
  readonly latencyMs: readonly [least: number, most: number];
  /** Share of the messages that get lost, 0 to 1; requests and replies alike. */
  readonly loss: number;
}

export class LeanNetwork {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #options: LeanNetworkOptions;
  readonly #stations = new Map<string, Station>();
  readonly #sent = { messages: 0, bytes: 0, newsMessages: 0, newsBytes: 0 };

  constructor(deps: { readonly clock: Clock; readonly random: Random }, options: LeanNetworkOptions) {
    this.#clock = deps.clock;
    this.#random = deps.random;
    this.#options = options;
  }

  /** What all nodes have sent so far. */
  get traffic(): Traffic {
    return { ...this.#sent };
  }

  transport(nodeId: string, cpu: Cpu): PeerTransport {
    const from: Station = { nodeId, cpu, handle: undefined, dead: false, side: 0, unreachable: new Set() };
    this.#stations.set(nodeId, from);
    return {
      request: (peer, message, timeoutMs) => this.#request(from, peer, message, timeoutMs),
      serve: async (handle) => {
        from.handle = handle;
      },
      isThere: async () => true,
      retain: () => undefined,
    };
  }

  crash(nodeId: string): void {
    this.#stations.get(nodeId)!.dead = true;
  }

  partition(nodeIds: Iterable<string>): void {
    for (const nodeId of nodeIds) this.#stations.get(nodeId)!.side = 1;
  }

  /** What this node sends to the other one is lost from now on. */
  cutOneWay(fromId: string, toId: string): void {
    this.#stations.get(fromId)!.unreachable.add(this.#stations.get(toId)!);
  }

  heal(): void {
    for (const station of this.#stations.values()) {
      station.side = 0;
      station.unreachable.clear();
    }
  }

  #request(from: Station, peer: Peer, message: GossipMessage, timeoutMs: number): Promise<GossipMessage> {
    const exchange: Exchange = {
      from,
      to: this.#stations.get(peer.nodeId)!,
      timeoutMs,
      startedAt: this.#clock.now(),
      reply: Promise.withResolvers(),
      news: message.delta !== undefined,
    };
    this.#count(message, exchange.news);
    this.#carry(exchange, exchange.from, exchange.to, () => void this.#deliver(exchange, message));
    return exchange.reply.promise;
  }

  async #deliver(exchange: Exchange, message: GossipMessage): Promise<void> {
    const { from, to } = exchange;
    if (!to.handle) return this.#fail(exchange);
    const reply = await to.handle(from.nodeId, message);
    this.#count(reply, exchange.news);
    this.#carry(exchange, to, from, () => exchange.reply.resolve(reply));
  }

  /** The way of one message; what does not get there, or not in time, fails the exchange when its time is over. */
  #carry(exchange: Exchange, from: Station, to: Station, arrive: () => void): void {
    const [least, most] = this.#options.latencyMs;
    const lost = this.#random.next() < this.#options.loss;
    const latencyMs = least + this.#random.next() * (most - least);
    if (lost || !isReachable(from, to)) {
      this.#fail(exchange);
      return;
    }
    const handledInMs = to.cpu.delayed(latencyMs);
    if (handledInMs > this.#leftMs(exchange)) this.#fail(exchange);
    void this.#clock.sleep(handledInMs).then(() => (isReachable(from, to) ? arrive() : this.#fail(exchange)));
  }

  #leftMs({ startedAt, timeoutMs }: Exchange): number {
    return startedAt + timeoutMs - this.#clock.now();
  }

  #fail(exchange: Exchange): void {
    const { from, to, reply } = exchange;
    const message = `node ${to.nodeId} did not answer in time`;
    const error = () => reply.reject(new OverlaydError('peer-unreachable', message, { retryable: true }));
    void this.#clock.sleep(from.cpu.delayed(Math.max(0, this.#leftMs(exchange)))).then(error);
  }

  #count(message: GossipMessage, news: boolean): void {
    const bytes = messageBytes(message);
    const sent = this.#sent;
    sent.messages++;
    sent.bytes += bytes;
    if (news) {
      sent.newsMessages++;
      sent.newsBytes += bytes;
    } else if (message.delta) sent.newsBytes += deltaBytes(message.delta);
    if (sent.messages % CHECKED === 0) checkLength(message, bytes);
  }
}

function isReachable(from: Station, to: Station): boolean {
  return !from.dead && !to.dead && from.side === to.side && !from.unreachable.has(to);
}

function checkLength(message: GossipMessage, bytes: number): void {
  assert.equal(bytes, Wire.encode(message as Wire).finish().length, 'length of a message');
}
