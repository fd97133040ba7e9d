import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import type { StoreEvent } from '../../../../src/adapters/etcd/request.ts';
import { followStream, PROGRESS_INTERVAL_MS, type StreamEnd } from '../../../../src/adapters/etcd/watch-stream.ts';
import { Event_EventType } from '../../../../src/gen/etcd/kv.ts';
import { type WatchRequest, WatchResponse } from '../../../../src/gen/etcd/rpc.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

/** The server's end of one watch stream. */
class ScriptedStream extends EventEmitter {
  readonly requests: WatchRequest[] = [];
  cancelled = false;

  write(request: WatchRequest): void {
    this.requests.push(request);
  }

  cancel(): void {
    this.cancelled = true;
  }

  send(revision: number, fields: Parameters<typeof WatchResponse.fromPartial>[0] = {}): void {
    this.emit('data', WatchResponse.fromPartial({ header: { revision }, ...fields }));
  }

  sendEvents(fragment: boolean, ...events: [key: string, revision: number][]): void {
    const encoded = events.map(([key, revision]) => ({
      type: Event_EventType.PUT,
      kv: { key: Buffer.from(key), value: Buffer.from(''), modRevision: revision },
    }));
    this.send(events.at(-1)![1], { events: encoded, fragment });
  }
}

async function follow(options: { listed?: boolean; lifetimeMs?: number } = {}) {
  const clock = new VirtualClock();
  const stream = new ScriptedStream();
  const seen: { revision: number; keys: string[] }[] = [];
  const reader = {
    heard: () => undefined,
    advanced: (revision: number, events: readonly StoreEvent[]) =>
      void seen.push({ revision, keys: events.map((event) => event.key) }),
  };
  const abort = new AbortController();
  let end: StreamEnd | undefined;
  const done = followStream(
    { stream, clock, reader },
    { prefix: '/p/', after: 10, listed: options.listed ?? false, lifetimeMs: options.lifetimeMs ?? 3_600_000 },
    abort.signal,
  ).then((reason) => {
    end = reason;
  });
  await clock.advance(0);
  const tick = () => clock.advance(PROGRESS_INTERVAL_MS);
  return { clock, stream, seen, abort, done, tick, ended: () => end?.kind };
}

test('asks from the revision that it has, and tells what came after', async () => {
  const { stream, seen } = await follow();
  expect(stream.requests[0]?.requestUnion).toMatchObject({
    $case: 'createRequest',
    value: { startRevision: 10, fragment: true },
  });
  stream.sendEvents(false, ['/p/known', 9], ['/p/known', 10]);
  expect(seen.flatMap(({ keys }) => keys)).toEqual([]);
  stream.sendEvents(false, ['/p/known', 10], ['/p/new', 11]);
  expect(seen.at(-1)).toEqual({ revision: 11, keys: ['/p/new'] });
});

test('a progress revision counts only after an interval without events', async () => {
  const { stream, seen, tick } = await follow();
  stream.send(10, { created: true });
  await tick();
  stream.send(20); // ahead of the events that come next, as old servers do
  stream.sendEvents(false, ['/p/a', 15]);
  await tick();
  stream.send(20);
  expect(seen.at(-1)).toEqual({ revision: 15, keys: ['/p/a'] });
  await tick();
  stream.send(21);
  expect(seen.at(-1)).toEqual({ revision: 20, keys: [] });
});

test('answers that come at once are one: no interval has passed between them', async () => {
  const { stream, seen, tick } = await follow();
  stream.send(10, { created: true });
  await tick();
  await tick();
  stream.send(20);
  stream.send(20);
  expect(seen.at(-1)).toEqual({ revision: 10, keys: [] });
  await tick();
  stream.send(20);
  expect(seen.at(-1)).toEqual({ revision: 20, keys: [] });
});

test('an event of before a progress that was believed has it end: the reader has passed over it', async () => {
  const { stream, seen, tick, ended, clock } = await follow();
  stream.send(10, { created: true });
  for (let nth = 0; nth < 3; nth++) {
    await tick();
    stream.send(20);
  }
  expect(seen.at(-1)).toEqual({ revision: 20, keys: [] });
  stream.sendEvents(false, ['/p/late', 15]);
  await clock.advance(0);
  expect(ended()).toBe('behind');
  expect(seen.at(-1)).toEqual({ revision: 20, keys: [] });
});

test('fragments of one answer are delivered as one', async () => {
  const { stream, seen } = await follow();
  stream.sendEvents(true, ['/p/a', 11], ['/p/b', 12]);
  expect(seen).toEqual([]);
  stream.sendEvents(false, ['/p/c', 12]);
  expect(seen).toEqual([{ revision: 12, keys: ['/p/a', '/p/b', '/p/c'] }]);
});

test('two questions without an answer end it; one does not', async () => {
  const { stream, tick, ended } = await follow();
  stream.send(10, { created: true });
  await tick();
  await tick();
  stream.send(10);
  await tick();
  await tick();
  expect(ended()).toBeUndefined();
  await tick();
  expect(ended()).toBe('silent');
  expect(stream.cancelled).toBe(true);
});

const DENIED = 'rpc error: code = PermissionDenied desc = etcdserver: permission denied';

test.each([
  ['compacted', (stream: ScriptedStream) => stream.send(50, { canceled: true, compactRevision: 30 }), false],
  ['broken', (stream: ScriptedStream) => stream.send(50, { canceled: true, cancelReason: 'no leader' }), false],
  [
    'refused',
    (stream: ScriptedStream) => stream.send(50, { created: true, canceled: true, cancelReason: DENIED }),
    false,
  ],
  ['broken', (stream: ScriptedStream) => stream.emit('error', new Error('14 UNAVAILABLE')), false],
  ['broken', (stream: ScriptedStream) => stream.emit('end'), false],
  ['behind', (stream: ScriptedStream) => stream.send(4, { created: true }), false],
  [undefined, (stream: ScriptedStream) => stream.send(4, { created: true }), true],
])('ends as %s', async (kind, act, listed) => {
  const { clock, stream, ended } = await follow({ listed });
  act(stream);
  await clock.advance(0);
  expect(ended()).toBe(kind);
});

test('ends when it is due, and with the reason of the signal', async () => {
  const due = await follow({ lifetimeMs: PROGRESS_INTERVAL_MS });
  await due.tick();
  expect(due.ended()).toBe('due');
  const aborted = await follow();
  aborted.abort.abort(new Error('stop'));
  await expect(aborted.done).rejects.toThrow('stop');
});
