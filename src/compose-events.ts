/** What happened on this host and on all others: the log's events, kept on the disk, told to members and commands. */
import { ClusterEvents } from './agent/events/cluster-events.ts';
import { EventLog } from './agent/events/event-log.ts';
import { recording } from './agent/events/recording.ts';
import type { Member } from './agent/member.ts';
import { eventFile } from './compose-files.ts';
import type { Config } from './core/config/option.ts';
import { EVENT_TYPES, type EventType } from './core/events/event-types.ts';
import { gossipAddress } from './core/wireguard/reach.ts';
import type { MembersHandler, MembersTransport } from './ports/members.ts';
import type { Clock, Logger } from './ports/runtime.ts';

interface Reach {
  readonly member: Member;
  readonly transport: MembersTransport;
}

/** `logger`: lines of it are not events yet. What is kept on the disk is read by `log.load()`, once no other agent writes there. */
export function composeEvents(config: Pick<Config, 'dataDir'>, clock: Clock, logger: Logger) {
  const log = new EventLog({ file: eventFile(config), clock, logger });
  let reach: Reach | undefined;
  const self = () => ({ id: reach?.member.self.id ?? '', name: reach?.member.self.name ?? '' });
  const others = () => {
    if (!reach) return [];
    const { member } = reach;
    const nodes = [...member.view.nodes()].filter(({ id, left }) => !left && id !== member.self.id);
    return nodes.map((node) => ({
      ...{ id: node.id, name: node.name },
      address: gossipAddress(member.self, node, member.wireguard.outside.passes(node.id)),
    }));
  };
  const transport = () => reach?.transport;
  const members: Pick<MembersHandler, 'events'> = {
    events: (query, signal) => log.tell(query, () => Object.values(self()), signal),
  };
  // Of each type there is: Prometheus takes no notice of the first one of a series that was not there before it.
  const counts = new Map(Object.keys(EVENT_TYPES).map((type) => [type as EventType, 0]));
  return {
    log,
    /** By type, since the agent's start. */
    counts,
    logger: recording(logger, (...entry) => {
      const [, type] = entry;
      counts.set(type, (counts.get(type) ?? 0) + 1);
      log.record(...entry);
    }),
    ...{ members, others, transport },
    cluster: new ClusterEvents({ own: log, self, others, transport, clock }),
    /** Others are asked by this member, as long as it runs. */
    reachBy: (by: Reach, signal: AbortSignal) => {
      reach = by;
      signal.addEventListener('abort', () => {
        if (reach === by) reach = undefined;
      });
    },
  };
}
