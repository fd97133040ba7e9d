/**
 * When etcd has no leader, and whether it can have one. What a member has taken waits there for a leader that is gone, and a search
 * among endpoints waits for hosts that are: both end as soon as the members say enough (`outlook.ts`), which is sooner than silence
 * proves anything. Nothing is concluded from silence alone: an etcd that is slow is not lost.
 */
import { status } from '@grpc/grpc-js';
import type { OverlaydError } from '../../core/errors.ts';
import { majority } from '../../core/store-plan.ts';
import type { Clock } from '../../ports/runtime.ts';
import type { Link } from './link.ts';
import type { Verdict } from './outlook.ts';
import { isThere, LEADER_LOST, MAJORITY_LOST, NO_LEADER, StatusError, statusOf } from './store-error.ts';

/** A call that takes longer may wait for a leader that is gone. */
const VIGIL_MS = 150;
const AGAIN_MS = 300;
const LOOK_MS = 50;

export class LeaderLost extends StatusError {
  constructor() {
    super(status.UNAVAILABLE, LEADER_LOST);
  }
}

/** No other one answers, so that there can be no leader, whether the member that was asked knows it or not. */
export class MajorityLost extends StatusError {
  constructor() {
    super(status.UNAVAILABLE, MAJORITY_LOST);
  }
}

/** Its host takes no connection any more, while another member answers. */
export class HostLost extends StatusError {
  constructor() {
    super(status.UNAVAILABLE, 'its host is gone, or cut off');
  }
}

export interface VigilDeps {
  readonly clock: Pick<Clock, 'sleep'>;
  /** To the member that has the call. */
  readonly link: Pick<Link, 'isLeaderless'>;
  /** How it is with that member and the others. Never rejects. */
  readonly look: () => Promise<Verdict>;
  /** The call. */
  readonly answered: AbortSignal;
}

/**
 * The signal aborts when a call that takes long cannot be answered any more, for the reason that it has then: the member that has it
 * says that it knows of no leader; no other member is there, so that it will soon say so; or its host is gone. What it took may have
 * been done. The member is asked for its leader now and then, as long as the call is not `answered`; how it is with the others, once.
 */
export function whenLost({ clock, link, look, answered }: VigilDeps): AbortSignal {
  const lost = new AbortController();
  const watch = async () => {
    await clock.sleep(VIGIL_MS, answered);
    const outlook = look().then((verdict) => {
      if (verdict === 'well' || answered.aborted) return;
      lost.abort(verdict === 'alone' ? new MajorityLost() : new HostLost());
    });
    while (!(await link.isLeaderless(answered))) await clock.sleep(AGAIN_MS, answered);
    // While others answer one is being elected.
    await outlook;
    if (!answered.aborted) lost.abort(new LeaderLost());
  };
  // The end of the call ends it.
  void watch().catch(() => undefined);
  return lost.signal;
}

/** An election takes as long where messages are late, or two stand for it again and again. */
const ELECTION_MS = 4_000;

/** Of fewer endpoints nobody knows how many members there are behind them. */
const FEWEST = 3;

/**
 * Whether members that all do not serve will in a moment: a majority of them is there, and says that there is no leader, so that one
 * is being elected. `failures`: what each endpoint said last. `forMs`: so long that has been asked.
 */
export function isElecting(failures: Iterable<OverlaydError>, endpoints: number, forMs: number): boolean {
  const all = [...failures];
  if (endpoints < FEWEST || forMs >= ELECTION_MS || !all.some(isLeaderless)) return false;
  return all.filter(isThere).length >= majority(endpoints);
}

export interface HopeDeps {
  readonly clock: Pick<Clock, 'sleep'>;
  /** What each endpoint said last. */
  readonly failures: ReadonlyMap<string, OverlaydError>;
  readonly endpoints: number;
  /** So long one that is only slow may take to answer, while another one says that there is no leader. */
  readonly patienceMs: number;
  /** Whether no other member answers than that one. Never rejects. */
  readonly isAlone: (endpoint: string) => Promise<boolean>;
}

/**
 * Until a member has said that it knows of no leader, and so few of the endpoints answer that there can be none: for a while, or
 * until it is certain that it is alone. While a majority answers one is being elected, which is worth the wait. Rejects when the signal
 * aborts.
 */
export async function untilHopeless(
  { clock, failures, endpoints, patienceMs, isAlone }: HopeDeps,
  signal: AbortSignal,
): Promise<void> {
  let [hasAsked, isCertain] = [false, false];
  for (let forMs = 0; ; forMs += LOOK_MS) {
    const leaderless = [...failures.keys()].find((endpoint) => isLeaderless(failures.get(endpoint)!));
    if (leaderless === undefined) forMs = 0;
    else if (!hasAsked) {
      hasAsked = true;
      void isAlone(leaderless).then((isSo) => {
        isCertain = isSo;
      });
    }
    const isLong = forMs >= patienceMs || (isCertain && leaderless !== undefined);
    if (isLong && [...failures.values()].filter(isThere).length < majority(endpoints)) return;
    await clock.sleep(LOOK_MS, signal);
  }
}

function isLeaderless(failure: OverlaydError): boolean {
  return statusOf(failure).details === NO_LEADER;
}
