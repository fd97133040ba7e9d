/** The control service's part for who keeps a copy of the records, as `overlayd ui` does. */
import type { Membership } from '../../agent/lifecycle.ts';
import { tellRecords } from '../../agent/view/told-records.ts';
import type { RecordsPart, RecordsRequest } from '../../gen/overlayd/v1/control.ts';

export function recordHandlers({ startedAtMs }: { readonly startedAtMs: number }, any: () => Membership) {
  return {
    getRecords: async (
      asked: RecordsRequest,
      emit: (part: RecordsPart) => Promise<void>,
      gone: AbortSignal,
    ): Promise<void> => {
      for (const { records, ...part } of tellRecords(any().member.state, asked, startedAtMs)) {
        if (gone.aborted) return;
        await emit({ ...part, records: records.map(({ key, revision, value }) => ({ key, revision, value })) });
      }
    },
  };
}
