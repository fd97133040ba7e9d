/**
 * Who is to be taken for down: SWIM's failure detector (Das, Gupta, Motivala 2002). Members ask each other; who does
 * not answer is accused; the accusation spreads with the messages that are exchanged anyway; the accused one, when it
 * hears of it, refutes it by a higher incarnation, which spreads the same way.
 *
 * Guarantees: one node's opinion hides nobody while others could be asked; an accusation that was refuted is void
 * everywhere; a slow or cut-off node doubts itself first (time in which it was late does not count, it waits
 * longer, and when nobody answers it accuses nobody; Lifeguard, Dadgar et al. 2018). A suspicion hides names and does
 * nothing else: members are removed by etcd's records only.
 * Scales: while nothing changes a message names its sender alone, whatever the number of members; the time to refute
 * grows with its logarithm, as the spread of news does.
 */
import type { MemberNews } from './gossip/message.ts';

export interface DetectorOptions {
  readonly selfId: string;
  /** Gossip interval; the time-outs are multiples of it. */
  readonly intervalMs: number;
}

export type Liveness = 'ready' | 'suspect' | 'down';

interface Peer {
  news: MemberNews;
  /** Since when this node knows of an accuser. */
  accusedAt: number;
  /** Last message from itself. */
  metAt: number | undefined;
  /** Asked, and not heard from since then. */
  asked: { readonly since: number; readonly times: number } | undefined;
}

/** Asked so often, and silent for so many intervals, a member is accused. Longer than a host is stalled at times. */
const ASKS = 3;
const SILENT_INTERVALS = 3.5;
/** Accusers that are enough, where there are that many. */
const QUORUM = 2;
/** More are not passed on. */
const MAX_ACCUSERS = 3;
/** Of accusations that everybody should know, so many go with a message. */
const REMINDERS = 8;
/** Health score at which the time-outs stop growing. */
const MAX_HEALTH_SCORE = 4;

export class FailureDetector {
  readonly #options: DetectorOptions;
  readonly #peers = new Map<string, Peer>();
  /** Of whom there is something to pass on, and how often that was done; who was told of last is last. */
  readonly #refuted = new Map<string, number>();
  readonly #accused = new Map<string, number>();
  /** Who is accused, when that was passed on so often. */
  readonly #settled = new Set<string>();
  /** Who was asked and is not heard from since. */
  readonly #asked = new Set<string>();
  #own: MemberNews;
  #healthScore = 0;
  #lastMetAt = Number.NEGATIVE_INFINITY;

  constructor(options: DetectorOptions) {
    this.#options = options;
    this.#own = { nodeId: options.selfId, startedAt: 0, incarnation: 0, accusers: [] };
  }

  /** `startedAt` tells this run from the earlier ones: later than theirs. */
  begin(startedAt: number): void {
    this.#own = { ...this.#own, startedAt, incarnation: 1 };
  }

  /** Once per interval: accuses whom it has to. `lateMs`: by how much the interval was overrun. */
  beat(lateMs: number, now: number): void {
    const late = lateMs > this.#options.intervalMs / 2;
    this.#healthScore = Math.max(0, Math.min(MAX_HEALTH_SCORE, this.#healthScore + (late ? 1 : -1)));
    for (const id of this.#asked) {
      const peer = this.#peers.get(id);
      if (!peer?.asked) this.#asked.delete(id);
      // What came meanwhile has not been looked at yet: that time does not count.
      else if (late) peer.asked = { ...peer.asked, since: peer.asked.since + lateMs };
      else this.#judge(peer, peer.asked, now);
    }
  }

