/** `overlayd events`. */
import type { ClusterEvents } from '../../agent/events/cluster-events.ts';
import { OverlaydError } from '../../core/errors.ts';
import { requireBounded } from '../../core/events/event-filter.ts';
import type { Told } from '../../core/events/told.ts';
import type { EventsReply, EventsRequest } from '../../gen/overlayd/v1/control.ts';

export interface EventHandlersDeps {
  readonly events: Pick<ClusterEvents, 'tell'>;
}

export function eventHandlers({ events }: EventHandlersDeps) {
  return {
    followEvents: async (
      { query, local }: EventsRequest,
      emit: (reply: EventsReply) => Promise<void>,
      signal: AbortSignal,
    ): Promise<void> => {
      if (!query) throw new OverlaydError('invalid-argument', 'events are asked for without saying which');
      requireBounded(query);
      for await (const told of events.tell(query, { local }, signal)) await emit(replyOf(told));
    },
  };
}

function replyOf({ events, leftOut, away }: Told): EventsReply {
  return {
    events: events.map(({ host, event: { at: atMs, fields, ...event } }) => ({
      ...{ nodeId: host.id, nodeName: host.name },
      event: { ...event, atMs, fields: JSON.stringify(fields) },
    })),
    leftOut: leftOut.map(({ host: nodeName, type, count }) => ({ nodeName, type, count })),
    away: away.map(({ host: nodeName, reason }) => ({ nodeName, reason })),
  };
}
