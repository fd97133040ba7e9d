import { expect, it } from 'vitest';
import { type Drift, driftKey } from '../../../../src/core/drift/drift.ts';
import { DriftTimes, RepairMemory } from '../../../../src/core/drift/memory.ts';

const drift = (object: string, detail = ''): Drift => ({
  ...{ kind: 'link', network: 'web', place: 'ovl-4096', object, state: 'missing', detail, why: '' },
});

it('counts what was put back, by object, the last one first', () => {
  const memory = new RepairMemory();
  memory.note([drift('br0'), drift('vx0')], 1_000);
  memory.note([drift('br0', 'again')], 2_000);
  expect(memory.list(0)).toEqual([
    { drift: drift('br0', 'again'), times: 2, firstMs: 1_000, lastMs: 2_000 },
    { drift: drift('vx0'), times: 1, firstMs: 1_000, lastMs: 1_000 },
  ]);
  expect(memory.list(1_500).map((each) => each.drift.object)).toEqual(['br0']);
});

it('says what returns: the third time within ten minutes, and as long as that is no longer ago', () => {
  const memory = new RepairMemory();
  const minute = 60_000;
  for (const at of [0, 1, 2]) memory.note([drift('br0')], at * minute);
  expect(memory.returning(9 * minute).map((each) => each.drift.object)).toEqual(['br0']);
  for (const at of [0, 9, 18]) memory.note([drift('vx0')], at * minute);
  expect(memory.returning(18 * minute)).toEqual([]);
});

it('is bounded: what was put back longest ago goes first', () => {
  const memory = new RepairMemory();
  memory.note([drift('old')], 1);
  memory.note(
    Array.from({ length: 500 }, (_, nth) => drift(`e${nth}`)),
    2,
  );
  const kept = memory.list(0).map((each) => each.drift.object);
  expect([kept.length, kept.includes('old')]).toEqual([500, false]);
});

it('knows since when something differs, and forgets it once it does not where one looked', () => {
  const times = new DriftTimes();
  const since = (drifts: readonly Drift[], now: number, looked = () => true) =>
    times.date(drifts, now, looked).map(({ sinceMs }) => sinceMs);
  expect(since([drift('br0')], 1)).toEqual([1]);
  expect(since([drift('br0', 'otherwise')], 2)).toEqual([1]);
  expect(since([], 3, () => false)).toEqual([]);
  expect(since([drift('br0')], 4)).toEqual([1]);
  since([], 5);
  expect(since([drift('br0')], 6)).toEqual([6]);
});

it('forgets since when something differs that was put right, and the oldest of very much', () => {
  const times = new DriftTimes();
  const since = (object: string, now: number) => times.date([drift(object)], now, () => false)[0]!.sinceMs;
  expect([times.isEmpty, since('br0', 1), times.isEmpty]).toEqual([true, 1, false]);
  times.end([driftKey(drift('br0'))]);
  expect([times.isEmpty, since('br0', 2)]).toEqual([true, 2]);
  const many = Array.from({ length: 10_000 }, (_, nth) => drift(`e${nth}`));
  times.date(many, 3, () => false);
  expect([since('e9999', 4), since('br0', 4)]).toEqual([3, 4]);
});
