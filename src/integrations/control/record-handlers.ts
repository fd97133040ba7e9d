/** The control service's part for who keeps a copy of the records, as `overlayd ui` does. */
import type { Membership } from '../../agent/lifecycle.ts';
import { tellRecords } from '../../agent/view/told-records.ts';
import type { RecordsPart, RecordsRequest } from '../../gen/overlayd/v1/control.ts';
import type { Clock } from '../../ports/runtime.ts';

export function recordHandlers(
  { startedAtMs, clock }: { readonly startedAtMs: number; readonly clock: Pick<Clock, 'sleep'> },
  any: () => Membership,
) {
  return {
    getRecords: async (
      asked: RecordsRequest,
      emit: (part: RecordsPart) => Promise<void>,
      gone: AbortSignal,
    ): Promise<void> => {
      for (const { records, ...part } of tellRecords(any().member.state, asked, startedAtMs)) {
        if (gone.aborted) return;
        await emit({ ...part, records: records.map(({ key, revision, value }) => ({ key, revision, value })) });
        // Whoever takes all at once must not have the agent to himself.
        if (part.whole) await clock.sleep(0, gone).catch(() => undefined);
      }
    },
  };
}
