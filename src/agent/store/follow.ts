/**
 * Another place of the store, as members or the store that was left say: believed when what is there is this cluster's, of a
 * life that is later than what this node follows, or the same where it does not reach it. Tried again until then.
 */
import { isLaterEpoch } from '../../core/epoch.ts';
import type { StorePlace } from '../../core/gossip/message.ts';
import { decodeCluster, decodeKeepers } from '../../core/record-codec.ts';
import { keys } from '../../core/records.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { StoreAccess } from '../../ports/store.ts';
import type { StoreLink } from '../cluster/store-access.ts';
import type { ClusterState } from '../view/cluster-state.ts';
import { endArrival } from './copy.ts';

export interface StoreFollowerDeps {
  readonly clusterId: string;
  readonly nodeId: string;
  readonly open: (access: StoreAccess) => StoreLink;
  /** The etcd there, if it is to run on this host, runs. */
  readonly ready: (access: StoreAccess) => Promise<void>;
  readonly table: () => Pick<ClusterState, 'epoch' | 'followed'>;
  /** URLs at which this node looks for the store now. */
  readonly endpoints: () => readonly string[];
  /** This member starts anew there. `keeps`: this host is one of those that keep it, so its etcd goes on. */
  readonly follow: (access: StoreAccess, keeps: boolean) => Promise<void>;
  readonly clock: Pick<Clock, 'elapsed'>;
  readonly logger: Logger;
}

const RETRY_MS = 3_000;

export class StoreFollower {
  readonly #deps: StoreFollowerDeps;
  #busy = false;
  /** Not before. */
  #next = Number.NEGATIVE_INFINITY;

  constructor(deps: StoreFollowerDeps) {
    this.#deps = deps;
  }

  /**
   * Somebody says so; it is said again and again as long as this node does not follow. `isSaid`: by the store that was left itself,
   * so that all records are there, whether the node that moved them could open it or not.
   */
  hear(epoch: string, place: StorePlace, isSaid = false): void {
    const { clock, logger } = this.#deps;
    if (this.#busy || clock.elapsed() < this.#next || !this.#isNews(epoch, place)) return;
    this.#busy = true;
    this.#look(epoch, place, isSaid)
      .catch((error: unknown) =>
        logger.info({ error, endpoints: place.endpoints }, 'another store is not followed yet'),
      )
      .finally(() => {
        this.#busy = false;
        this.#next = clock.elapsed() + RETRY_MS;
      });
  }

  #isNews(epoch: string, { endpoints }: StorePlace): boolean {
    const { table, endpoints: known } = this.#deps;
    const { epoch: own, followed } = table();
    // There this node looks already.
    if (endpoints.every((url) => known().includes(url))) return false;
    return isLaterEpoch(epoch, own) || (epoch === own && !followed);
  }

  async #look(epoch: string, place: StorePlace, isSaid: boolean): Promise<void> {
    const { clusterId, follow, logger, nodeId, open, ready } = this.#deps;
    const { endpoints, caCertificate, certificate, key } = place;
    const access = { endpoints, caCertificate, certificate, key };
    if (isSaid) await ready(access);
    const { store, close } = open(access);
    let keeps: boolean;
    try {
      const [entry, said] = await Promise.all([store.get(keys.cluster), store.get(keys.storeKeepers)]);
      const cluster = entry && decodeCluster(entry.value);
      if (cluster?.id !== clusterId || cluster.epoch !== epoch) return;
      const { nodeIds = [], learners = [] } = (said && decodeKeepers(said.value)) ?? {};
      keeps = [...nodeIds, ...learners].includes(nodeId);
      if (isSaid) await endArrival(store, epoch);
    } finally {
      close();
    }
    // What was said meanwhile, or etcd's return, may have settled it.
    if (!this.#isNews(epoch, place)) return;
    logger.warn({ event: 'store-followed', epoch, endpoints }, "the cluster's store is elsewhere now: following it");
    // Whatever keeps this member from it (its disk is full): it is told again.
    await follow(access, keeps);
  }
}
