import { expect, test } from 'vitest';
import { choosePlaceholder, isPlaceholder } from '../../../../src/core/engine/placeholder.ts';

test.each([
  [4, 0, { cidr: '240.0.0.0/24', gateway: '240.0.0.1' }],
  [4, 0.5, { cidr: '248.0.0.0/24', gateway: '248.0.0.1' }],
  [4, 1 - Number.EPSILON, { cidr: '255.255.255.0/24', gateway: '255.255.255.1' }],
  [6, 0, { cidr: 'e000::/64', gateway: 'e000::1' }],
  [6, 0.5, { cidr: 'e000:8000::/64', gateway: 'e000:8000::1' }],
  [6, 1 - Number.EPSILON, { cidr: 'e000:ffff:ffff:ffff::/64', gateway: 'e000:ffff:ffff:ffff::1' }],
] as const)('a placeholder of IPv%d is in the reserved block (chance %d)', (family, chance, expected) => {
  const chosen = choosePlaceholder(family, new Set(), () => chance);
  expect(chosen).toEqual(expected);
  expect(isPlaceholder(chosen.cidr)).toBe(true);
});

test('a placeholder that is taken is not chosen', () => {
  const chances = [0, 0, 1 / 2 ** 20];
  expect(choosePlaceholder(4, new Set(['240.0.0.0/24']), () => chances.shift()!).cidr).toBe('240.0.1.0/24');
});

test.each(['10.0.0.0/24', '239.255.255.0/24', '224.0.0.0/3', '0.0.0.0/0', 'fd00::/64', '::/0', 'web'])(
  '%s is none',
  (text) => {
    expect(isPlaceholder(text)).toBe(false);
  },
);
