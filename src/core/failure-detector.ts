/**
 * Who is to be taken for down: SWIM's failure detector (Das, Gupta, Motivala 2002). Members ask each other; who does
 * not answer is accused; the accusation spreads with the messages that are exchanged anyway; the accused one, when it
 * hears of it, refutes it by a higher incarnation, which spreads the same way.
 *
 * Guarantees: one node's opinion hides nobody while others could be asked; an accusation that was refuted is void
 * everywhere; a slow or cut-off node doubts itself first (time in which it was late, or nobody was heard from, does not
 * count, and it waits longer; Lifeguard, Dadgar et al. 2018); who said farewell is awaited for a bounded time, while its host
 * is not known to be gone. A suspicion hides names and does nothing else: members are removed by etcd's records only. Members are
 * trusted to say what they saw; one that lies can hide others.
 * Scales: while nothing changes a message names its sender alone, whatever the number of members; the time to refute
 * grows with its logarithm, as the spread of news does.
 */
import type { MemberNews } from './gossip/message.ts';
import { NewsSpread } from './gossip/news-spread.ts';

export interface DetectorOptions {
  readonly selfId: string;
  /** Gossip interval; the time-outs are multiples of it. */
  readonly intervalMs: number;
}

/** `restarting`: it said farewell and is not suspect yet; its host is there as far as this node can tell. */
export type Liveness = 'ready' | 'restarting' | 'suspect' | 'down';

/** Whether its containers can be reached as far as is known: their names are answered. */
export function isThere(liveness: Liveness): boolean {
  return liveness === 'ready' || liveness === 'restarting';
}

interface Farewell {
  /** By the clock: it is awaited no longer. */
  readonly until: number;
  /** When its host last showed to be there, in attentive time, and how often it was sought in vain since. */
  shownAt: number;
  missed: number;
}

interface Peer {
  news: MemberNews;
  /** Since when this node knows of an accuser, in attentive time. */
  accusedAt: number;
  /** Last message from itself, by the clock. */
  metAt: number | undefined;
  /** Asked, and not heard from since then, in attentive time. */
  asked: { readonly since: number; readonly times: number } | undefined;
  /** Of this incarnation; `over`: its time has run out. */
  farewell: Farewell | 'over' | undefined;
}

/** Asked so often, and silent for so many intervals, a member is accused. Longer than a host is stalled at times. */
const ASKS = 3;
const SILENT_INTERVALS = 3.5;
/** Accusers that are enough, where there are that many. */
const QUORUM = 2;
/** More are not passed on. */
const MAX_ACCUSERS = 3;
/** Health score at which the time-outs stop growing. */
const MAX_HEALTH_SCORE = 4;
/** Attentive time advances by no more between two beats: who is to be hidden was asked at one of them before. */
const LONGEST_BEAT_INTERVALS = 1.5;
/** No member gets there by refuting; a number that was made up would leave no room for a refutation. */
const MAX_INCARNATION = 2 ** 32;
/** Sought so often in vain, and for as long as one that is to be accused, a host is gone. */
const MISSES = 2;
/** Whatever a farewell says, it is believed no longer (docs/adr/0039-an-agent-says-that-it-will-be-back.md). */
export const AWAITED_MS = 60_000;

export class FailureDetector {
  readonly #options: DetectorOptions;
  readonly #peers = new Map<string, Peer>();
  readonly #spread: NewsSpread;
  /** Who was asked and is not heard from since. */
  readonly #asked = new Set<string>();
  /** Who said farewell and is awaited. */
  readonly #awaited = new Set<string>();
  #own: MemberNews;
  /** By the clock; this run ends. */
  #backBy: number | undefined;
  #healthScore = 0;
  /** Time in which this node was late, or heard from nobody: what it missed then tells nothing of others. */
  #inattentiveMs = 0;
  #beatAt: number | undefined;
  #metSinceBeat = false;

