import { expect, test } from 'vitest';
import { UpdateQueue } from '../../../../src/adapters/etcd/update-queue.ts';
import type { WatchUpdate } from '../../../../src/ports/store.ts';

const put = (key: string, revision: number): WatchUpdate => ({
  kind: 'events',
  revision,
  events: [{ key, value: String(revision), revision }],
});
const snapshot: WatchUpdate = { kind: 'snapshot', revision: 9, entries: [] };
const stalled: WatchUpdate = { kind: 'stalled' };

async function drained(...updates: WatchUpdate[]): Promise<WatchUpdate[]> {
  const queue = new UpdateQueue();
  for (const update of updates) queue.push(update);
  const seen: WatchUpdate[] = [];
  const reader = queue.drain();
  const more = async () => {
    for await (const update of reader) seen.push(update);
  };
  const reading = more();
  await new Promise(setImmediate);
  queue.end();
  await reading;
  return seen;
}

test('events that wait become one update, in order', async () => {
  const [update, ...others] = await drained(put('a', 1), put('b', 2), put('a', 3));
  expect(others).toEqual([]);
  expect(update).toMatchObject({ revision: 3, events: [{ revision: 1 }, { revision: 2 }, { revision: 3 }] });
});

test('a snapshot replaces what waits', async () => {
  expect(await drained(put('a', 1), stalled, snapshot, put('b', 10))).toEqual([snapshot, put('b', 10)]);
});

test('an outage is told while it lasts, and not when it is over', async () => {
  expect(await drained(put('a', 1), stalled, stalled)).toEqual([put('a', 1), stalled]);
  expect(await drained(put('a', 1), stalled, put('a', 2))).toHaveLength(1);
});

test('however many changes wait, at most the last of each key is kept, in the order of revisions', async () => {
  const changes = Array.from({ length: 5_000 }, (_, i) => put(`k${i % 7}`, i + 1));
  const [update] = await drained(...changes);
  const events = update?.kind === 'events' ? update.events : [];
  expect(events.length).toBeLessThanOrEqual(1_000);
  expect(events.slice(-7).map((event) => event.revision)).toEqual([4994, 4995, 4996, 4997, 4998, 4999, 5000]);
  expect(events.map((event) => event.revision)).toEqual(
    events.map((event) => event.revision).toSorted((a, b) => a - b),
  );
});
