import { expect, it } from 'vitest';
import type { NamesNews, ZoneEntry } from '../../../../src/core/dns/names-protocol.ts';
import { zoneDifference } from '../../../../src/core/dns/zone-difference.ts';

const network = { name: 'web', internal: false, subnets: ['10.0.0.0/24'] };
const entry = (nth: number, changes: Partial<ZoneEntry> = {}): ZoneEntry => ({
  ...{ address: `10.0.0.${nth}`, name: `n${nth}`, names: [`n${nth}`], shown: true },
  ...changes,
});
const zone = (...set: readonly ZoneEntry[]): NamesNews => ({ kind: 'zone', networkId: 'w', network, set, removed: [] });

it('is none for the same in other parts and another order', () => {
  expect(zoneDifference([zone(entry(1), entry(2))], [zone(entry(2)), zone(entry(1))])).toBeUndefined();
});

it('says what is missing, what is otherwise and what is too much', () => {
  const services: NamesNews = {
    kind: 'services',
    networkId: 'w',
    services: [{ name: 'pool', addresses: ['10.0.0.9'] }],
  };
  const kept = [zone(entry(1, { shown: false }), entry(3))];
  expect(zoneDifference(kept, [zone(entry(1), entry(2)), services])).toBe(
    'n1 at 10.0.0.1 is answered otherwise, n2 at 10.0.0.2 is not known, service pool is not known, n3 at 10.0.0.3 is known and is gone',
  );
});

it('names ten of many', () => {
  const all = Array.from({ length: 30 }, (_, nth) => entry(nth));
  expect(zoneDifference([], [zone(...all)])).toMatch(/, and 21 more$/);
});
