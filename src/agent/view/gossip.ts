/**
 * Spreads news between members and hears who is there.
 *
 * Own writes are pushed at once, those of a moment together: to all members when they are few, else in two steps, so that nobody sends more than about
 * sqrt(n) messages and each member gets one; every interval a few random members are reconciled by digest, hidden ones
 * too, so that what a push missed arrives and a healed partition merges. Who does not
 * answer is asked again, and then accused. Gossip only speeds up what etcd's watch brings anyway, and carries it to
 * members that etcd does not reach. Scales: per interval a node sends FANOUT exchanges of one number, whatever the size
 * of the table and of the cluster.
 */
import type { ClusterView } from '../../core/cluster-view.ts';
import { isLaterEpoch } from '../../core/epoch.ts';
import { isOverlaydError, OverlaydError } from '../../core/errors.ts';
import type { FailureDetector } from '../../core/failure-detector.ts';
import type { Delta, GossipMessage, GossipRecord, Sight, StorePlace } from '../../core/gossip/message.ts';
import { OVER } from '../../core/over.ts';
import type { NodeRecord } from '../../core/records.ts';
import type { Peer, PeerTransport } from '../../ports/peers.ts';
import type { Clock, Logger, Random } from '../../ports/runtime.ts';
import type { ClusterState } from './cluster-state.ts';
import { PushQueue } from './push-queue.ts';

export interface GossipDeps {
  readonly transport: PeerTransport;
  readonly state: Pick<ClusterState, 'digest' | 'delta' | 'epoch' | 'followed' | 'screen' | 'hear'> & {
    readonly view: Pick<ClusterView, 'nodes'>;
  };
  readonly detector: FailureDetector;
  /** Whether this node takes the member for absent, for whatever reason. */
  readonly isHidden: (nodeId: string) => boolean;
  /** `host:port` at which this node calls the member; undefined: there is no way now. */
  readonly addressOf: (node: NodeRecord) => string | undefined;
  /** Where this node sees a member that is behind NAT. */
  readonly sightOf?: (nodeId: string) => Sight | undefined;
  /** Where a member sees this node. */
  readonly onSight?: (from: string, sight: Sight) => void;
  /** A member asks this one to send past their relay for so long; whether it does. */
  readonly onAttempt?: (from: string, ms: number) => boolean;
  /** Where this node reaches the store. */
  readonly storePlace?: (() => StorePlace) | undefined;
  /** Where a member does, of that life of it. */
  readonly onStorePlace?: ((epoch: string, place: StorePlace, from: string) => void) | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Called once per interval, after the detector heard what there was to hear. */
  readonly onInterval: () => void;
}

export interface GossipOptions {
  readonly selfId: string;
  readonly intervalMs: number;
}

/** Members that are all contacted every interval, and pushed to one by one. */
const FEW_RECONCILED = 8;
const FEW_PUSHED = 16;
const FANOUT = 3;
/** Of the members that do not answer, and of those about to be hidden, so many are asked per interval. */
const ASKED = 8;
/** Members that a message tells of at most. */
const NEWS = 128;
const DELTA_BYTES = 256 * 1024;
const EXCHANGE_INTERVALS = 2;
/** An answer tells that a member is there, however late: a starved host is stalled for seconds. */
const ASK_INTERVALS = 4;
/** A member passes a push on to so many at most, whatever it is asked to. */
const MAX_RELAYED = 128;
/** A host that is there refuses a connection in a round trip. */
const SEEK_INTERVALS = 1;
/** How long the end of this run waits for others to take notice of it. */
const FAREWELL_MS = 500;
/** How long a push holds up the command that caused it; slower members learn from etcd. */
const PUSH_WAIT_MS = 250;

interface Content {
  readonly digest?: GossipMessage['digest'];
  readonly delta?: Delta | undefined;
  readonly relay?: number | undefined;
  readonly store?: StorePlace | undefined;
  readonly attemptMs?: number | undefined;
}

