/**
 * The network between agents in one process: every message goes through the wire encoding, takes its time on the
 * clock that it is given, and can be lost, cut off or refused. With a seeded `random` and a virtual clock a run
 * replays exactly.
 */
import { OverlaydError } from '../../src/core/errors.ts';
import type { GossipMessage } from '../../src/core/gossip/message.ts';
import { GossipMessage as Wire } from '../../src/gen/overlayd/v1/gossip.ts';
import { KeepersService } from '../../src/gen/overlayd/v1/keepers.ts';
import type { KeeperMethod, KeepersHandler, KeepersTransport } from '../../src/ports/keepers.ts';
import type { Peer, PeerTransport } from '../../src/ports/peers.ts';
import type { Clock } from '../../src/ports/runtime.ts';

export interface MemoryNetworkOptions {
  /** One way, uniform between the two. */
  readonly latencyMs?: readonly [least: number, most: number];
  /** Share of the messages that get lost, 0 to 1; requests and replies alike. */
  readonly loss?: number;
}

/** So long a question waits for a connection. */
const CONNECT_MS = 1_500;

type Handler = (from: string, message: GossipMessage) => Promise<GossipMessage>;

interface Node {
  readonly nodeId: string;
  handle: Handler | undefined;
  readonly keeper: KeepersHandler | undefined;
}

interface Codec {
  readonly requestSerialize: (value: unknown) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => unknown;
  readonly responseSerialize: (value: unknown) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => unknown;
}

export class MemoryNetwork {
  readonly #deps: { readonly clock: Clock; readonly random: { next(): number } };
  readonly #byAddress = new Map<string, Node>();
  /** `from>to` pairs that nothing passes between. */
  readonly #cuts = new Set<string>();
  readonly #dead = new Set<string>();
  latencyMs: readonly [least: number, most: number];
  loss: number;
  /** What was put on the wire so far. */
  readonly sent = { messages: 0, bytes: 0 };
  /** Is told of every message that is put on the wire. */
  onMessage: (message: GossipMessage) => void = () => undefined;
  /** The address at which a node is known that another one calls at that address; undefined: nothing gets there. */
  resolve: (from: string, address: string) => string | undefined = (_, address) => address;
  /** What becomes of a message on its way; tests replace it. */
  garble: (message: GossipMessage) => GossipMessage = (message) => message;

  constructor(
    deps: { readonly clock: Clock; readonly random: { next(): number } },
    options: MemoryNetworkOptions = {},
  ) {
    this.#deps = deps;
    this.latencyMs = options.latencyMs ?? [0, 0];
    this.loss = options.loss ?? 0;
  }

