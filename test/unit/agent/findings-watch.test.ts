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
    standing: [] as readonly Found[],
    ...{ looks: 0, closer: 0, reports: 0, isDoubted: false },
  };
  const watch = new FindingsWatch({
    doctor: {
      lookAgain: async (isCloser) => {
        now[isCloser ? 'closer' : 'looks'] += 1;
        return now.isDoubted;
      },
      get standing() {
        return now.standing;
      },
    },
    found: async () => {
      now.reports += 1;
      return now.all;
    },
    ...{ clock, logger: { warn: log('warn'), info: log('info') } },
  });
  const ended = watch.run(ending.signal);
  await clock.advance(600_000);
  expect(logged).toEqual(['warn pool-full web']);
  expect([now.looks, now.closer]).toEqual([10, 0]);
  now.all = [];
  await clock.advance(120_000);
  expect(logged).toEqual(['warn pool-full web', 'info pool-full web']);
  now.isDoubted = true;
  await clock.advance(120_000);
  expect(now.looks).toBe(14);
  // Every five seconds, after the first of these that found something.
  expect(now.closer).toBeGreaterThanOrEqual(11);
  // What is in doubt alone is told of meanwhile, and nothing else is looked at.
  expect(now.reports).toBe(now.looks);
  logged.length = 0;
  now.all = found('pool-full', ['full'], 'shop');
  await clock.advance(70_000);
  now.standing = [...found('gossip-blocked', ['refused'], 'h2'), ...found('pool-full', ['full'], 'web')];
  await clock.advance(5_000);
  now.standing = [];
  await clock.advance(5_000);
  expect(logged).toEqual(['warn pool-full shop', 'warn gossip-blocked h2', 'info gossip-blocked h2']);
  now.isDoubted = false;
  await clock.advance(5_000);
  const { closer } = now;
  await clock.advance(50_000);
  expect(now.closer).toBe(closer);
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

test('what may be chance stands when two looks in a row have found it, and ends with the first that does not', () => {
  const standing = new Standing();
  const [closed] = found('gossip-blocked', ['refused'], 'h2') as [Found];
  const look = (all: readonly Found[], subject = 'h2') => {
    standing.replace(all, (each) => each.code === 'gossip-blocked' && each.subject === subject);
    return [standing.findings.length, standing.inDoubt.length];
  };
  expect(look([closed])).toEqual([0, 1]);
  expect(look([])).toEqual([0, 0]);
  expect(look([closed])).toEqual([0, 1]);
  expect(look([], 'h3')).toEqual([0, 1]);
  expect(look([closed])).toEqual([1, 1]);
  expect(look([closed])).toEqual([1, 1]);
  expect(look([])).toEqual([0, 0]);
});