export class Gossip {
  readonly #deps: GossipDeps;
  readonly #options: GossipOptions;
  readonly #busy = new Set<string>();
  /** By id and life of the store: of members that news are on the way to. */
  readonly #pushes = new Map<string, PushQueue<{ readonly node: NodeRecord; readonly relay: number }>>();
  /** Who reconciled with this node since its last interval began. */
  readonly #reconciled = new Set<string>();
  readonly #clockProblems = new Map<string, string>();

  constructor(deps: GossipDeps, options: GossipOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** Starts answering; resolves when it listens. */
  serve(signal: AbortSignal): Promise<void> {
    return this.#deps.transport.serve((from, message) => this.#answer(from, message), signal);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, detector, random } = this.#deps;
    while (!signal.aborted) {
      const pauseMs = this.#options.intervalMs * (0.9 + 0.2 * random.next());
      const due = clock.elapsed() + pauseMs;
      await clock.sleep(pauseMs, signal);
      const now = clock.elapsed();
      const others = this.#others();
      const ids = others.map((node) => node.id);
      detector.track(ids);
      this.#deps.transport.retain(new Set(ids));
      detector.beat(now - due, now);
      const toAsk = detector.toAsk(ASKED, now);
      for (const node of others) if (toAsk.has(node.id)) this.#ask(node);
      for (const node of this.#reconcileWith(others)) void this.#reconcile(node);
      this.#deps.onInterval();
    }
  }

  /** In words, when the last exchange failed because a certificate is not valid by somebody's clock. */
  clockProblem(nodeId: string): string | undefined {
    return this.#clockProblems.get(nodeId);
  }

  /** This run ends, and another one begins soon: others are told so; resolves when those know that are told, or after a moment. */
  async sayFarewell(): Promise<void> {
    const { clock, detector } = this.#deps;
    detector.sayFarewell(clock.elapsed());
    const told = Promise.allSettled(this.#heralds(this.#following()).map((node) => this.#request(node, {}, 1)));
    const wait = new AbortController();
    await Promise.race([told, clock.sleep(FAREWELL_MS, wait.signal).catch(() => undefined)]);
    wait.abort(OVER);
  }

  /** Sends own news to members that are there; resolves when they have it, or after a moment. */
  async push(records: readonly GossipRecord[]): Promise<void> {
    const { clock } = this.#deps;
    const { awaited, present } = this.#followingApart();
    if (present.length + awaited.length === 0) return;
    const stride = present.length <= FEW_PUSHED ? 1 : Math.ceil(Math.sqrt(present.length));
    const sends = present.flatMap((node, index) =>
      index % stride === 0 ? this.#pushTo(node, records, Math.min(stride, present.length - index) - 1) : [],
    );
    const sent = Promise.allSettled([...sends, ...awaited.map((node) => this.#pushTo(node, records, 0))]);
    const wait = new AbortController();
    await Promise.race([sent, clock.sleep(PUSH_WAIT_MS, wait.signal).catch(() => undefined)]);
    wait.abort(OVER);
  }

  /** Asks a member to send past the relay for so many milliseconds; whether it does. Throws as a question does. */
  async propose(nodeId: string, attemptMs: number): Promise<boolean> {
    const node = this.#others().find(({ id }) => id === nodeId);
    if (!node) return false;
    const reply = await this.#request(node, { attemptMs }, EXCHANGE_INTERVALS);
    return reply.attemptMs !== undefined;
  }

  /** What waited for the message before it is of no life of the store but its own. */
  #pushTo(node: NodeRecord, records: readonly GossipRecord[], relay: number): Promise<void> {
    const { epoch } = this.#deps.state;
    const key = `${node.id} ${epoch}`;
    const send = async (all: readonly GossipRecord[], how: { readonly node: NodeRecord; readonly relay: number }) => {
      if (this.#deps.state.epoch !== epoch) return;
      await this.#send(how.node, { from: 0, to: 0, records: all }, how.relay);
    };
    const queue = this.#pushes.get(key) ?? new PushQueue(send);
    this.#pushes.set(key, queue);
    return queue.push(records, { node, relay }).finally(() => {
      if (queue.isIdle) this.#pushes.delete(key);
    });
  }

  #relay(delta: Delta, count: number): void {
    const targets = this.#followingApart().present.slice(0, Math.min(count, MAX_RELAYED));
    void Promise.allSettled(targets.map((node) => this.#send(node, delta, 0)));
  }

  #send(node: NodeRecord, delta: Delta, relay: number): Promise<GossipMessage> {
    return this.#request(node, { delta, relay: relay === 0 ? undefined : relay }, EXCHANGE_INTERVALS);
  }

  /** One push-pull with one member, repeated while its answers are cut. */
  async #reconcile(peer: NodeRecord): Promise<void> {
    if (this.#busy.has(peer.id)) return;
    this.#busy.add(peer.id);
    try {
      for (;;) {
        const before = this.#deps.state.digest().completeTo;
        const reply = await this.#request(peer, { digest: this.#deps.state.digest() }, EXCHANGE_INTERVALS);
        if (!reply.digest) return;
        const owed = this.#deps.state.delta(reply.digest, reply.epoch, DELTA_BYTES);
        if (owed) {
          const { store } = this.#placeFor(reply);
          await this.#request(peer, { digest: this.#deps.state.digest(), delta: owed, store }, EXCHANGE_INTERVALS);
        }
        const now = this.#deps.state.digest().completeTo;
        if (now === before || now >= reply.digest.completeTo) return;
      }
    } catch (error) {
      this.#deps.logger.debug({ peer: peer.id, error }, 'exchange failed');
    } finally {
      this.#busy.delete(peer.id);
    }
  }

  async #answer(from: string, received: GossipMessage): Promise<GossipMessage> {
    const { state } = this.#deps;
    const message = this.#absorb({ ...received, from });
    if (message.delta && message.relay && message.epoch === state.epoch) this.#relay(message.delta, message.relay);
    if (message.attemptMs !== undefined) {
      const isAgreed = this.#deps.onAttempt?.(from, message.attemptMs);
      return this.#message(from, isAgreed ? { attemptMs: message.attemptMs } : {});
    }
    if (!message.digest || message.delta) return this.#message(from, {});
    this.#reconciled.add(from);
    const delta = state.delta(message.digest, message.epoch, DELTA_BYTES);
    return this.#message(from, { digest: state.digest(), delta, ...this.#placeFor(message) });
  }

  /** Takes what may be believed of a message; returns it without what cannot be. */
  #absorb(received: GossipMessage): GossipMessage {
    const { clock, detector, state } = this.#deps;
    const message = state.screen(received);
    if (detector.heard(message.from, message.members, clock.elapsed())) this.#announceSelf();
    if (message.store && message.epoch !== undefined)
      this.#deps.onStorePlace?.(message.epoch, message.store, message.from);
    state.hear(message);
    if (message.sight) this.#deps.onSight?.(message.from, message.sight);
    return message;
  }

  /** This node was accused: that it is there has to be known before its names are hidden. */
  #announceSelf(): void {
    for (const node of this.#heralds(this.#others())) this.#ask(node);
  }

  #ask(node: NodeRecord): void {
    this.#request(node, {}, ASK_INTERVALS).catch((error: unknown) => {
      this.#deps.logger.debug({ peer: node.id, error }, 'no answer');
    });
  }

  async #request(node: NodeRecord, content: Content, timeoutIntervals: number): Promise<GossipMessage> {
    const { clock, detector, transport } = this.#deps;
    const peer = this.#peerOf(node);
    detector.ask(peer.nodeId, clock.elapsed());
    const message = this.#message(peer.nodeId, content);
    try {
      const reply = await transport.request(peer, message, this.#options.intervalMs * timeoutIntervals);
      this.#clockProblems.delete(peer.nodeId);
      return this.#absorb({ ...reply, from: peer.nodeId });
    } catch (error) {
      if (isOverlaydError(error) && error.code === 'clock-skew') this.#clockProblems.set(peer.nodeId, error.message);
      if (detector.isAwaited(peer.nodeId)) void this.#seek(peer);
      throw error;
    }
  }

  /** Its agent is away as it said: whether its host is. */
  async #seek(peer: Peer): Promise<void> {
    const { clock, detector, transport } = this.#deps;
    const isThere = await transport.isThere(peer, this.#options.intervalMs * SEEK_INTERVALS);
    detector.sought(peer.nodeId, isThere, clock.elapsed());
  }

  /** Where the store is, for who looks for it, if this node knows. */
  #placeFor({ epoch, withoutStore }: GossipMessage): Pick<Content, 'store'> {
    const { state, storePlace } = this.#deps;
    const isLost = withoutStore || (epoch !== undefined && isLaterEpoch(state.epoch, epoch));
    return isLost && state.followed ? { store: storePlace?.() } : {};
  }

