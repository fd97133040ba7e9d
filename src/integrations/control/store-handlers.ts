/** The control service's part about the store as a whole: its backups, what is restored of them, and where it is. */

import { getNode } from '../../agent/cluster/nodes.ts';
import type { Membership } from '../../agent/lifecycle.ts';
import type { StoreWork } from '../../agent/store-work.ts';
import type {
  BackUpStoreRequest,
  MoveStoreRequest,
  Ref,
  ResizeStoreRequest,
  RestoreStoreRequest,
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
  };
}
