/** `etcdserverpb.Maintenance` and compaction, as our port has them. */
import { AlarmRequest_AlarmAction as Action, AlarmType, KVService, MaintenanceService } from '../../gen/etcd/rpc.ts';
import type { StoreMaintenance } from '../../ports/store.ts';
import type { EtcdConnection } from './connection.ts';
import { formatMemberId } from './member-id.ts';
import { alarmsIn, isCompacted } from './store-error.ts';

/** The member is silent meanwhile, for about a second for each 100 MiB on a slow disk; it has 8 GiB at most. */
const DEFRAGMENT_MS = 120_000;
const COMPACT_MS = 60_000;

export function createMaintenance(connection: EtcdConnection): StoreMaintenance {
  return {
    async memberStatus(endpoint) {
      const answer = await connection.ask(endpoint, MaintenanceService.status, {});
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
