/** `etcdserverpb.Maintenance` and compaction, as our port has them. */
import type { OverlaydError } from '../../core/errors.ts';
import { keys } from '../../core/records.ts';
import { AlarmRequest_AlarmAction as Action, AlarmType, KVService, MaintenanceService } from '../../gen/etcd/rpc.ts';
import type { StoreMaintenance, StoreMemberStatus } from '../../ports/store.ts';
import type { EtcdConnection } from './connection.ts';
import { formatMemberId } from './member-id.ts';
import { encodeLocalRead } from './request.ts';
import { alarmsIn, isCompacted, isRefusalOfUser } from './store-error.ts';

/** The member is silent meanwhile, for about a second for each 100 MiB on a slow disk; it has 8 GiB at most. */
const DEFRAGMENT_MS = 120_000;
const COMPACT_MS = 60_000;

export function createMaintenance(connection: EtcdConnection): StoreMaintenance {
  /** Whoever may read is told that much. */
  const whoIsAt = async (endpoint: string): Promise<StoreMemberStatus> => {
    const { header } = await connection.ask(endpoint, KVService.range, encodeLocalRead(keys.cluster));
    return {
      ...{ memberId: formatMemberId(header?.memberId ?? '0'), hidden: true, version: '', dbSize: 0, dbSizeInUse: 0 },
      ...{ leaderId: '', isLearner: false, raftIndex: 0, raftAppliedIndex: 0, alarms: [] },
    };
  };

  return {
    async memberStatus(endpoint) {
      const answer = await connection.ask(endpoint, MaintenanceService.status, {}).catch((error: OverlaydError) => {
        if (!isRefusalOfUser(error)) throw error;
      });
      if (answer === undefined) return await whoIsAt(endpoint);
      const { version, dbSize, dbSizeInUse, isLearner, raftIndex, raftAppliedIndex } = answer;
      return {
        ...{ version, dbSize, dbSizeInUse, isLearner, raftIndex, raftAppliedIndex },
        memberId: formatMemberId(answer.header?.memberId ?? '0'),
        leaderId: answer.leader === '0' ? '' : formatMemberId(answer.leader),
        alarms: alarmsIn(answer.errors),
      };
    },

    async defragment(endpoint) {
      await connection.ask(endpoint, MaintenanceService.defragment, {}, { timeoutMs: DEFRAGMENT_MS });
    },

    async compact(revision) {
      try {
        const request = { revision, physical: true };
        await connection.call(KVService.compact, request, {
          repeatable: true,
          attemptMs: COMPACT_MS,
          budgetMs: COMPACT_MS,
        });
      } catch (error) {
        if (!isCompacted(error)) throw error;
      }
    },

    async disarm() {
      const none = { action: Action.GET, memberID: '0', alarm: AlarmType.NOSPACE };
      const { alarms } = await connection.call(MaintenanceService.alarm, none, { repeatable: true });
      for (const { memberID, alarm } of alarms) {
        if (alarm !== AlarmType.NOSPACE) continue;
        const request = { action: Action.DEACTIVATE, memberID, alarm };
        await connection.call(MaintenanceService.alarm, request, { repeatable: true });
      }
    },
  };
}
