/** What members tell of their own hosts, as streams on the listener of gossip. Each has a connection of its own. */
import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import type { DriftReport } from '../../core/drift/drift.ts';
import { OverlaydError } from '../../core/errors.ts';
import { requireBounded } from '../../core/events/event-filter.ts';
import type { Selected } from '../../core/events/event-history.ts';
import { type HostEvent, parseEvent } from '../../core/events/host-event.ts';
import type { Look, Seen } from '../../core/look.ts';
import type { DriftBatch, DriftQuery as DriftQueryMessage } from '../../gen/overlayd/v1/drift.ts';
import type { EventBatch, EventsQuery } from '../../gen/overlayd/v1/events.ts';
import type { LookQuery, Seen as SeenMessage } from '../../gen/overlayd/v1/look.ts';
import { MembersService } from '../../gen/overlayd/v1/members.ts';
import type { DriftQuery, EventQuery, MembersHandler } from '../../ports/members.ts';
import type { Peer } from '../../ports/peers.ts';
import { DriftReading, driftBatches } from './drift-batch.ts';
import { heardSeen, lookMessage, lookOf, seenMessage } from './look-message.ts';
import {
  hearMember,
  type MemberCall,
  MemberShares,
  type MemberWay,
  type RequireMember,
  type ShareLimits,
  type ShareRefusals,
  tellMember,
} from './member-stream.ts';

/** A member that asks for more than anybody reads gets as much. */
const MOST_EVENTS = 20_000;
const PER_MESSAGE = 500;
/** Several times what an agent of ours tells: what is larger, or more, is not for the memory of who asks. */
const MOST_EVENT_TEXT = 8 * 1024;
const MOST_PAST_TEXT = 8 * 1024 * 1024;
const MOST_TYPES = 200;
const MOST_TYPE_TEXT = 100;
/** Of one member at a time: one for each command that waits or follows on its host. As often as its connections are let in. */
const STREAMS: ShareLimits = { atOnce: 8, credit: 30, creditPerSecond: 5 };
/** Paths and names: packets on the wire, a question in a container. Somebody who tries names, and walks of several pages, need less. */
const WALKS: ShareLimits = { atOnce: 8, credit: 20, creditPerSecond: 2 };
/** A look at the kernel is work. */
const LOOKS: ShareLimits = { atOnce: 2, credit: 20, creditPerSecond: 1 };

const REFUSED_STREAMS: ShareRefusals = {
  atOnce: `it tells this host of its events ${STREAMS.atOnce} times already: end \`overlayd events --follow\` that nobody reads`,
  tooOften: tooOften('told of its events', STREAMS),
};
const REFUSED_WALKS: ShareRefusals = {
  atOnce: 'it looks at paths and names for this host already: ask again in a moment',
  tooOften: tooOften('looked at paths and names', WALKS),
};
const REFUSED_LOOKS: ShareRefusals = {
  atOnce: 'it looks for drift for this host already: ask again when that has ended',
  tooOften: tooOften('looked for drift', LOOKS),
};

function tooOften(what: string, { credit, creditPerSecond }: ShareLimits): string {
  return `it ${what} for this host ${credit} times of late, and does no more than ${creditPerSecond} a second then: ask again in a moment`;
}

/** For `MembersService`. `elapsed`: milliseconds, by a clock that is not set. */
export function memberMethods(
  handler: MembersHandler,
  require: RequireMember,
  elapsed: () => number,
): UntypedServiceImplementation {
  const events = { shares: new MemberShares(STREAMS, REFUSED_STREAMS, elapsed), require };
  const walks = { shares: new MemberShares(WALKS, REFUSED_WALKS, elapsed), require };
  const looks = { shares: new MemberShares(LOOKS, REFUSED_LOOKS, elapsed), require };
  return {
    events: (call: MemberCall<EventsQuery, EventBatch>) => {
      const tell = async function* (signal: AbortSignal) {
        requireBounded(call.request);
        const { limit, ...query } = call.request;
        for await (const selected of handler.events({ ...query, limit: Math.min(limit, MOST_EVENTS) }, signal))
          yield* batchesOf(selected);
      };
      tellMember(call, tell, events);
    },
    drift: (call: MemberCall<DriftQueryMessage, DriftBatch>) => {
      const tell = async function* (signal: AbortSignal) {
        yield* driftBatches(await handler.drift(call.request, signal));
      };
      tellMember(call, tell, looks);
    },
    look: (call: MemberCall<LookQuery, SeenMessage>) => {
      const tell = async function* (signal: AbortSignal) {
        yield seenMessage(await handler.look(lookOf(call.request), signal));
      };
      tellMember(call, tell, walks);
    },
  };
}

