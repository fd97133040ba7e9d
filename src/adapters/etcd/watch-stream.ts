/**
 * One watch stream on one connection, from one revision on, until it breaks.
 *
 * etcd says nothing on a watch without changes, and a frozen server or a half-open connection says nothing either. So
 * every `PROGRESS_INTERVAL_MS` the stream asks for progress; two questions without any answer mean that it is dead.
 * Servers before 3.4.25 and 3.5.8 answer with a revision whose events may still be under way (etcd issue 15220).
 * A progress revision is therefore believed only when a whole interval passed after it without an event; answers that come at
 * once, after one of the two was busy, are one answer. Where it was wrong all the same, as on a machine without a processor to
 * spare, an event of before comes in the end: the reader has passed over it by then, and lists again.
 *
 * Newer servers (3.5.30; etcd change 20229) do not answer for a watch that begins after their revision, which is where
 * one that has everything would go on: a quiet store would pass for a dead one. So the stream begins at the revision
 * that the reader has, and drops what happened at that one.
 */
import { status } from '@grpc/grpc-js';
import { type ResponseHeader, WatchCreateRequest, type WatchRequest, type WatchResponse } from '../../gen/etcd/rpc.ts';
import type { Clock } from '../../ports/runtime.ts';
import { decodeEvent, encodeKey, encodePrefixEnd, type StoreEvent } from './request.ts';
import { isRefusalOfUser, parseCancelReason, StatusError } from './store-error.ts';

export const PROGRESS_INTERVAL_MS = 1_500;
const MISSED_ANSWERS = 2;

/** Why a stream is over. `compacted` and `behind`: its position is of no use any more, list again. */
export type StreamEnd =
  | { readonly kind: 'broken'; readonly error: unknown }
  /** Whoever we are may not read that. */
  | { readonly kind: 'refused'; readonly error: unknown }
  | { readonly kind: 'silent' }
  | { readonly kind: 'compacted' }
  | { readonly kind: 'behind' }
  | { readonly kind: 'due' };

/** As much of gRPC's stream as is in use. */
export interface WatchStream {
  on(event: 'data', listener: (response: WatchResponse) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'end', listener: () => void): unknown;
  write(request: WatchRequest): unknown;
  cancel(): void;
}

export interface StreamReader {
  /** Anything came: the store is there. */
  heard(header: ResponseHeader | undefined): void;
  /** All changes up to `revision` are in this and earlier calls. */
  advanced(revision: number, events: readonly StoreEvent[]): void;
}

/**
 * @param after - the reader has everything up to this revision.
 * @param listed - `after` comes from a list just made.
 * @param lifetimeMs - ends with `due` after about this long.
 * @throws the signal's reason when it aborts.
 */
export async function followStream(
  deps: { readonly stream: WatchStream; readonly clock: Pick<Clock, 'sleep'>; readonly reader: StreamReader },
  options: { readonly prefix: string; readonly after: number; readonly listed: boolean; readonly lifetimeMs: number },
  signal: AbortSignal,
): Promise<StreamEnd> {
  const { stream, clock, reader } = deps;
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  let end: StreamEnd | undefined;
  const finish = (reason: StreamEnd) => {
    end ??= reason;
    over.abort();
  };

  let position = options.after;
  let claimed = position;
  /** After how many questions it was. */
  let claimedAt = 0;
  let asked = 0;
  let heard = false;
  let fragments: StoreEvent[] = [];

  const receive = (response: WatchResponse): void => {
    if (end !== undefined) return;
    if (response.canceled) {
      const error = parseCancelReason(response.cancelReason);
      const kind = isRefusalOfUser(error) ? 'refused' : 'broken';
      finish(response.compactRevision > 0 ? { kind: 'compacted' } : { kind, error });
      return;
    }
    heard = true;
    reader.heard(response.header);
    const revision = response.header?.revision ?? 0;
    if (response.created) {
      // The store was put back from a backup, or this member lags: only a list tells. One fresh from the list lags.
      if (!options.listed && revision < position) finish({ kind: 'behind' });
      else reader.advanced(position, []);
    } else if (response.events.length > 0) {
      fragments.push(...response.events.map(decodeEvent));
      claimed = position;
      if (response.fragment) return;
      const events = fragments.filter((event) => event.revision > options.after);
      fragments = [];
      const [first] = events;
      if (first && first.revision <= position) {
        finish({ kind: 'behind' });
        return;
      }
      position = Math.max(position, events.at(-1)?.revision ?? position);
      claimed = position;
      reader.advanced(position, events);
    } else {
      if (claimed > position && asked > claimedAt) {
        position = claimed;
        reader.advanced(position, []);
      }
      if (revision > claimed) [claimed, claimedAt] = [revision, asked];
    }
  };

  stream.on('data', receive);
  stream.on('error', (error) => finish({ kind: 'broken', error }));
  stream.on('end', () => finish({ kind: 'broken', error: new StatusError(status.UNAVAILABLE, 'the stream ended') }));
  const create = WatchCreateRequest.fromPartial({
    key: encodeKey(options.prefix),
    rangeEnd: encodePrefixEnd(options.prefix),
    startRevision: options.after,
    fragment: true,
  });
  stream.write({ requestUnion: { $case: 'createRequest', value: create } });

  try {
    let missed = 0;
    // Counted in questions, not in time: a busy event loop must not pass for a silent store.
    while (missed < MISSED_ANSWERS) {
      await clock.sleep(PROGRESS_INTERVAL_MS, either, 'loosely');
      missed = heard ? 0 : missed + 1;
      heard = false;
      if (++asked * PROGRESS_INTERVAL_MS >= options.lifetimeMs) return { kind: 'due' };
      stream.write({ requestUnion: { $case: 'progressRequest', value: {} } });
    }
    return { kind: 'silent' };
  } catch (error) {
    if (signal.aborted || end === undefined) throw error;
    return end;
  } finally {
    end ??= { kind: 'silent' };
    stream.cancel();
  }
}
