import { expect, it } from 'vitest';
import { FormerAddresses, type FormerAddressesDeps } from '../../../../src/agent/engine/former.ts';

const RECORD = { id: 'e1', networkId: 'n1', addresses: [] };

function one() {
  let left = 0;
  const former = new FormerAddresses({
    ...{ selfId: 'h1', state: undefined, isReserved: () => false },
    local: { former: () => [{ record: RECORD, engine: { containerId: 'c1' } }], forgetFormer: async () => undefined },
    onLeft: () => {
      left += 1;
    },
  } as unknown as FormerAddressesDeps);
  return { former, left: () => left, unclaimed: () => former.unclaimed().map(({ record }) => record.id) };
}

it('holds all while the engine has still to start what ran before, but not for ever', () => {
  const { former, left, unclaimed } = one();
  former.expectEngine();
  expect(unclaimed()).toEqual([]);
  former.awaitAllNoLonger();
  expect([unclaimed(), left()]).toEqual([['e1'], 1]);
});

it('holds what the engine gave up on for as long as that is not started', () => {
  const { former, unclaimed } = one();
  former.expectEngine();
  former.await(['c1']);
  former.awaitAllNoLonger();
  expect(unclaimed()).toEqual([]);
});