  constructor(options: DetectorOptions) {
    this.#options = options;
    this.#own = { nodeId: options.selfId, startedAt: 0, incarnation: 0, accusers: [] };
    this.#spread = new NewsSpread({
      newsOf: (nodeId) => this.#peers.get(nodeId)!.news,
      lasts: (nodeId) => isOpen(this.#peers.get(nodeId)!),
      tellings: () => 2 + Math.ceil(Math.log(1 + this.#peers.size)),
    });
  }

  /** `startedAt` tells this run from the earlier ones: later than theirs. */
  begin(startedAt: number): void {
    this.#own = { ...this.#own, startedAt, incarnation: 1 };
  }

  /** Once per interval: accuses whom it has to. `lateMs`: by how much the interval was overrun. */
  beat(lateMs: number, now: number): void {
    const { intervalMs } = this.#options;
    // Far too early: the clock was set back.
    const off = Math.abs(lateMs) > (LONGEST_BEAT_INTERVALS - 1) * intervalMs;
    this.#healthScore = Math.max(0, Math.min(MAX_HEALTH_SCORE, this.#healthScore + (off ? 1 : -1)));
    // With one other member there is nobody who could tell which of the two is cut off.
    const cutOff = this.#peers.size > 1 && !this.#metSinceBeat;
    if (cutOff) this.#inattentiveMs += now - (this.#beatAt ?? now);
    else if (off) this.#inattentiveMs += lateMs;
    this.#beatAt = now;
    this.#metSinceBeat = false;
    for (const id of this.#awaited) this.#awaitLonger(this.#peers.get(id)!, now);
    for (const id of this.#asked) {
      const peer = this.#peers.get(id)!;
      if (!peer.asked) this.#asked.delete(id);
      else if (!off) this.#judge(peer, peer.asked, now);
    }
  }

  track(members: readonly string[]): void {
    let others = 0;
    for (const id of members) {
      if (id === this.#options.selfId) continue;
      others++;
      if (!this.#peers.has(id)) this.#peers.set(id, unknown(id));
    }
    if (this.#peers.size === others) return;
    const current = new Set(members);
    for (const id of this.#peers.keys()) if (!current.has(id)) this.#forget(id);
  }

  /** This run ends, and another one is to begin soon: what is said of this node from now on says so. */
  sayFarewell(now: number): void {
    this.#own = { ...this.#own, incarnation: this.#own.incarnation + 1 };
    this.#backBy = now + AWAITED_MS;
  }

  /** What to tell a member: of oneself, of it when it is accused, then what changed lately of others. */
  news(to: string, limit: number, now: number): MemberNews[] {
    const told = new Map([[this.#own.nodeId, this.#own]]);
    const receiver = this.#peers.get(to);
    if (receiver && receiver.news.accusers.length > 0) told.set(to, receiver.news);
    this.#spread.tell(told, limit);
    const backBy = (id: string) => (id === this.#own.nodeId ? this.#backBy : awaitedOf(this.#peers.get(id))?.until);
    return [...told.values()].map((each) => withRest(each, backBy(each.nodeId), now));
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
      this.#metSinceBeat = true;
      this.sought(from, true, now);
    }
    return refuted;
  }

  /** Whether the host of a member that is awaited showed to be there: it takes connections, or refuses them. */
  sought(nodeId: string, isThere: boolean, now: number): void {
    const farewell = awaitedOf(this.#peers.get(nodeId));
    if (!farewell) return;
    farewell.missed = isThere ? 0 : farewell.missed + 1;
    if (isThere) farewell.shownAt = this.#attentive(now);
  }

  isAwaited(nodeId: string): boolean {
    return awaitedOf(this.#peers.get(nodeId)) !== undefined;
  }

  /** A member is being asked. */
  ask(nodeId: string, now: number): void {
    const peer = this.#peers.get(nodeId);
    if (!peer) return;
    peer.asked = { since: peer.asked?.since ?? this.#attentive(now), times: (peer.asked?.times ?? 0) + 1 };
    this.#asked.add(nodeId);
  }

  /** Members to be asked now: `limit` that have not answered yet, and as many that are about to be hidden. */
  toAsk(limit: number, now: number): Set<string> {
    const attentive = this.#attentive(now);
    const found = new Set<string>();
    for (const id of this.#asked) {
      if (found.size === limit) break;
      const peer = this.#peers.get(id)!;
      if (!peer.asked || attentive - peer.asked.since <= this.#options.intervalMs / 2) continue;
      if (!this.#isSuspect(peer, now)) found.add(id);
    }
    // The others' turn is next.
    for (const id of found) {
      this.#asked.delete(id);
      this.#asked.add(id);
    }
    // A refutation may have missed this node.
    const most = found.size + limit;
    for (const id of this.#spread.lasting) {
      if (found.size === most) break;
      const peer = this.#peers.get(id)!;
      if (peer.news.accusers.length === 0) continue;
      const leftMs = peer.accusedAt + this.timeoutMs() - attentive;
      if ((leftMs > 0 || awaitedOf(peer)) && leftMs <= LONGEST_BEAT_INTERVALS * this.#options.intervalMs) found.add(id);
    }
    return found;
  }

  /** Members that are hidden for their silence. */
  suspects(now: number): string[] {
    return this.#spread.lasting.filter((id) => this.#isSuspect(this.#peers.get(id)!, now));
  }

  /** Milliseconds since the member's last message to this node; undefined when there was none. */
  heardAgoMs(nodeId: string, now: number): number | undefined {
    const metAt = this.#peers.get(nodeId)?.metAt;
    return metAt === undefined ? undefined : Math.max(0, now - metAt);
  }

  /** True when several members are there, some were asked again and again, and none is heard: this node is cut off. */
  hearsNobody(now: number): boolean {
    const peers = [...this.#peers.values()];
    const silent = (peer: Peer) =>
      !awaitedOf(peer) && (peer.metAt === undefined || now - peer.metAt >= this.#patienceMs());
    return peers.length > 1 && peers.some(({ asked }) => (asked?.times ?? 0) >= ASKS) && peers.every(silent);
  }

  /**
   * `suspect`: accused by enough members that could know, and not refuted in time. `down`: accused by one, or not heard
   * from, and etcd no longer hears of it either. `leaseGone`: etcd, asked and answering, holds no `live/` key of it.
   */
  liveness(nodeId: string, leaseGone: boolean, now: number): Liveness {
    if (nodeId === this.#options.selfId) return 'ready';
    const peer = this.#peers.get(nodeId);
    if (leaseGone && (!peer || this.#isSilent(peer, now))) return 'down';
    if (peer && this.#isSuspect(peer, now)) return 'suspect';
    // Until it is suspect, also when its time is over: nobody has heard from it.
    return peer?.farewell ? 'restarting' : 'ready';
  }

  /** What an accused member has to refute the accusation: the time that news takes there and back. */
  timeoutMs(): number {
    const spread = 1 + Math.log(1 + this.#peers.size) / 5;
    return this.#options.intervalMs * spread * this.#stretch();
  }

  #isSuspect(peer: Peer, now: number): boolean {
    if (!this.#isUnrefuted(peer, now)) return false;
    const credible = peer.news.accusers.filter((id) => this.#isCredible(id));
    return credible.length >= Math.min(QUORUM, this.#peers.size);
  }

  #isUnrefuted(peer: Peer, now: number): boolean {
    if (peer.news.accusers.length === 0 || this.#isExcused(peer, now)) return false;
    return this.#attentive(now) - peer.accusedAt >= this.timeoutMs();
  }

  /** It is silent as it said, and its host is not known to be gone. */
  #isExcused(peer: Peer, now: number): boolean {
    const farewell = awaitedOf(peer);
    if (!farewell) return false;
    return farewell.missed < MISSES || this.#attentive(now) - farewell.shownAt < this.#patienceMs();
  }

  /** Once its time has run out, it is to be asked as often as any other before it is accused. */
  #awaitLonger(peer: Peer, now: number): void {
    const farewell = awaitedOf(peer);
    if (farewell && now < farewell.until) return;
    this.#awaited.delete(peer.news.nodeId);
    if (!farewell) return;
    peer.farewell = 'over';
    const attentive = this.#attentive(now);
    peer.accusedAt = attentive;
    if (peer.asked) peer.asked = { since: attentive, times: 0 };
  }

  /** As far as this node can tell: by the clock, for it matters even where nobody answers, as then etcd's word decides. */
  #isSilent(peer: Peer, now: number): boolean {
    if (this.#isExcused(peer, now)) return false;
    if (peer.metAt === undefined || this.#isUnrefuted(peer, now)) return true;
    return (peer.asked?.times ?? 0) >= ASKS && now - peer.metAt >= this.#patienceMs();
  }

  /** The clock's time less that in which this node was not attentive. */
  #attentive(now: number): number {
    return now - this.#inattentiveMs;
  }

  #patienceMs(): number {
    return SILENT_INTERVALS * this.#options.intervalMs * this.#stretch();
  }

  /** A node that was late lately waits longer. */
  #stretch(): number {
    return 1 + this.#healthScore / 2;
  }

  #refute({ startedAt, incarnation, accusers }: MemberNews): boolean {
    const own = this.#own;
    const isCurrent = startedAt > own.startedAt || (startedAt === own.startedAt && incarnation >= own.incarnation);
    if (accusers.length === 0 || !isCurrent || incarnation > MAX_INCARNATION) return false;
    this.#own = { ...own, startedAt, incarnation: incarnation + 1 };
    return true;
  }

  #merge(item: MemberNews, now: number): void {
    const peer = this.#peers.get(item.nodeId);
    if (!peer || item.incarnation > MAX_INCARNATION) return;
    const { news } = peer;
    const order = item.startedAt - news.startedAt || item.incarnation - news.incarnation;
    if (order > 0) {
      // It has been alive meanwhile.
      peer.asked = undefined;
      peer.farewell = undefined;
      this.#await(peer, item, now);
      this.#set(peer, { ...plain(item), accusers: [...new Set(item.accusers)].slice(0, MAX_ACCUSERS) }, now);
    } else if (order === 0) {
      // Who told this before is of a release that does not pass farewells on.
      if (!peer.farewell && this.#await(peer, item, now)) this.#set(peer, news, now);
      this.#accuse(peer, item.accusers, now);
    } else if (item.accusers.length > 0 && news.accusers.length === 0) {
      // The sender has missed that this is void: the reply says so.
      this.#spread.repeat(item.nodeId);
    }
  }

  #accuse(peer: Peer, by: readonly string[], now: number): void {
    const { news } = peer;
    if (by.every((id) => news.accusers.includes(id))) return;
    const credible = news.accusers.filter((id) => this.#isCredible(id));
    const added = [...new Set(by)].filter((id) => !news.accusers.includes(id) && this.#isCredible(id));
    if (added.length === 0 || credible.length >= MAX_ACCUSERS) return;
    this.#set(peer, { ...news, accusers: [...credible, ...added].slice(0, MAX_ACCUSERS) }, now);
  }

  /** Who is accused itself, or no member any more, is no witness. */
  #isCredible(nodeId: string): boolean {
    return nodeId === this.#options.selfId || this.#peers.get(nodeId)?.news.accusers.length === 0;
  }

  /** Each who passes a farewell on says what is left of its time: on its way it only gets shorter. */
  #await(peer: Peer, { backWithinMs = 0 }: MemberNews, now: number): boolean {
    if (backWithinMs <= 0) return false;
    peer.farewell = { until: now + Math.min(backWithinMs, AWAITED_MS), shownAt: this.#attentive(now), missed: 0 };
    this.#awaited.add(peer.news.nodeId);
    return true;
  }

  #judge(peer: Peer, asked: { readonly since: number; readonly times: number }, now: number): void {
    if (asked.times < ASKS || this.#attentive(now) - asked.since < this.#patienceMs()) return;
    if (this.#isExcused(peer, now)) return;
    this.#accuse(peer, [this.#options.selfId], now);
  }

  #set(peer: Peer, news: MemberNews, now: number): void {
    const before = peer.news;
    const isSameLife = news.startedAt === before.startedAt && news.incarnation === before.incarnation;
    if (before.accusers.length === 0 || !isSameLife) peer.accusedAt = this.#attentive(now);
    peer.news = news;
    // To have met a member for the first time is no news for others.
    if (before.startedAt === 0 && before.accusers.length === 0 && !isOpen(peer)) return;
    this.#spread.note(news.nodeId);
  }

  #forget(id: string): void {
    this.#peers.delete(id);
    this.#spread.forget(id);
    for (const known of [this.#asked, this.#awaited]) known.delete(id);
  }
}

function unknown(nodeId: string): Peer {
  const news = { nodeId, startedAt: 0, incarnation: 0, accusers: [] };
  return { news, accusedAt: 0, metAt: undefined, asked: undefined, farewell: undefined };
}

/** Others should know of it for as long as it is so. */
function isOpen(peer: Peer): boolean {
  return peer.news.accusers.length > 0 || awaitedOf(peer) !== undefined;
}

function awaitedOf(peer: Peer | undefined): Farewell | undefined {
  return peer?.farewell === 'over' ? undefined : peer?.farewell;
}

function plain({ nodeId, startedAt, incarnation, accusers }: MemberNews): MemberNews {
  return { nodeId, startedAt, incarnation, accusers };
}

function withRest(news: MemberNews, until: number | undefined, now: number): MemberNews {
  const backWithinMs = until === undefined ? 0 : Math.floor(until - now);
  return backWithinMs > 0 ? { ...news, backWithinMs } : news;
}
