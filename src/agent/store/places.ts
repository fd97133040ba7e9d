/** Where a member's store is, as it tells others, and as it is told. */
import { isKeeper, saidOf } from '../../core/keepers.ts';
import { clientUrlOf } from '../../core/store-members.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { ClusterStore, EtcdServer, StoreAccess, StoreStatus } from '../../ports/store.ts';
import { etcdSettingsOf, tlsMaterialOf } from '../cluster/identity.ts';
import type { OwnIdentity } from '../cluster/own-identity.ts';
import { accessOf, bundledStoreOf, type OpenStore, sharedAccessOf } from '../cluster/store-access.ts';
import type { Member } from '../member.ts';
import type { GossipDeps } from '../view/gossip.ts';
import type { StoreWatchDeps } from '../view/store-watch.ts';
import { StoreFollower } from './follow.ts';
import { UnfinishedMove } from './unfinished.ts';

export interface PlacesDeps {
  readonly own: OwnIdentity;
  readonly store: Pick<ClusterStore, 'get' | 'list' | 'txn'> & { status(): StoreStatus };
  readonly openStore: OpenStore;
  readonly etcd: Pick<EtcdServer, 'ensure'>;
  readonly lifecycle: {
    readonly situation: { readonly busy: string | undefined };
    /** Lets this member start anew at another store. */
    followStore(access: StoreAccess, keeps: boolean): Promise<void>;
  };
  readonly clock: Pick<Clock, 'elapsed' | 'sleep'>;
  readonly logger: Logger;
}

export type StorePlaces = Pick<GossipDeps, 'storePlace' | 'onStorePlace'> &
  Pick<StoreWatchDeps, 'onGate' | 'onMoved'> & {
    /** Ends when the signal aborts. */
    run(signal: AbortSignal): Promise<void>;
  };

export function storePlaces(
  { own, store, openStore, etcd, lifecycle, clock, logger }: PlacesDeps,
  member: () => Pick<Member, 'liveness' | 'table' | 'view'>,
): StorePlaces {
  const { clusterId, nodeId } = own.current;
  const endpoints = () => store.status().endpoints;
  const isHere = ({ certificate, endpoints: urls }: StoreAccess) =>
    certificate === '' && urls.includes(clientUrlOf(own.current));
  /** A bundled store proves by its certificate what it is; any other one could be whoever names it. */
  const mayLeadTo = (place: StoreAccess, from: string) => {
    const { view } = member();
    if (bundledStoreOf({ ...accessOf(own.current), bundled: false }) === undefined) return true;
    const isProven = place.certificate === '' && place.endpoints.every((url) => url.startsWith('https:'));
    return isProven || isKeeper(from, view.nodes(), saidOf(view));
  };
  const refused = new Set<string>();
  const sayRefused = (from: string, { endpoints: urls }: StoreAccess) => {
    if (refused.has(from)) return;
    refused.add(from);
    // Members that have followed say so as well, and are right.
    logger.info(
      { event: 'store-place-refused', from, endpoints: urls },
      'a node that is no keeper says that the store is elsewhere: only keepers are believed that',
    );
  };
  const follower = new StoreFollower({
    ...{ clusterId, nodeId, endpoints, clock, logger },
    // The one that was begun here by a move that broke off is known to nobody yet.
    follow: (access, keeps) => lifecycle.followStore(access, keeps && (own.current.store.bundled || isHere(access))),
    ready: async (access) => {
      if (isHere(access) && !own.current.store.bundled) await etcd.ensure(etcdSettingsOf(own.current));
    },
    open: (access) => openStore(access, tlsMaterialOf(own.current)),
    table: () => member().table,
  });
  const unfinished = new UnfinishedMove({
    ...{ selfId: nodeId, store, clock, logger },
    isBusy: () => lifecycle.situation.busy !== undefined,
    isKeeper: () => isKeeper(nodeId, member().view.nodes(), saidOf(member().view)),
    isAway: (id) => member().liveness(id) !== 'ready',
    follow: (moved) => follower.hear(moved.epoch, moved, true),
  });
  return {
    storePlace: () => ({ ...sharedAccessOf(own.current), endpoints: [...endpoints()] }),
    onStorePlace: (epoch, place, from) => {
      if (mayLeadTo(place, from)) follower.hear(epoch, place);
      else sayRefused(from, place);
    },
    onGate: (gate) => unfinished.seeGate(gate),
    onMoved: (moved) => unfinished.seeMoved(moved),
    run: (signal) => unfinished.run(signal),
  };
}
