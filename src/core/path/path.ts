/**
 * What probes tell of the path to a member: whether it carries packets, how many get lost, how long they take, how large they may
 * be, and by which direction it is broken. Given outcomes and times, it decides; it sends nothing. Pure.
 */
import { type Found, found, suspected } from '../finding.ts';
import type { Backend } from '../underlay.ts';

/** How a packet that was to come back ended. */
export interface Outcome {
  /** Of the inner packet. */
  readonly bytes: number;
  /** Undefined: nothing came back in time. */
  readonly roundTripMs: number | undefined;
  /** How far the other's wall clock is ahead, as far as its answer tells. */
  readonly aheadMs?: number | undefined;
}

export type PathState = 'unknown' | 'passes' | 'loses' | 'lost';

export interface PathStatus {
  readonly state: PathState;
  /** Of small packets, lately. */
  readonly lossPercent: number;
  /** Of the last one; 0: none came back. */
  readonly roundTripMs: number;
  /** The largest packet inside that came back; 0: not known. */
  readonly mtu: number;
  /** Of the state, or of what passes, by the wall clock; 0: never. */
  readonly changedAt: number;
}

/** One that gets lost is chance, and a switch that learns anew takes a second. */
const LOST_AFTER = 4;
const REMEMBERED = 20;
const LOSING_PERCENT = 15;
/** Of fewer packets no share is told. */
const LEAST_OF_SHARE = 10;
const LARGE_LOST_AFTER = 3;

export class PeerPath {
  /** The last outcomes of small packets, oldest first. */
  #small: boolean[] = [];
  #lostInRow = 0;
  #largeLostInRow = 0;
  #roundTripMs = 0;
  /** The largest that came back, and the least that did not since. */
  #mtu = 0;
  #tooLarge: number | undefined;
  #state: PathState = 'unknown';
  #changedAt = 0;
  #aheadMs: number | undefined;
  /** By the monotonic clock: when the other one asked last, and since when nothing comes back. */
  #askedAt: number | undefined;
  #silentSince: number | undefined;

