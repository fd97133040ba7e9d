import { expect, it } from 'vitest';
import { RecentIds } from '../../../src/core/recent-ids.ts';

it('ids are known for a while, and no more of them are kept than that', () => {
  const recent = new RecentIds();
  for (let id = 0; id < 3_000; id++) recent.add(String(id));
  expect([recent.has('2999'), recent.has('2000'), recent.has('1900'), recent.has('0')]).toEqual([
    true,
    true,
    false,
    false,
  ]);
});
