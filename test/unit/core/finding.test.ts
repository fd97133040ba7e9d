import { expect, test } from 'vitest';
import { FindingTimes, found, suspected } from '../../../src/core/finding.ts';

test('a finding is known since it was seen first, whatever its words become; once it was gone it begins anew', () => {
  const times = new FindingTimes();
  const lost = (text: string) => found('data-path-lost', [text], 'h2');
  expect(times.date(lost('3 packets'), 1_000)).toEqual([
    { code: 'data-path-lost', subject: 'h2', text: '3 packets', certain: true, since: 1_000 },
  ]);
  const [again, other] = times.date([...lost('9 packets'), suspected('disk-full', 'little')], 5_000);
  expect(again).toMatchObject({ text: '9 packets', since: 1_000 });
  expect(other).toMatchObject({ code: 'disk-full', subject: '', certain: false, since: 5_000 });
  expect(times.date([], 6_000)).toEqual([]);
  expect(times.date(lost('1 packet'), 7_000)).toMatchObject([{ since: 7_000 }]);
});

test('what knows since when it is so says it itself', () => {
  const [dated] = new FindingTimes().date([{ ...suspected('path-mtu', 'small'), since: 40 }], 1_000);
  expect(dated?.since).toBe(40);
});
