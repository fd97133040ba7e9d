/**
 * What a member asks a keeper to do in etcd, since it is not the member's own (docs/adr/0024-a-node-writes-what-is-its-own.md): the same
 * use-cases, done by the keeper in the caller's name.
 */
import { OverlaydError } from '../core/errors.ts';
import { keepersOf, mayWriteCluster, saidOf } from '../core/keepers.ts';
import { KEEPER_NAMES_LEVEL, levelOf, requireLevel, STORE_LEVEL } from '../core/levels.ts';
import { checkNodeName } from '../core/names.ts';
import { decodeNode } from '../core/record-codec.ts';
import { keys } from '../core/records.ts';
import { mayWrite } from '../core/store-rights.ts';
import type { Pki } from '../ports/identity.ts';
import type { KeepersHandler } from '../ports/keepers.ts';
import type { Clock, Logger, Random } from '../ports/runtime.ts';
import type { ClusterStore, StoreAccess } from '../ports/store.ts';
import type { NodeUsers } from './cluster/eviction.ts';
import type { KeeperCalls } from './cluster/keeper-calls.ts';
import { mayKeep } from './cluster/keeper-service.ts';
import { updateNode } from './cluster/node-update.ts';
import { removeNode } from './cluster/nodes.ts';
import { createJoinToken, revokeToken } from './cluster/tokens.ts';
import { IpamRepair } from './endpoints/ipam-repair.ts';
import type { Member } from './member.ts';
import type { StoreSide } from './store/store-side.ts';
import type { StoreWork } from './store-work.ts';

export interface KeeperWorkDeps {
  readonly member: () => Member;
  readonly store: ClusterStore;
  readonly access: () => StoreAccess;
  readonly users: NodeUsers;
  readonly caCertificate: () => string;
  readonly pki: Pick<Pki, 'digest' | 'sha256'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly storeSide: () => Pick<StoreSide, 'ownReport' | 'record'>;
  readonly storeWork: Pick<StoreWork, 'moveAwayFor' | 'putBackFor'>;
}

export type KeeperWork = Pick<
  KeepersHandler,
  | ('evict' | 'updateNode' | 'createToken' | 'revokeToken' | 'repairAddresses')
  | ('wishStore' | 'reportStore' | 'putBackStore' | 'moveStoreAway')
>;

export function createKeeperWork(deps: KeeperWorkDeps, options: { readonly quarantineSeconds: number }): KeeperWork {
  return {
    evict: async (request, by) => {
      await requireMember(deps, by);
      const { commit, self } = deps.member();
      const liveness = (nodeId: string) => deps.member().liveness(nodeId);
      const around = { ...deps, access: deps.access(), commit, liveness, selfId: self.id };
      return { nodeId: await removeNode(around, { ...request, by }, options) };
    },

    updateNode: async (request, nodeId) => {
      await requireMember(deps, nodeId);
      return { ref: await updateNode({ ...deps, commit: deps.member().commit }, request, nodeId) };
    },

    createToken: async (request, nodeId) => {
      await requireMember(deps, nodeId);
      const { commit, self, view } = deps.member();
      if (request.node !== '') {
        checkNodeName(request.node);
        // Older members would let any host in with it.
        requireLevel(STORE_LEVEL, levelOf(view), view.nodes(), 'tokens for one host');
      }
      // Whoever asks is told to have hosts join by itself, if it can let them in.
      const isDoor = levelOf(view) < KEEPER_NAMES_LEVEL || mayWriteCluster(view, nodeId);
      const { advertiseAddress, joinPort } = (isDoor ? view.node(nodeId) : undefined) ?? self;
      const creator = { nodeId, caCertificate: deps.caCertificate(), advertiseAddress, joinPort };
      return createJoinToken({ ...deps, commit }, creator, { ...request, by: view.node(nodeId)?.name ?? nodeId });
    },

    revokeToken: async ({ ref }, nodeId) => {
      await requireMember(deps, nodeId);
      const { commit, view } = deps.member();
      return { id: await revokeToken({ ...deps, commit }, ref, view.node(nodeId)?.name ?? nodeId) };
    },

    repairAddresses: async ({ network }, nodeId) => {
      await requireMember(deps, nodeId);
      const { findings } = await ipamRepair(deps, options).repair(network);
      return { repaired: findings.filter(({ outcome }) => outcome === 'repaired').map(({ key }) => key) };
    },

    wishStore: async (wish, nodeId) => {
      await requireKeeper(deps, nodeId);
      await deps.storeSide().record(wish);
      return {};
    },

    reportStore: async (_, nodeId) => {
      await requireMember(deps, nodeId);
      return deps.storeSide().ownReport();
    },

    putBackStore: async ({ backup }, nodeId) => {
      await requireKeeper(deps, nodeId);
      deps.logger.warn(
        { event: 'store-restore-asked', nodeId },
        'another host that keeps the store asks for a backup to be put back',
      );
      return deps.storeWork.putBackFor(backup);
    },

    moveStoreAway: async (asked, nodeId) => {
      await requireKeeper(deps, nodeId);
      const { etcdEndpoints } = asked;
      deps.logger.warn(
        { event: 'store-move-asked', nodeId, etcdEndpoints },
        'another host that keeps the store asks for the store to be moved',
      );
      return deps.storeWork.moveAwayFor(asked);
    },
  };
}

/** By etcd's word of this moment: who asks has a certificate still when it was removed, and this agent may have just started. */
async function requireMember({ member, store }: KeeperWorkDeps, nodeId: string): Promise<void> {
  if (nodeId === member().self.id) return;
  const entry = await store.get(keys.node(nodeId));
  if (entry !== undefined && decodeNode(entry.value)?.left !== true) return;
  throw new OverlaydError('peer-refused', `node ${nodeId} is not a member of the cluster (any more)`);
}

/**
 * It would get the CA's key by what it asks, or all records: only who has both may ask. By etcd's word too: what this agent knows may
 * be members' word.
 */
async function requireKeeper(deps: KeeperWorkDeps, nodeId: string): Promise<void> {
  await requireMember(deps, nodeId);
  const { self, view } = deps.member();
  if (nodeId === self.id || (await mayKeep(deps.store, nodeId))) return;
  const names = keepersOf(view.nodes(), saidOf(view))
    .map(({ name }) => name)
    .sort();
  throw new OverlaydError(
    'permission-denied',
    `${view.node(nodeId)?.name ?? nodeId} does not keep the store, and may change neither who does nor what it holds: run the command on ${names.join(' or ')}`,
  );
}

/** Of this host. Absent `keepers`: it is one. */
export function ipamRepair(
  deps: Pick<KeeperWorkDeps, 'clock' | 'logger' | 'member' | 'store'>,
  options: { readonly quarantineSeconds: number },
  keepers?: Pick<KeeperCalls, 'ask'>,
): IpamRepair {
  const { clock, logger, store } = deps;
  const member = deps.member();
  const { claims, commit, local, networks, releases, self } = member;
  return new IpamRepair(
    {
      ...{ claims, clock, commit, local, logger, member, networks, releases, store },
      isOwn: (key) => mayWriteCluster(member.view, self.id) || mayWrite(self, key),
      askKeeper: async (network) => (await keepers?.ask('repairAddresses', { network }))?.repaired ?? [],
    },
    { ...options, selfId: self.id },
  );
}
