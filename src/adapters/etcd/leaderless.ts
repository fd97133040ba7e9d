/**
 * When etcd has no leader, and whether it can have one. What a member has taken waits there for a leader that is gone, and a search
 * among endpoints waits for hosts that are: both end as soon as the members say enough, which is sooner than silence proves
 * anything. Nothing is concluded from silence alone: an etcd that is slow is not lost.
 */
import { status } from '@grpc/grpc-js';
import type { OverlaydError } from '../../core/errors.ts';
import { majority } from '../../core/store-plan.ts';
import type { Clock } from '../../ports/runtime.ts';
import type { Link } from './link.ts';
import { isThere, LEADER_LOST, NO_LEADER, StatusError, statusOf } from './store-error.ts';

/** A call that takes longer may wait for a leader that is gone. */
const VIGIL_MS = 400;
/** So long one that is only slow may take to answer, while another one says that there is no leader. */
const LEADERLESS_MS = 700;
const LOOK_MS = 50;

export class LeaderLost extends StatusError {
  constructor() {
    super(status.UNAVAILABLE, LEADER_LOST);
  }
}

/**
 * The signal aborts when the member that has a call says that it knows of no leader: what it took may have been done. It is asked
 * now and then as long as the call is not `answered`. `onLost` is told first.
 */
export function whenLeaderLost(
  clock: Pick<Clock, 'sleep'>,
  link: Pick<Link, 'isLeaderless'>,
  answered: AbortSignal,
  onLost: (why: LeaderLost) => void,
): AbortSignal {
  const lost = new AbortController();
  const watch = async () => {
    do await clock.sleep(VIGIL_MS, answered);
    while (!(await link.isLeaderless(answered)));
    if (answered.aborted) return;
    onLost(new LeaderLost());
    lost.abort();
  };
  // The end of the call ends it.
  void watch().catch(() => undefined);
  return lost.signal;
}

/**
 * Until a member has said for a while that it knows of no leader, and so few of the endpoints answer that there can be none. While a
 * majority answers one is being elected, which is worth the wait. `failures`: what each endpoint said last. Rejects when the
 * signal aborts.
 */
export async function untilHopeless(
  clock: Pick<Clock, 'sleep'>,
  failures: ReadonlyMap<string, OverlaydError>,
  endpoints: number,
  signal: AbortSignal,
): Promise<void> {
  const all = () => [...failures.values()];
  const isLeaderless = () => all().some((failure) => statusOf(failure).details === NO_LEADER);
  for (let forMs = 0; ; forMs = isLeaderless() ? forMs + LOOK_MS : 0) {
    if (forMs >= LEADERLESS_MS && all().filter(isThere).length < majority(endpoints)) return;
    await clock.sleep(LOOK_MS, signal);
  }
}