  /** A node's transport, reached by others at `address` (its id when absent). `keeper`: what it does for others. */
  transport(nodeId: string, address = nodeId, keeper?: KeepersHandler): PeerTransport & KeepersTransport {
    const node: Node = { nodeId, handle: undefined, keeper };
    this.#byAddress.set(address, node);
    return {
      request: (peer, message, timeoutMs) => this.#inTime(peer, timeoutMs, () => this.#exchange(nodeId, peer, message)),
      ask: (peer, method, asked, timeoutMs) =>
        this.#inTime(peer, timeoutMs, async () => (await this.#ask(nodeId, peer, method, asked)) as never),
      serve: async (handle, signal) => {
        node.handle = handle;
        const stop = () => {
          if (node.handle === handle) node.handle = undefined;
        };
        if (signal.aborted) stop();
        else signal.addEventListener('abort', stop, { once: true });
      },
      isThere: async ({ nodeId: sought, address }, timeoutMs) => {
        const known = this.resolve(nodeId, address);
        const to = known === undefined ? undefined : (this.#byAddress.get(known)?.nodeId ?? sought);
        const isSilent = () => to === undefined || this.#isCut(nodeId, to) || this.#isCut(to, nodeId);
        await this.#deps.clock.sleep(isSilent() ? timeoutMs : 2 * this.latencyMs[0]);
        return !isSilent();
      },
      retain: () => undefined,
    };
  }

  cut(a: string, b: string): void {
    this.cutOneWay(a, b);
    this.cutOneWay(b, a);
  }

  cutOneWay(from: string, to: string): void {
    this.#cuts.add(`${from}>${to}`);
  }

  /** Cuts every pair of nodes that are in different groups. */
  partition(...groups: readonly (readonly string[])[]): void {
    for (const [i, group] of groups.entries()) {
      for (const other of groups.slice(i + 1).flat()) {
        for (const node of group) this.cut(node, other);
      }
    }
  }

  heal(): void {
    this.#cuts.clear();
  }

  /** Power off: nothing comes from it, nothing reaches it, nobody is told. */
  crash(nodeId: string): void {
    this.#dead.add(nodeId);
  }

  revive(nodeId: string): void {
    this.#dead.delete(nodeId);
  }

  async #inTime<T>(peer: Peer, timeoutMs: number, exchange: () => Promise<T>): Promise<T> {
    const stop = new AbortController();
    const timeout = this.#deps.clock.sleep(timeoutMs, stop.signal).then(() => {
      throw unreachable(peer, 'did not answer in time');
    });
    timeout.catch(() => undefined);
    try {
      return await Promise.race([exchange(), timeout]);
    } finally {
      stop.abort();
    }
  }

  async #exchange(from: string, peer: Peer, message: GossipMessage): Promise<GossipMessage> {
    const node = await this.#find(from, peer);
    const to = node?.nodeId ?? peer.nodeId;
    const request = await this.#carry(from, to, message);
    if (node === undefined || node.handle === undefined) throw unreachable(peer, 'refused the connection');
    if (node.nodeId !== peer.nodeId) throw unreachable(peer, `is node ${node.nodeId}`);
    if (request.from !== from) {
      throw new OverlaydError('peer-refused', `a message from ${request.from} came with ${from}'s certificate`);
    }
    const reply = await node.handle(from, request);
    return this.#carry(to, from, reply);
  }

  async #ask(from: string, peer: Peer, method: KeeperMethod, asked: object): Promise<unknown> {
    const codec = KeepersService[method] as unknown as Codec;
    const node = await this.#connect(from, peer);
    const to = node.nodeId;
    const request = codec.requestSerialize(asked);
    await this.#deliver(from, to, request);
    if (node.handle === undefined || node.keeper === undefined) throw unreachable(peer, 'went away');
    const value = await node.keeper[method](codec.requestDeserialize(request) as never, from);
    const answer = codec.responseSerialize(value);
    await this.#deliver(to, from, answer);
    return codec.responseDeserialize(answer);
  }

  /** Each question to a keeper has a connection of its own: where there is none, nothing was asked. */
  async #connect(from: string, peer: Peer): Promise<Node> {
    const known = this.resolve(from, peer.address);
    const node = known === undefined ? undefined : this.#byAddress.get(known);
    const to = node?.nodeId ?? peer.nodeId;
    if (known === undefined || this.#isCut(from, to) || this.#isCut(to, from)) {
      await this.#deps.clock.sleep(CONNECT_MS);
      throw unreachable(peer, 'cannot be reached', true);
    }
    if (node?.handle === undefined || node.keeper === undefined)
      throw unreachable(peer, 'refused the connection', true);
    if (node.nodeId !== peer.nodeId) throw unreachable(peer, `is node ${node.nodeId}`, true);
    return node;
  }

  async #find(from: string, { address }: Peer): Promise<Node | undefined> {
    const known = this.resolve(from, address);
    return known === undefined ? new Promise<never>(() => undefined) : this.#byAddress.get(known);
  }

  /** The message as the other end decodes it; never resolves when it does not get there. */
  async #carry(from: string, to: string, message: GossipMessage): Promise<GossipMessage> {
    this.onMessage(message);
    const bytes = Wire.encode(this.garble(message) as Wire).finish();
    await this.#deliver(from, to, bytes);
    return Wire.decode(bytes);
  }

  async #deliver(from: string, to: string, bytes: Uint8Array): Promise<void> {
    this.sent.messages++;
    this.sent.bytes += bytes.length;
    const [least, most] = this.latencyMs;
    const lost = this.#deps.random.next() < this.loss || this.#isCut(from, to);
    await this.#deps.clock.sleep(least + this.#deps.random.next() * (most - least));
    if (lost || this.#isCut(from, to)) await new Promise<never>(() => undefined);
  }

  #isCut(from: string, to: string): boolean {
    return this.#dead.has(from) || this.#dead.has(to) || this.#cuts.has(`${from}>${to}`);
  }
}

function unreachable(peer: Peer, problem: string, nothingDone = false): OverlaydError {
  const message = `node ${peer.nodeId} at ${peer.address} ${problem}`;
  return new OverlaydError('peer-unreachable', message, { retryable: true, nothingDone });
}