function batchesOf({ events, leftOut, cursor }: Selected): EventBatch[] {
  const parts = [events.slice(0, PER_MESSAGE)];
  for (let at = PER_MESSAGE; at < events.length; at += PER_MESSAGE) parts.push(events.slice(at, at + PER_MESSAGE));
  // A stream that breaks off goes on after what came last.
  return parts.map((part, at) => ({
    events: part.map(({ at: atMs, fields, ...event }) => ({ ...event, atMs, fields: JSON.stringify(fields) })),
    leftOut: at === 0 ? { ...leftOut } : {},
    cursor: at === parts.length - 1 ? cursor : part.at(-1)!.seq,
  }));
}

/** As `MembersTransport.events`. */
export async function* askEvents(peer: Peer, query: EventQuery, way: MemberWay): AsyncGenerator<Selected> {
  const { types, nodes, networks, ...rest } = query;
  const { path, requestSerialize, responseDeserialize } = MembersService.events;
  const asked = { ...rest, types: [...types], nodes: [...nodes], networks: [...networks] };
  // Several messages wait in the stream: what is too much is gone before.
  const heard = hearMember(
    peer,
    (client) =>
      client.makeServerStreamRequest(path, requestSerialize, (bytes) => heardOf(responseDeserialize(bytes)), asked),
    ...([way, 'keeps no events'] as const),
  );
  let length = 0;
  for await (const each of heard) {
    yield each.selected;
    length += each.length;
    if (!query.follow && length > MOST_PAST_TEXT) return;
  }
}

/** As `MembersTransport.look`. */
export async function askLook(peer: Peer, look: Look, way: MemberWay): Promise<Seen> {
  const heard = hearMember(peer, (client) => client.look(lookMessage(look)), way, 'cannot be asked what it sees');
  for await (const seen of heard) return heardSeen(seen);
  way.signal.throwIfAborted();
  throw new OverlaydError('internal', `${peer.address} ended without an answer`);
}

/** As `MembersTransport.drift`. */
export async function askDrift(peer: Peer, query: DriftQuery, way: MemberWay): Promise<DriftReport> {
  const reading = new DriftReading();
  const heard = hearMember(peer, (client) => client.drift(query), way, 'does not tell of drift');
  for await (const batch of heard) if (!reading.add(batch)) break;
  // Then the stream has ended without an error, in its midst.
  way.signal.throwIfAborted();
  return reading.report;
}

interface Heard {
  readonly selected: Selected;
  /** Of its texts. */
  readonly length: number;
}

/** What another release tells that this one cannot read is passed over, and what is more than an agent of ours tells. */
function heardOf({ events, leftOut, cursor }: EventBatch): Heard {
  let length = 0;
  const read = events.slice(0, PER_MESSAGE).flatMap(({ seq, type, atMs: at, level, message, fields }): HostEvent[] => {
    const own = type.length + message.length + fields.length;
    if (own > MOST_EVENT_TEXT) return [];
    length += own;
    const line = `${JSON.stringify({ seq, type, at, level, message }).slice(0, -1)},"fields":${fields}}`;
    const event = parseEvent(line);
    return event ? [event] : [];
  });
  const counts = Object.entries(leftOut).filter(([type]) => type.length <= MOST_TYPE_TEXT);
  return { selected: { events: read, leftOut: Object.fromEntries(counts.slice(0, MOST_TYPES)), cursor }, length };
}
