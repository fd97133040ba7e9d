/** What members tell of their own hosts, as streams on the listener of gossip. Each has a connection of its own. */
import { once } from 'node:events';
import {
  type ChannelCredentials,
  type ClientOptions,
  connectivityState,
  type ServerWritableStream,
  type ServiceError,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { asOverlaydError, OverlaydError } from '../../core/errors.ts';
import { requireBounded } from '../../core/events/event-filter.ts';
import type { Selected } from '../../core/events/event-history.ts';
import { type HostEvent, parseEvent } from '../../core/events/host-event.ts';
import type { EventBatch, EventsQuery } from '../../gen/overlayd/v1/events.ts';
import { MembersClient, MembersService } from '../../gen/overlayd/v1/members.ts';
import type { EventQuery, MembersHandler } from '../../ports/members.ts';
import type { Peer } from '../../ports/peers.ts';
import { decodeError, encodeError, placeOf, unreachable } from './error.ts';

const CONNECT_MS = 1_500;
/** A member that asks for more than anybody reads gets as much. */
const MOST_EVENTS = 20_000;
const PER_MESSAGE = 500;
/** Several times what an agent of ours tells: what is larger, or more, is not for the memory of who asks. */
const MOST_EVENT_TEXT = 8 * 1024;
const MOST_PAST_TEXT = 8 * 1024 * 1024;
const MOST_TYPES = 200;
const MOST_TYPE_TEXT = 100;
/** Of one member at a time: one for each command that waits or follows on its host. */
const MOST_STREAMS = 8;

type Call = ServerWritableStream<EventsQuery, EventBatch>;

/** For `MembersService`; `require` says which member calls, and throws when it is none. */
export function memberMethods(handler: MembersHandler, require: (call: Call) => string): UntypedServiceImplementation {
  const streams = new Map<string, number>();
  const count = (nodeId: string, by: number) => {
    const held = (streams.get(nodeId) ?? 0) + by;
    if (held > MOST_STREAMS) throw tooMany();
    if (held > 0) streams.set(nodeId, held);
    else streams.delete(nodeId);
  };
  return {
    events: (call: Call) => {
      const gone = new AbortController();
      call.on('cancelled', () => gone.abort());
      call.on('error', () => gone.abort());
      const tell = async () => {
        requireBounded(call.request);
        const { limit, ...query } = call.request;
        for await (const selected of handler.events({ ...query, limit: Math.min(limit, MOST_EVENTS) }, gone.signal)) {
          // It may have been removed while it listens.
          require(call);
          for (const batch of batchesOf(selected)) {
            if (!call.write(batch)) await once(call, 'drain', { signal: gone.signal });
          }
        }
      };
      const tellOnce = async () => {
        const nodeId = require(call);
        count(nodeId, 1);
        try {
          await tell();
        } finally {
          count(nodeId, -1);
        }
      };
      tellOnce().then(
        () => call.end(),
        (thrown: unknown) => {
          if (!gone.signal.aborted) call.emit('error', encodeError(thrown));
        },
      );
    },
  };
}

function tooMany(): OverlaydError {
  return new OverlaydError(
    'conflict',
    `it tells this host of its events ${MOST_STREAMS} times already: end \`overlayd events --follow\` that nobody reads`,
    { retryable: true },
  );
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
export async function* askEvents(
  peer: Peer,
  query: EventQuery,
  { secure, options, signal }: { secure: ChannelCredentials; options: ClientOptions; signal: AbortSignal },
): AsyncGenerator<Selected> {
  const client = new MembersClient(peer.address, secure, options);
  const { types, nodes, networks, ...rest } = query;
  const { path, requestSerialize, responseDeserialize } = MembersService.events;
  // Several messages wait in the stream: what is too much is gone before.
  const stream = client.makeServerStreamRequest(
    path,
    requestSerialize,
    (bytes) => heardOf(responseDeserialize(bytes)),
    { ...rest, types: [...types], nodes: [...nodes], networks: [...networks] },
  );
  const abort = () => stream.cancel();
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  // gRPC itself waits for a silent host without end.
  const limit = setTimeout(() => {
    if (client.getChannel().getConnectivityState(false) === connectivityState.READY) return;
    stream.destroy(unreachable(`${placeOf(peer)} cannot be reached`, undefined));
  }, CONNECT_MS);
  try {
    let length = 0;
    for await (const heard of stream as AsyncIterable<Heard>) {
      yield heard.selected;
      length += heard.length;
      if (!query.follow && length > MOST_PAST_TEXT) return;
    }
  } catch (error) {
    if (!signal.aborted) throw toAskError(error, peer);
  } finally {
    clearTimeout(limit);
    signal.removeEventListener('abort', abort);
    stream.on('error', () => undefined).cancel();
    client.close();
  }
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

function toAskError(thrown: unknown, peer: Peer): OverlaydError {
  const error = thrown as ServiceError;
  if (error.metadata === undefined) return asOverlaydError(thrown);
  const coded = decodeError(error);
  if (coded) return coded;
  switch (error.code) {
    case status.UNIMPLEMENTED:
      return new OverlaydError(
        'version-mismatch',
        `${placeOf(peer)} runs an older overlayd, which keeps no events: upgrade it there`,
        { cause: error },
      );
    case status.UNAVAILABLE:
    case status.CANCELLED:
      return unreachable(`${placeOf(peer)} cannot be reached: ${error.details}`, error);
    default:
      return new OverlaydError('internal', `${placeOf(peer)}: ${error.details}`, { cause: error });
  }
}
