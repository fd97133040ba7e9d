/** What a server that was just started is asked, by the node's own certificate. */
import { ClusterService, MaintenanceService } from '../../gen/etcd/rpc.ts';
import type { EtcdClient } from './client.ts';
import { isRefusalOfUser, LEARNER, statusOf } from './store-error.ts';

export const ANSWER = { timeoutMs: 1_000 };

/**
 * Whether it has a leader. Once there are users, 3.5.28 to 3.5.31, and releases of then, tell root alone how they are. All calls of
 * ours ask for a leader, which etcd looks for before it looks at who asks: one that refuses has it.
 */
export async function knowsLeader(client: EtcdClient): Promise<boolean> {
  try {
    return (await client.call(MaintenanceService.status, {}, ANSWER)).leader !== '0';
  } catch (error) {
    if (isRefusalOfUser(error)) return true;
    throw error;
  }
}

/** None where it refuses to say: it learns, or there are users, of which 3.5.28 tells root alone. */
export async function membersSeenBy(client: EtcdClient) {
  try {
    return (await client.call(ClusterService.memberList, { linearizable: false }, ANSWER)).members;
  } catch (error) {
    if (statusOf(error).details === LEARNER || isRefusalOfUser(error)) return [];
    throw error;
  }
}
