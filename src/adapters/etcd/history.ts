/** What became of keys lately, which etcd remembers for an hour (`server-arguments.ts`). */
import { WatchCreateRequest, type WatchResponse, WatchService } from '../../gen/etcd/rpc.ts';
import type { Link } from './link.ts';
import { decodeEvent, encodeKey, encodePrefixEnd, type StoreEvent } from './request.ts';

export interface PastEvent extends StoreEvent {
  /** Revision of what it took the place of; 0: nothing. */
  readonly replaced: number;
}

export interface Span {
  readonly prefix: string;
  /** What happened at later revisions. */
  readonly after: number;
  /** Nothing later is asked for. */
  readonly isLast: (event: StoreEvent) => boolean;
}

/** All of it, in order, whole revisions. Undefined: it was not told, or the signal aborts before it is. Never rejects. */
export async function readHistory(
  link: Pick<Link, 'stream'>,
  { prefix, after, isLast }: Span,
  signal: AbortSignal,
): Promise<readonly PastEvent[] | undefined> {
  const { promise, resolve } = Promise.withResolvers<readonly PastEvent[] | undefined>();
  const giveUp = () => resolve(undefined);
  const stream = link.stream(WatchService.watch);
  const events: PastEvent[] = [];
  stream.on('data', ({ canceled, events: more, fragment }: WatchResponse) => {
    if (canceled) return giveUp();
    events.push(...more.map((event) => ({ ...decodeEvent(event), replaced: event.prevKv?.modRevision ?? 0 })));
    if (!fragment && events.some(isLast)) resolve(events);
  });
  stream.on('error', giveUp);
  stream.on('end', giveUp);
  signal.addEventListener('abort', giveUp, { once: true });
  if (signal.aborted) giveUp();
  const create = WatchCreateRequest.fromPartial({
    key: encodeKey(prefix),
    rangeEnd: encodePrefixEnd(prefix),
    startRevision: after + 1,
    prevKv: true,
    fragment: true,
  });
  stream.write({ requestUnion: { $case: 'createRequest', value: create } });
  try {
    return await promise;
  } finally {
    signal.removeEventListener('abort', giveUp);
    stream.cancel();
  }
}
