/** The control service's part about the store as a whole: its backups, what is restored of them, and where it is. */

import { getNode } from '../../agent/cluster/nodes.ts';
import { bundledStoreOf } from '../../agent/cluster/store-access.ts';
import type { Membership } from '../../agent/lifecycle.ts';
import type { StoreWork } from '../../agent/store-work.ts';
import { OverlaydError } from '../../core/errors.ts';
import { keepersOf, saidOf } from '../../core/keepers.ts';
import { etcdctlLines, JOINING_ROLES, type StoreRoles, storeRoles } from '../../core/store-roles.ts';
import type {
  BackUpStoreRequest,
  MoveStoreRequest,
  Ref,
  ResizeStoreRequest,
  RestoreStoreRequest,
  StoreLogin,
  StoreRoles as StoreRolesMessage,
  StoreRolesRequest,
} from '../../gen/overlayd/v1/control.ts';
import { type Emit, type HandlersDeps, nodesDeps, progressTo, resultEvent } from './handlers.ts';
import { storeReportMessage } from './messages.ts';

export type StoreHandlersDeps = Pick<HandlersDeps, 'clock'> & { readonly storeWork: StoreWork };

export function storeHandlers(
  { clock, storeWork }: StoreHandlersDeps,
  active: () => Membership,
  any: () => Membership,
) {
  const nodeOf = (of: Membership, ref: string) => getNode(nodesDeps(of, clock), ref).record;
  return {
    promoteNode: async ({ ref }: Ref, emit: Emit, signal: AbortSignal) => {
      const found = active();
      const waiting = { progress: progressTo(emit), signal };
      const node = nodeOf(found, ref);
      const warnings = await found.storeSide.wishes.promote(node, waiting);
      emit(resultEvent({ clusterId: found.identity.clusterId, nodeId: node.id, name: node.name }, '', warnings));
    },
    demoteNode: async ({ ref }: Ref, emit: Emit, signal: AbortSignal) => {
      const found = active();
      const waiting = { progress: progressTo(emit), signal };
      const node = nodeOf(found, ref);
      const warnings = await found.storeSide.wishes.demote(node, waiting);
      emit(resultEvent({ clusterId: found.identity.clusterId, nodeId: node.id, name: node.name }, '', warnings));
    },
    resizeStore: async ({ members }: ResizeStoreRequest) => {
      await active().storeSide.wishes.resize(members);
      return {};
    },
    getStoreStatus: async () => storeReportMessage(await any().storeSide.report()),

    backUpStore: ({ fromHere }: BackUpStoreRequest) => storeWork.backUp(fromHere),
    restoreStore: async (request: RestoreStoreRequest, emit: Emit) => {
      const { identity } = any();
      emit(resultEvent(identity, '', await storeWork.restore(request, progressTo(emit))));
    },
    moveStore: async (request: MoveStoreRequest, emit: Emit) => {
      const { identity } = active();
      emit(resultEvent(identity, '', await storeWork.move(request, progressTo(emit))));
    },
    getStoreRoles: async ({ byId }: StoreRolesRequest): Promise<StoreRolesMessage> => {
      const { identity, member } = active();
      if (bundledStoreOf(identity.store)) {
        throw new OverlaydError('conflict', "the store is the cluster's own etcd: its users are set up by itself");
      }
      const { view } = member;
      const nodes = [...view.nodes()].filter(({ left }) => !left);
      const keepers = keepersOf(nodes, saidOf(view)).map(({ id }) => id);
      return storeRolesMessage(storeRoles(nodes, keepers, ({ id, name }) => (byId ? id : name)));
    },
    logInToStore: async (request: StoreLogin, emit: Emit) => {
      const { identity } = any();
      emit(resultEvent(identity, '', await storeWork.logIn(request, progressTo(emit))));
    },
  };
}

function storeRolesMessage(of: StoreRoles): StoreRolesMessage {
  return {
    roles: of.roles.map(({ name, permissions }) => ({
      name,
      permissions: permissions.map(({ may, key, prefix = false }) => ({ type: may, key, prefix })),
    })),
    users: of.users.map(({ name, roles }) => ({ name, roles: [...roles] })),
    commands: etcdctlLines(of),
    joiningRoles: [...JOINING_ROLES],
  };
}
