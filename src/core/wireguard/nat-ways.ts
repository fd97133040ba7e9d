/**
 * How this host, which is behind NAT, tries to get through to others that are: it calls where they are seen while they call where
 * it is seen, which opens both NATs where these map a port alike for everybody. Where that does not do within a while, or a way
 * ends, it is by a relay. Beside the relay both send past it at the same moment, soon at first, and less and less often
 * (`agent/wireguard/past-relays.ts`); what gets through is the way from then on. Pure; times by the monotonic clock.
 */

/** Two calls: one that is lost is tried again after 5 s (WireGuard, 6.1, REKEY_TIMEOUT). */
export const PUNCHING_MS = 8_000;
/** Pauses before attempts past a relay: the first one, twice the one before, the longest. */
const FIRST_PAUSE_MS = 2_000;
const LAST_PAUSE_MS = 120_000;

interface Way {
  /** `found`: it goes past the relay, and nobody is told another endpoint. */
  readonly kind: 'direct' | 'relayed' | 'found';
  readonly since: number;
  /** Where both were seen. */
  readonly ends: string;
  /** Packets have passed; of a relayed one: they passed at the last look. */
  readonly wasUp: boolean;
  /** Of a relayed one: when it is tried to get past the relay, and after what pause. */
  readonly dueAt: number;
  readonly pauseMs: number;
}

export interface Attempt {
  readonly nodeId: string;
  /** Where this host and the peer are seen. */
  readonly own: string | undefined;
  readonly theirs: string | undefined;
  /** Packets pass. */
  readonly isUp: boolean;
  /** They are sent to a relay. */
  readonly isByRelay: boolean;
}

export class NatWays {
  #ways = new Map<string, Way>();

  /** What was found of all such peers; those that are not named are forgotten. */
  note(attempts: readonly Attempt[], at: number): void {
    const ways = new Map<string, Way>();
    for (const attempt of attempts) ways.set(attempt.nodeId, nextOf(this.#ways.get(attempt.nodeId), attempt, at));
    this.#ways = ways;
  }

  isRelayed(nodeId: string): boolean {
    return this.#ways.get(nodeId)?.kind === 'relayed';
  }

  isFound(nodeId: string): boolean {
    return this.#ways.get(nodeId)?.kind === 'found';
  }

  /** Whether it is time to try to get past the relay; the next time is later. */
  takeTurn(nodeId: string, at: number): boolean {
    const way = this.#ways.get(nodeId);
    if (way?.kind !== 'relayed' || !way.wasUp || at < way.dueAt) return false;
    const pauseMs = Math.min(2 * way.pauseMs, LAST_PAUSE_MS);
    this.#ways.set(nodeId, { ...way, dueAt: at + pauseMs, pauseMs });
    return true;
  }
}

function nextOf(before: Way | undefined, { own, theirs, isUp, isByRelay }: Attempt, at: number): Way {
  const ends = `${own} ${theirs}`;
  const turn = (kind: Way['kind']): Way => ({
    ...{ kind, since: at, ends, wasUp: isUp, dueAt: at + FIRST_PAUSE_MS, pauseMs: FIRST_PAUSE_MS },
  });
  // What an agent that starts finds in use stays so.
  const inUse = isByRelay ? 'relayed' : 'found';
  if (!before) return turn(isUp && isByRelay ? 'relayed' : 'direct');
  // Who calls and gets its packets by a relay was called by it: the other end does not get through.
  if (isUp && inUse !== before.kind && (isByRelay || before.kind !== 'direct')) return turn(inUse);
  if (before.kind === 'relayed') {
    // Who is seen elsewhere may be called there; until it is known that this does, the relay serves.
    const isNew = before.ends !== ends || (isUp && !before.wasUp);
    return isNew ? turn('relayed') : { ...before, wasUp: isUp };
  }
  if (isUp) return { ...before, ends, wasUp: true };
  const isOver = own !== undefined && theirs !== undefined && at - before.since >= PUNCHING_MS;
  if (before.wasUp || isOver) return turn('relayed');
  return own === undefined || theirs === undefined ? { ...before, ends, since: at } : { ...before, ends };
}
