/** Of the failure detector: members that said that they will be back. */
import { expect, test } from 'vitest';
import { AWAITED_MS, type FailureDetector } from '../../../src/core/failure-detector.ts';
import { detector, INTERVAL, LIMIT, newsOfMember as news } from '../../fixtures/failure-detector.ts';

const farewell = (nodeId: string, backWithinMs = AWAITED_MS) => news(nodeId, { incarnation: 2, backWithinMs });

/** Asks `b` each interval until `to`, hears from `a`, and is told whether b's host is there. */
function pass(made: FailureDetector, from: number, to: number, isThere: boolean | undefined): number {
  for (let now = from + INTERVAL; now <= to; now += INTERVAL) {
    made.ask('b', now - INTERVAL);
    if (isThere !== undefined) made.sought('b', isThere, now);
    made.heard('a', [], now);
    made.beat(0, now);
  }
  return to;
}

const toldOf = (made: FailureDetector, nodeId: string, now: number) =>
  made.news('a', LIMIT, now).find((each) => each.nodeId === nodeId);

test('what a node says of itself when it ends is of a new incarnation, and tells what is left of its time', () => {
  const made = detector('a');
  made.sayFarewell(1_000);
  expect(made.news('a', LIMIT, 1_000)).toEqual([farewell('self')]);
  expect(made.news('a', LIMIT, 11_000.5)).toEqual([farewell('self', AWAITED_MS - 10_001)]);
  expect(made.heard('a', [news('self', { incarnation: 2, accusers: ['a'] })], 12_000)).toBe(true);
  expect(made.news('a', LIMIT, 21_000)).toEqual([news('self', { incarnation: 3, backWithinMs: AWAITED_MS - 20_000 })]);
});

test('silent as it said, it is not accused, whether etcd has its lease or not, until its time is over', () => {
  const made = detector('a', 'b');
  made.heard('b', [farewell('b')], 0);
  const now = pass(made, 0, AWAITED_MS - INTERVAL, true);
  expect(toldOf(made, 'b', now)?.accusers).toEqual([]);
  expect([made.liveness('b', false, now), made.liveness('b', true, now)]).toEqual(['restarting', 'restarting']);
  expect(made.hearsNobody(now)).toBe(false);
});

test('then it is asked as often as any other before it is accused', () => {
  const made = detector('a', 'b');
  made.heard('b', [farewell('b')], 0);
  let now = pass(made, 0, AWAITED_MS + 2 * INTERVAL, true);
  expect([made.isAwaited('b'), made.liveness('b', false, now)]).toEqual([false, 'restarting']);
  expect(toldOf(made, 'b', now)?.accusers ?? []).toEqual([]);
  now = pass(made, now, AWAITED_MS + 5 * INTERVAL, true);
  expect(toldOf(made, 'b', now)).toEqual(news('b', { incarnation: 2, accusers: ['self'] }));
  now = pass(made, now, now + 3 * INTERVAL, true);
  expect(made.liveness('b', true, now)).toBe('down');
});

test('those who know of no farewell accuse it in vain: only a host that is sought in vain is hidden', () => {
  const made = detector('a', 'b', 'c');
  made.heard('b', [farewell('b')], 0);
  made.heard('a', [news('b', { incarnation: 2, accusers: ['a', 'c'] })], 0);
  let now = pass(made, 0, 20_000, undefined);
  expect(made.liveness('b', false, now)).toBe('restarting');
  // As before anybody is hidden, this node looks itself, for as long as it is so.
  expect(made.toAsk(1, now)).toContain('b');
  now = pass(made, now, now + INTERVAL, false);
  expect(made.liveness('b', false, now)).toBe('restarting');
  now = pass(made, now, now + INTERVAL, false);
  expect(made.liveness('b', false, now)).toBe('suspect');
  now = pass(made, now, now + INTERVAL, true);
  expect(made.liveness('b', false, now)).toBe('restarting');
});

test('where its host is gone it is accused as any other, and etcd is believed', () => {
  const made = detector('a', 'b');
  made.heard('b', [farewell('b')], 0);
  let now = pass(made, 0, 10_000, true);
  now = pass(made, now, now + 3 * INTERVAL, false);
  expect(made.liveness('b', true, now)).toBe('restarting');
  now = pass(made, now, now + 2 * INTERVAL, false);
  expect(toldOf(made, 'b', now)).toMatchObject({ accusers: ['self'] });
  expect(made.liveness('b', true, now)).toBe('down');
});

test('it is passed on with what is left of it, for as long as it holds', () => {
  const made = detector('a', 'b', 'c');
  made.heard('b', [farewell('b', 50_000)], 0);
  for (let now = 1_000; now < 50_000; now += 1_000) expect(toldOf(made, 'b', now)).toEqual(farewell('b', 50_000 - now));
  made.beat(0, 50_000);
  expect(toldOf(made, 'b', 50_000)).toBeUndefined();
});

test('one that says a longer time is believed no longer than any', () => {
  const made = detector('a', 'b');
  made.heard('b', [farewell('b', 2 ** 32 - 1)], 0);
  expect(toldOf(made, 'b', 0)).toEqual(farewell('b'));
  made.beat(0, AWAITED_MS);
  expect(made.isAwaited('b')).toBe(false);
});

test('one that comes late, again or by others makes nothing longer', () => {
  const made = detector('a', 'b');
  made.heard('b', [farewell('b', 10_000)], 0);
  made.heard('a', [farewell('b')], 5_000);
  expect(toldOf(made, 'b', 5_000)).toEqual(farewell('b', 5_000));
  made.beat(0, 10_000);
  made.heard('a', [farewell('b')], 11_000);
  expect(made.isAwaited('b')).toBe(false);
});

test('one of an earlier incarnation or run is void', () => {
  const made = detector('a', 'b');
  made.heard('b', [news('b', { incarnation: 3 })], 0);
  made.heard('a', [farewell('b')], 0);
  expect(made.liveness('b', false, 0)).toBe('ready');
  made.heard('b', [news('b', { startedAt: 6 })], 0);
  made.heard('a', [news('b', { incarnation: 9, backWithinMs: 9_000 })], 0);
  expect(made.liveness('b', false, 0)).toBe('ready');
});

test('a new run ends it, whoever tells', () => {
  const made = detector('a', 'b', 'c');
  made.heard('b', [farewell('b')], 0);
  made.heard('a', [news('b', { startedAt: 6 })], 3_000);
  expect(made.liveness('b', false, 3_000)).toBe('ready');
  expect(toldOf(made, 'b', 3_000)).toEqual(news('b', { startedAt: 6 }));
});

test('who heard of it by one that passes no farewell on takes it from another one', () => {
  const made = detector('a', 'b', 'c');
  made.heard('a', [news('b', { incarnation: 2 })], 0);
  expect(made.liveness('b', false, 0)).toBe('ready');
  made.heard('c', [farewell('b', 30_000)], 500);
  expect(made.liveness('b', false, 500)).toBe('restarting');
});

test('who is no member any more is not awaited', () => {
  const made = detector('a', 'b');
  made.heard('b', [farewell('b')], 0);
  made.track(['self', 'a']);
  made.beat(0, AWAITED_MS);
  expect(made.isAwaited('b')).toBe(false);
  expect(made.news('a', LIMIT, 0)).toEqual([news('self')]);
});
