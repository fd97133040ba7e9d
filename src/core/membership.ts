/**
 * Who is to be taken for down: a failure detector over gossiped heartbeat counters.
 *
 * Guarantees: one node's opinion hides nobody while others could be asked; a member whose counter advances is alive at
 * once; a slow or cut-off node doubts itself first (it stretches its own time-outs, and when it hears of nobody it
 * accuses nobody). A suspicion hides names and does nothing else: members are removed by etcd's records only.
 * Sources: heartbeat gossip (van Renesse, Minsky, Hayden 1998), several accusers and local health (Lifeguard, Dadgar et
 * al. 2018). Scales: the time-out grows with the logarithm of the number of members, as the spread of news does.
 */
import type { Heartbeat } from './gossip/message.ts';

export interface DetectorOptions {
  readonly selfId: string;
  /** Gossip interval; the time-outs are multiples of it. */
  readonly intervalMs: number;
}

export type Liveness = 'ready' | 'suspect' | 'down';

interface Peer {
  startedAt: number;
  counter: number;
  heardAt: number;
}

/** Intervals without news before a member of a very small cluster is suspected. */
const BASE_INTERVALS = 4;
/** Health score at which the time-outs stop growing. */
const MAX_HEALTH_SCORE = 4;
/** Accusers that are enough, where there are that many. */
const QUORUM = 2;

export class FailureDetector {
  readonly #options: DetectorOptions;
  readonly #peers = new Map<string, Peer>();
  /** By accuser: whom, and when it said so last. */
  readonly #accusations = new Map<string, { readonly suspects: ReadonlySet<string>; readonly at: number }>();
  #own: Heartbeat;
  #healthScore = 0;

  constructor(options: DetectorOptions) {
    this.#options = options;
    this.#own = { nodeId: options.selfId, startedAt: 0, counter: 0 };
  }

  /** `startedAt` tells this run from the earlier ones: later than theirs. */
  begin(startedAt: number): void {
    this.#own = { nodeId: this.#options.selfId, startedAt, counter: 0 };
  }

  /** Own heartbeat, once per interval. `lateMs`: by how much the interval was overrun. */
  beat(lateMs: number): void {
    this.#own = { ...this.#own, counter: this.#own.counter + 1 };
    const late = lateMs > this.#options.intervalMs;
    this.#healthScore = Math.max(0, Math.min(MAX_HEALTH_SCORE, this.#healthScore + (late ? 1 : -1)));
  }

  heard(heartbeats: Iterable<Heartbeat>, now: number): void {
    for (const { nodeId, startedAt, counter } of heartbeats) {
      if (nodeId === this.#options.selfId) continue;
      const peer = this.#peers.get(nodeId);
      if (peer && (startedAt < peer.startedAt || (startedAt === peer.startedAt && counter <= peer.counter))) continue;
      this.#peers.set(nodeId, { startedAt, counter, heardAt: now });
    }
  }

  accused(accuser: string, suspects: Iterable<string>, now: number): void {
    this.#accusations.set(accuser, { suspects: new Set(suspects), at: now });
  }

  /** A member that is new to this node gets a whole time-out before it can be suspected. */
  track(members: Iterable<string>, now: number): void {
    const current = new Set(members);
    for (const id of current) {
      if (id !== this.#options.selfId && !this.#peers.has(id)) {
        this.#peers.set(id, { startedAt: 0, counter: 0, heardAt: now });
      }
    }
    for (const id of this.#peers.keys()) if (!current.has(id)) this.#peers.delete(id);
    for (const id of this.#accusations.keys()) if (!current.has(id)) this.#accusations.delete(id);
  }

  /** Heartbeats to pass on: own first, then the freshest, `limit` at most. */
  heartbeats(limit: number): Heartbeat[] {
    const known = [...this.#peers].filter(([, peer]) => peer.counter > 0);
    known.sort(([, a], [, b]) => b.heardAt - a.heardAt);
    return [
      this.#own,
      ...known.slice(0, limit - 1).map(([nodeId, { startedAt, counter }]) => ({ nodeId, startedAt, counter })),
    ];
  }

  /** Members this node itself no longer hears of. Empty when it hears of nobody: then it is the one that is cut off. */
  suspects(now: number): string[] {
    const timeout = this.timeoutMs();
    const silent = [...this.#peers].filter(([, peer]) => now - peer.heardAt > timeout).map(([id]) => id);
    return this.#peers.size > 1 && silent.length === this.#peers.size ? [] : silent;
  }

  /** Milliseconds since the member's counter advanced; undefined when it never did. */
  heardAgoMs(nodeId: string, now: number): number | undefined {
    const peer = this.#peers.get(nodeId);
    return peer && peer.counter > 0 ? now - peer.heardAt : undefined;
  }

  /**
   * `down`: not heard of, and etcd no longer hears of it either. `suspect`: not heard of, and enough members that could
   * know agree. `leaseGone`: etcd, asked and answering, holds no `live/` key of it: one more accuser, a trusted one.
   */
  liveness(nodeId: string, leaseGone: boolean, now: number): Liveness {
    if (nodeId === this.#options.selfId) return 'ready';
    const peer = this.#peers.get(nodeId);
    const timeout = this.timeoutMs();
    const silent = peer === undefined || peer.counter === 0 || now - peer.heardAt > timeout;
    if (silent && leaseGone) return 'down';
    const own = new Set(this.suspects(now));
    if (!own.has(nodeId)) return 'ready';
    // Whoever this node does not hear of can neither accuse nor be waited for.
    const witnesses = [...this.#peers.keys()].filter((id) => id !== nodeId && !own.has(id));
    const accusers = witnesses.filter((id) => {
      const said = this.#accusations.get(id);
      return said !== undefined && now - said.at <= timeout && said.suspects.has(nodeId);
    });
    return 1 + accusers.length >= Math.min(QUORUM, 1 + witnesses.length) ? 'suspect' : 'ready';
  }

  timeoutMs(): number {
    const spread = BASE_INTERVALS + Math.log2(1 + this.#peers.size / 8);
    return this.#options.intervalMs * spread * (1 + this.#healthScore / 2);
  }
}
