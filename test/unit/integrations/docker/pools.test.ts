import { beforeEach, expect, test } from 'vitest';
import { OpeningPools } from '../../../../src/integrations/docker/pools.ts';

const pool = {
  network: 'web',
  cidr: '10.0.1.0/24',
  gateway: '10.0.1.1',
  asked: false,
  subPool: undefined,
  exists: false,
};
let now = 0;
let pools: OpeningPools;

beforeEach(() => {
  now = 0;
  pools = new OpeningPools({ elapsed: () => now });
});

test('a pool is open until the network is made of it', () => {
  pools.add(pool);
  expect(pools.find('10.0.1.0/24')).toBe(pool);
  expect(pools.find('10.0.2.0/24')).toBeUndefined();
  pools.close('10.0.1.0/24');
  expect(pools.all()).toEqual([]);
  pools.close('10.0.1.0/24');
});

test('the same may be open twice, and is closed twice', () => {
  pools.add(pool);
  pools.add({ ...pool });
  pools.close('10.0.1.0/24');
  expect(pools.all()).toHaveLength(1);
});

test('one that no network is made of is forgotten after a minute', () => {
  pools.add(pool);
  now = 60_000;
  expect(pools.all()).toEqual([pool]);
  now = 60_001;
  expect(pools.all()).toEqual([]);
});
