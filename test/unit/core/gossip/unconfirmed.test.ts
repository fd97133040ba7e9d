import { expect, it } from 'vitest';
import { Unconfirmed } from '../../../../src/core/gossip/unconfirmed.ts';

it('remembers so many keys, the latest, each with its highest revision', () => {
  const unconfirmed = new Unconfirmed(2);
  unconfirmed.add('a', 7);
  unconfirmed.add('b', 5);
  unconfirmed.add('a', 6);
  unconfirmed.add('c', 1);
  expect([unconfirmed.has('a', 7), unconfirmed.has('a', 8), unconfirmed.has('b', 5)]).toEqual([true, false, false]);
  expect(unconfirmed.has('c', 1)).toBe(true);
});