  /** `isLarge`: as large as the networks' packets may be. */
  note(
    { bytes, roundTripMs, aheadMs }: Outcome,
    isLarge: boolean,
    at: { readonly now: number; readonly elapsed: number },
  ) {
    const isBack = roundTripMs !== undefined;
    const before = this.status;
    if (isBack) {
      this.#roundTripMs = roundTripMs;
      this.#silentSince = undefined;
      if (aheadMs !== undefined) this.#aheadMs = aheadMs;
      this.#mtu = Math.max(this.#mtu, bytes);
      // Also where the networks' packets have become smaller than what did not pass.
      if (isLarge || (this.#tooLarge !== undefined && bytes >= this.#tooLarge)) this.#tooLarge = undefined;
    } else this.#silentSince ??= at.elapsed;
    if (isLarge) this.#noteLarge(bytes, isBack);
    else {
      // What was lost while all was, or before the other one was ready, says nothing of what is now.
      const former = isBack && (this.#state === 'lost' || this.#state === 'unknown') ? [] : this.#small;
      this.#small = [...former, isBack].slice(-REMEMBERED);
      this.#lostInRow = isBack ? 0 : this.#lostInRow + 1;
    }
    this.#state = this.#judge();
    if (this.#state !== before.state || this.status.mtu !== before.mtu) this.#changedAt = at.now;
  }

  #noteLarge(bytes: number, isBack: boolean): void {
    this.#largeLostInRow = isBack || this.#lostInRow > 0 ? 0 : this.#largeLostInRow + 1;
    if (this.#largeLostInRow < LARGE_LOST_AFTER) return;
    this.#tooLarge = Math.min(this.#tooLarge ?? bytes, bytes);
    if (this.#mtu >= this.#tooLarge) this.#mtu = 0;
  }

  /** The other one's question came in: its way to this host is open. */
  noteAsked(elapsed: number): void {
    this.#askedAt = elapsed;
  }

  #judge(): PathState {
    if (this.#lostInRow >= LOST_AFTER) return 'lost';
    if (this.#lostInRow > 0) return this.#state;
    if (this.#small.length === 0) return 'unknown';
    return this.#small.length >= LEAST_OF_SHARE && this.#lossPercent >= LOSING_PERCENT ? 'loses' : 'passes';
  }

  get #lossPercent(): number {
    if (this.#small.length === 0) return 0;
    return Math.round((100 * this.#small.filter((isBack) => !isBack).length) / this.#small.length);
  }

  get status(): PathStatus {
    return {
      ...{ state: this.#state, lossPercent: this.#lossPercent, roundTripMs: this.#roundTripMs },
      ...{ mtu: this.#mtu, changedAt: this.#changedAt },
    };
  }

  /** Something is to be found out soon: nothing came back of the last one, some get lost, or large ones do. */
  get isInDoubt(): boolean {
    if (this.#lostInRow > 0 || this.#state === 'loses') return true;
    return this.#largeLostInRow > 0 && this.#largeLostInRow < LARGE_LOST_AFTER;
  }

  /** Large packets do not pass, and small ones do. */
  get isTooNarrow(): boolean {
    return this.#tooLarge !== undefined && this.#lostInRow === 0;
  }

  /** What lies between what passed and what did not; undefined: it is known, to some bytes. */
  get nextSize(): number | undefined {
    if (!this.isTooNarrow) return undefined;
    const low = Math.max(this.#mtu, LEAST_MTU);
    return this.#tooLarge! - low <= NEAR_ENOUGH ? undefined : Math.floor((low + this.#tooLarge!) / 2);
  }

  /** Of a size between, which was sent twice. */
  noteBetween(bytes: number, isBack: boolean, now: number): void {
    if (isBack) this.#mtu = Math.max(this.#mtu, bytes);
    else this.#tooLarge = Math.min(this.#tooLarge ?? bytes, bytes);
    this.#changedAt = now;
  }

  findings(peer: NamedPath): Found[] {
    const since = this.#changedAt === 0 ? undefined : this.#changedAt;
    const all: Found[] = [];
    if (this.#state === 'lost') all.push(...found('data-path-lost', [describeLost(peer, this.#isHeard)], peer.name));
    if (this.#state === 'loses') {
      const text = `${this.#lossPercent} of 100 packets between this host and ${peer.name} get lost on the data path (${wayOf(peer)}): look for what loses them, in the link, the switch or a queue`;
      all.push(...found('data-path-loss', [text], peer.name));
    }
    // One small packet that gets lost as well does not end it.
    if (this.#tooLarge !== undefined && this.#state !== 'lost') {
      const passes = this.#mtu > 0 ? `of ${this.#mtu} bytes and less pass` : 'that are small pass';
      const text = `packets of ${this.#tooLarge} bytes do not pass between ${containersOf(peer)} here and on ${peer.name}, those ${passes}: something between ${peer.from} and ${peer.to} has a smaller MTU than the hosts' links and drops what is larger; raise it there, or make the networks with \`-o mtu=${this.#mtu || LEAST_MTU}\``;
      all.push(...found('path-mtu', [text], peer.name));
    }
    return [...all.map((each) => ({ ...each, since })), ...judgeClock(peer.name, this.#aheadMs)];
  }

  /** The other one's questions have come in since nothing comes back. */
  get #isHeard(): boolean {
    return this.#askedAt !== undefined && this.#silentSince !== undefined && this.#askedAt > this.#silentSince;
  }
}

const NEAR_ENOUGH = 8;
/** Smaller ones are not looked for (RFC 791: every host takes them). */
const LEAST_MTU = 576;

export interface NamedPath {
  readonly name: string;
  /** Tunnel addresses of this host and of the other one. */
  readonly from: string;
  readonly to: string;
  /** UDP, which has to be open between the two. */
  readonly port: number;
  readonly backend: Backend;
}

function wayOf({ backend, from, to, port }: NamedPath): string {
  return `${backend === 'plain' ? 'VXLAN' : 'VXLAN within WireGuard'}, ${port}/udp, ${from} to ${to}`;
}

/** Whose packets go by it. */
function containersOf({ backend }: NamedPath): string {
  return backend === 'plain' ? 'containers' : 'containers of encrypted networks';
}

function describeLost(peer: NamedPath, isHeard: boolean): string {
  const { name, port } = peer;
  const [way, containers] = [wayOf(peer), containersOf(peer)];
  return isHeard
    ? `no packet of this host gets to ${name} by the data path (${way}), though ${name}'s come in here: ${containers} here and there do not reach each other; open ${port}/udp on ${name} and on what is between, for packets from ${peer.from}`
    : `no packet comes from ${name} by the data path (${way}, and back), though it is heard on its gossip port: ${containers} here and there do not reach each other; open ${port}/udp both ways: on this host, on ${name} and on what is between. \`overlayd doctor\` on ${name} tells of the other direction`;
}

const SKEW_MS = { suspected: 5_000, certain: 60_000 } as const;

/** `aheadMs`: of the other host's clock; undefined: it is not known. */
export function judgeClock(name: string, aheadMs: number | undefined): Found[] {
  if (aheadMs === undefined || Math.abs(aheadMs) < SKEW_MS.suspected) return [];
  const by = `${(Math.abs(aheadMs) / 1_000).toFixed(0)} s`;
  const text = `the clock of ${name} is ${by} ${aheadMs > 0 ? 'ahead of' : 'behind'} this host's: compare \`date -u\` on both and set the one that is wrong (NTP); with more than a minute hosts do not join, and certificates may be refused`;
  return Math.abs(aheadMs) >= SKEW_MS.certain
    ? found('clock-skew', [text], name)
    : [suspected('clock-skew', text, name)];
}