  track(members: readonly string[], now: number): void {
    let others = 0;
    for (const id of members) {
      if (id === this.#options.selfId) continue;
      others++;
      if (!this.#peers.has(id)) this.#peers.set(id, unknown(id, now));
    }
    if (this.#peers.size === others) return;
    const current = new Set(members);
    for (const id of this.#peers.keys()) if (!current.has(id)) this.#peers.delete(id);
  }

  /** What to tell a member: of oneself, of it when it is accused, then what changed lately of others. */
  news(to: string, limit: number): MemberNews[] {
    const told = new Map([[this.#own.nodeId, this.#own]]);
    const receiver = this.#peers.get(to);
    if (receiver && receiver.news.accusers.length > 0) told.set(to, receiver.news);
    this.#tell(this.#refuted, told, limit);
    this.#tell(this.#accused, told, limit);
    this.#remind(told, limit);
    return [...told.values()];
  }

  /** News that came from a member itself. True when it held an accusation of this node, which is refuted now. */
  heard(from: string, news: readonly MemberNews[], now: number): boolean {
    let refuted = false;
    for (const item of news) {
      if (item.nodeId === this.#options.selfId) refuted = this.#refute(item) || refuted;
      else this.#merge(item, now);
    }
    const sender = this.#peers.get(from);
    if (sender) {
      sender.metAt = now;
      sender.asked = undefined;
      this.#lastMetAt = now;
    }
    return refuted;
  }

  /** A member is being asked. */
  ask(nodeId: string, now: number): void {
    const peer = this.#peers.get(nodeId);
    if (!peer) return;
    peer.asked = { since: peer.asked?.since ?? now, times: (peer.asked?.times ?? 0) + 1 };
    this.#asked.add(nodeId);
  }

  /**
   * Members to be asked now: who has not answered yet, or has to hear that it is accused; and, `limit` of them, who is
   * about to be hidden: its refutation may have missed this node.
   */
  toAsk(limit: number, now: number): Set<string> {
    const found = new Set<string>();
    for (const id of this.#asked) {
      const peer = this.#peers.get(id);
      const isDue = peer?.asked !== undefined && now - peer.asked.since > this.#options.intervalMs / 2;
      if (isDue && !this.#isSuspect(peer, now)) found.add(id);
    }
    const timeoutMs = this.timeoutMs();
    for (const id of this.#accusedIds()) {
      if (limit === 0) break;
      const ageMs = now - (this.#peers.get(id)?.accusedAt ?? now);
      if (found.has(id) || ageMs < timeoutMs / 2 || ageMs >= timeoutMs) continue;
      found.add(id);
      limit--;
    }
    return found;
  }

  /** Members that are hidden for their silence. */
  suspects(now: number): string[] {
    return this.#accusedIds().filter((id) => {
      const peer = this.#peers.get(id);
      return peer !== undefined && this.#isSuspect(peer, now);
    });
  }

  /** Milliseconds since the member's last message to this node; undefined when there was none. */
  heardAgoMs(nodeId: string, now: number): number | undefined {
    const metAt = this.#peers.get(nodeId)?.metAt;
    return metAt === undefined ? undefined : now - metAt;
  }

  /**
   * `suspect`: accused by enough members that could know, and not refuted in time. `down`: not heard of, and etcd no
   * longer hears of it either. `leaseGone`: etcd, asked and answering, holds no `live/` key of it.
   */
  liveness(nodeId: string, leaseGone: boolean, now: number): Liveness {
    if (nodeId === this.#options.selfId) return 'ready';
    const peer = this.#peers.get(nodeId);
    const silent = !peer || peer.news.accusers.length > 0 || peer.metAt === undefined;
    if (leaseGone && silent) return 'down';
    return peer && this.#isSuspect(peer, now) ? 'suspect' : 'ready';
  }

  /** What an accused member has to refute the accusation: the time that news takes there and back. */
  timeoutMs(): number {
    const spread = 1 + Math.log(1 + this.#peers.size) / 5;
    return this.#options.intervalMs * spread * (1 + this.#healthScore / 2);
  }

  #accusedIds(): string[] {
    return [...this.#accused.keys(), ...this.#settled];
  }

  #isSuspect({ news, accusedAt }: Peer, now: number): boolean {
    if (news.accusers.length === 0 || now - accusedAt < this.timeoutMs()) return false;
    const credible = news.accusers.filter((id) => this.#isCredible(id));
    return credible.length >= Math.min(QUORUM, this.#peers.size);
  }

  #refute({ startedAt, incarnation, accusers }: MemberNews): boolean {
    const own = this.#own;
    const isCurrent = startedAt > own.startedAt || (startedAt === own.startedAt && incarnation >= own.incarnation);
    if (accusers.length === 0 || !isCurrent) return false;
    this.#own = { ...own, startedAt, incarnation: incarnation + 1 };
    return true;
  }

  #merge(item: MemberNews, now: number): void {
    const peer = this.#peers.get(item.nodeId);
    if (!peer) return;
    const { news } = peer;
    const order = item.startedAt - news.startedAt || item.incarnation - news.incarnation;
    if (order > 0) {
      // It has been alive meanwhile.
      peer.asked = undefined;
      this.#set(peer, item, now);
    } else if (order === 0) {
      this.#accuse(peer, item.accusers, now);
    } else if (item.accusers.length > 0 && news.accusers.length === 0 && !this.#refuted.has(item.nodeId)) {
      // The sender has missed that this is void: the reply says so.
      this.#refuted.set(item.nodeId, this.#tellings() - 1);
    }
  }

  #accuse(peer: Peer, by: readonly string[], now: number): void {
    const { news } = peer;
    const credible = news.accusers.filter((id) => this.#isCredible(id));
    const added = by.filter((id) => !news.accusers.includes(id) && this.#isCredible(id));
    if (added.length === 0 || credible.length >= MAX_ACCUSERS) return;
    this.#set(peer, { ...news, accusers: [...credible, ...added].slice(0, MAX_ACCUSERS) }, now);
  }

  /** Who is accused itself, or no member any more, is no witness. */
  #isCredible(nodeId: string): boolean {
    return nodeId === this.#options.selfId || this.#peers.get(nodeId)?.news.accusers.length === 0;
  }

  #judge(peer: Peer, asked: { readonly since: number; readonly times: number }, now: number): void {
    const patienceMs = SILENT_INTERVALS * this.#options.intervalMs * (1 + this.#healthScore / 2);
    if (asked.times < ASKS || now - asked.since < patienceMs) return;
    // Nobody else was heard of either: this node is the one that is cut off.
    if (this.#peers.size > 1 && this.#lastMetAt <= asked.since) return;
    this.#accuse(peer, [this.#options.selfId], now);
  }

  #set(peer: Peer, news: MemberNews, now: number): void {
    const before = peer.news;
    const isSameLife = news.startedAt === before.startedAt && news.incarnation === before.incarnation;
    if (before.accusers.length === 0 || !isSameLife) peer.accusedAt = now;
    peer.news = news;
    // To have met a member for the first time is no news for others.
    if (before.startedAt === 0 && news.accusers.length === 0) return;
    this.#refuted.delete(news.nodeId);
    this.#accused.delete(news.nodeId);
    this.#settled.delete(news.nodeId);
    (news.accusers.length > 0 ? this.#accused : this.#refuted).set(news.nodeId, 0);
  }

  #tell(waiting: Map<string, number>, told: Map<string, MemberNews>, limit: number): void {
    const tellings = this.#tellings();
    for (let left = Math.min(waiting.size, limit - told.size); left > 0; left--) {
      const [id, times] = waiting.entries().next().value!;
      waiting.delete(id);
      const peer = this.#peers.get(id);
      if (!peer) continue;
      told.set(id, peer.news);
      if (times + 1 < tellings) waiting.set(id, times + 1);
      else if (peer.news.accusers.length > 0) this.#settled.add(id);
    }
  }

  /** Who is accused is said again and again, a few at a time: whoever missed it learns it, whoever knows better says so. */
  #remind(told: Map<string, MemberNews>, limit: number): void {
    for (let left = Math.min(this.#settled.size, REMINDERS, limit - told.size); left > 0; left--) {
      const id: string = this.#settled.values().next().value!;
      this.#settled.delete(id);
      const peer = this.#peers.get(id);
      if (!peer) continue;
      told.set(id, peer.news);
      this.#settled.add(id);
    }
  }

  /** So often each member passes a piece of news on: nearly all get it then, and reminders reach the rest. */
  #tellings(): number {
    return 2 + 2 * Math.ceil(Math.log(1 + this.#peers.size));
  }
}

function unknown(nodeId: string, now: number): Peer {
  return {
    news: { nodeId, startedAt: 0, incarnation: 0, accusers: [] },
    accusedAt: now,
    metAt: undefined,
    asked: undefined,
  };
}
