/**
 * Members let nobody but members in to gossip and to a bundled etcd, by address. One whose address the others do not
 * know (it changed; it is not the advertised one of several; or the node was removed, and has to be told) would never be
 * heard again. Whoever calls the join port is let in for a while (`host-filter.ts`), so that is called where nobody is
 * heard of: one connection that is closed at once, a few per interval.
 */
import type { ClusterView } from '../../core/cluster-view.ts';
import type { Liveness } from '../../core/failure-detector.ts';
import type { NodeRecord } from '../../core/records.ts';
import type { Clock } from '../../ports/runtime.ts';

export interface KnockingDeps {
  readonly member: {
    readonly view: Pick<ClusterView, 'nodes'>;
    readonly self: NodeRecord;
    readonly storeConnected: boolean;
    liveness(nodeId: string): Liveness;
  };
  /** Hosts of the bundled etcd; empty where etcd is the user's own. */
  readonly storeHosts: () => readonly string[];
  /** Resolves whatever comes of it. */
  readonly knock: (host: string, port: number) => Promise<unknown>;
  readonly clock: Pick<Clock, 'sleep'>;
}

const INTERVAL_MS = 5_000;
/** Per interval; all have their turn. */
const DOORS = 8;

export async function keepKnocking(deps: KnockingDeps, signal: AbortSignal): Promise<void> {
  // Whoever knows members before it has heard of any has just been started anew, with another address perhaps.
  let doors = doorsOf(deps, () => true);
  let turn = 0;
  while (!signal.aborted) {
    const chosen = doors.length <= DOORS ? doors : Array.from({ length: DOORS }, () => doors[turn++ % doors.length]!);
    await Promise.all(chosen.map(({ host, port }) => deps.knock(host, port)));
    await deps.clock.sleep(INTERVAL_MS, signal, 'loosely');
    doors = closedDoors(deps);
  }
}

/** Where this host is not heard, or hears nobody. */
export function closedDoors(deps: KnockingDeps): Door[] {
  return doorsOf(deps, (nodeId) => deps.member.liveness(nodeId) !== 'ready');
}

interface Door {
  readonly host: string;
  readonly port: number;
}

function doorsOf({ member, storeHosts }: KnockingDeps, isClosed: (nodeId: string) => boolean): Door[] {
  const { self, view } = member;
  // Who is behind NAT has no door.
  const others = [...view.nodes()].filter(({ id, left, nat }) => id !== self.id && !left && !nat);
  const doors = new Map<string, number>();
  for (const { id, advertiseAddress, joinPort } of others) {
    if (isClosed(id)) doors.set(advertiseAddress, joinPort);
  }
  if (!member.storeConnected) {
    for (const host of storeHosts()) {
      const node = others.find(({ advertiseAddress }) => advertiseAddress === host);
      // A host that has not heard of any member goes by its own port.
      if (host !== self.advertiseAddress) doors.set(host, (node ?? self).joinPort);
    }
  }
  return [...doors].map(([host, port]) => ({ host, port }));
}
