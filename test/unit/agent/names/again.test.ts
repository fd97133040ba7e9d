import { expect, test } from 'vitest';
import { Again } from '../../../../src/agent/names/again.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

test('what failed is tried again after a while, once for each place, until it need not be', async () => {
  const clock = new VirtualClock();
  const again = new Again(clock);
  const tried: string[] = [];
  let isDue = true;
  const later = (place: string) =>
    again.later(
      place,
      undefined,
      () => isDue,
      async () => {
        tried.push(place);
        void later(place);
        throw new Error('port 53 is held there');
      },
    );
  for (const place of ['web', 'web', '']) void later(place);
  await clock.advance(11_000);
  expect(tried).toEqual(['web', '', 'web', '']);
  isDue = false;
  await clock.advance(20_000);
  expect(tried).toHaveLength(4);
});
