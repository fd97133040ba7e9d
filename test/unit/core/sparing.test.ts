import { expect, it } from 'vitest';
import { Sparing } from '../../../src/core/sparing.ts';

it('says a few of what is repeated, and then how many it left out', () => {
  const sparing = new Sparing({ limit: 2, windowMs: 1_000 });
  expect([0, 1, 2, 3, 4].map((now) => sparing.take(now))).toEqual([0, 0, undefined, undefined, undefined]);
  expect([1_000, 1_001, 1_002].map((now) => sparing.take(now))).toEqual([3, 0, undefined]);
  expect(sparing.take(-5_000)).toBe(1);
});