  #message(to: string, content: Content): GossipMessage {
    const { clock, detector, sightOf, state } = this.#deps;
    const said = {
      members: detector.news(to, NEWS, clock.elapsed()),
      epoch: state.epoch,
      withoutStore: !state.followed,
    };
    return { from: this.#options.selfId, ...content, ...said, sight: sightOf?.(to) };
  }

  #others(): NodeRecord[] {
    return [...this.#deps.state.view.nodes()].filter((node) => !node.left && node.id !== this.#options.selfId);
  }

  /** The others that are not hidden, in the order of their ids, beginning after this node's own. */
  #following(): NodeRecord[] {
    const { selfId } = this.#options;
    const present = this.#others().filter(({ id }) => !this.#deps.isHidden(id));
    present.sort((a, b) => (a.id < b.id ? -1 : 1));
    const next = present.findIndex(({ id }) => id > selfId);
    return next <= 0 ? present : [...present.slice(next), ...present.slice(0, next)];
  }

  /** Who is awaited passes nothing on, but may be back and not heard yet. */
  #followingApart(): { readonly awaited: readonly NodeRecord[]; readonly present: readonly NodeRecord[] } {
    const { detector } = this.#deps;
    const { awaited = [], present = [] } = Object.groupBy(this.#following(), ({ id }) =>
      detector.isAwaited(id) ? 'awaited' : 'present',
    );
    return { awaited, present };
  }

  #reconcileWith(others: readonly NodeRecord[]): NodeRecord[] {
    // Between few members, once per interval and pair is enough.
    const left = others.filter(({ id }) => !this.#reconciled.has(id));
    this.#reconciled.clear();
    if (others.length <= FEW_RECONCILED) return left;
    const [present, absent]: [NodeRecord[], NodeRecord[]] = [[], []];
    for (const node of others) (this.#deps.isHidden(node.id) ? absent : present).push(node);
    return [...this.#pick(present, FANOUT), ...this.#pick(absent, FANOUT)];
  }

  /** Who is told at once: of many members so many that the rest hears of it from them. */
  #heralds(nodes: readonly NodeRecord[]): readonly NodeRecord[] {
    return nodes.length <= FEW_PUSHED ? nodes : this.#pick(nodes, FANOUT + Math.ceil(Math.log2(nodes.length)));
  }

  #pick(nodes: readonly NodeRecord[], count: number): NodeRecord[] {
    const pool = [...nodes];
    const picked: NodeRecord[] = [];
    while (picked.length < count && pool.length > 0) {
      picked.push(...pool.splice(Math.floor(this.#deps.random.next() * pool.length), 1));
    }
    return picked;
  }

  /** Throws `peer-unreachable`. */
  #peerOf(node: NodeRecord): Peer {
    const address = this.#deps.addressOf(node);
    if (address !== undefined) return { nodeId: node.id, address };
    throw new OverlaydError('peer-unreachable', `node ${node.name} is behind NAT, and there is no tunnel to it yet`, {
      retryable: true,
    });
  }
}
