import { expect, test } from 'vitest';
import { formatPoolId, parsePoolId } from '../../../../src/core/engine/pool-id.ts';

test('a pool says which network and which subnet it is', () => {
  const pool = { network: 'team-a.web', cidr: '10.0.1.0/24' };
  expect(formatPoolId(pool)).toBe('team-a.web/10.0.1.0/24');
  expect(parsePoolId(formatPoolId(pool))).toEqual(pool);
});

test('a pool may be of either family', () => {
  const pool = { network: 'web', cidr: 'fd00:0:0:1::/64' };
  expect(parsePoolId(formatPoolId(pool))).toEqual(pool);
});

test('a pool may say by its subnet alone which network it is', () => {
  const pool = { network: undefined, cidr: '10.0.1.0/24' };
  expect(formatPoolId(pool)).toBe('/10.0.1.0/24');
  expect(parsePoolId(formatPoolId(pool))).toEqual(pool);
});

test.each([
  '',
  'web',
  'web/',
  '10.0.0.0/24',
  'web/10.0.0.0',
  'a/b/10.0.0.0/24',
  'web/10.0.0.0/33',
  'LocalDefault/10.0.0.0/24/x',
])('"%s" is none of ours', (text) => {
  expect(parsePoolId(text)).toBeUndefined();
});
