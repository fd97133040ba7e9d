import { expect, test } from 'vitest';
import { FindingsWatch, Standing } from '../../../src/agent/findings-watch.ts';
import { type Found, found, suspected } from '../../../src/core/finding.ts';
import { VirtualClock } from '../../sim/virtual-clock.ts';

test('each finding is logged once, and once when it has ended; not what is told elsewhere, or only suspected', async () => {
  const clock = new VirtualClock();
  const ending = new AbortController();
  const logged: string[] = [];
  const log = (level: string) => (fields: object) =>
    logged.push(`${level} ${(fields as Found).code} ${(fields as Found).subject}`);
  const now = {
    all: [...found('pool-full', ['full'], 'web'), ...found('path-mtu', ['narrow'], 'h2'), suspected('store-slow', 'x')],
    looks: 0,
  };
  const watch = new FindingsWatch({
    lookAgain: async () => {
      now.looks += 1;
    },
    found: async () => now.all,
    ...{ clock, logger: { warn: log('warn'), info: log('info') } },
  });
  const ended = watch.run(ending.signal);
  await clock.advance(600_000);
  expect(logged).toEqual(['warn pool-full web']);
  expect(now.looks).toBe(10);
  now.all = [];
  await clock.advance(120_000);
  expect(logged).toEqual(['warn pool-full web', 'info pool-full web']);
  ending.abort();
  await ended;
});

test('what stands is replaced by looks that would have found it again, and by no other', () => {
  const standing = new Standing();
  const [web, shop] = ['web', 'shop'].map((name) => found('pool-full', ['full'], name)[0]!) as [Found, Found];
  standing.replace([web, shop, suspected('disk-full', 'nearly')], () => true);
  expect(standing.findings).toEqual([web, shop]);
  standing.replace([], ({ subject }) => subject === 'web');
  expect(standing.findings).toEqual([shop]);
});
