import { expect, test } from 'vitest';
import { StoreFollower } from '../../../../src/agent/store/follow.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import { encodeRecord } from '../../../../src/core/record-codec.ts';
import { keys } from '../../../../src/core/records.ts';
import type { StoreAccess } from '../../../../src/ports/store.ts';
import { clusterRecord, EPOCH } from '../../../fixtures/records.ts';
import { silent } from '../../../sim/simulated-cluster.ts';

const SECOND = '2-00000000000000e2';
const OLD = ['https://192.0.2.1:2379'];
const place = { endpoints: ['https://192.0.2.2:2379'], caCertificate: '', certificate: '', key: '' };

/** `there`: what the other store says, or why it does not. */
function member(there: unknown = clusterRecord({ epoch: SECOND }), own: { epoch?: string; followed?: boolean } = {}) {
  const at = { ms: 0 };
  const looked: StoreAccess[] = [];
  const followed: StoreAccess[] = [];
  const kept: boolean[] = [];
  const begun: string[] = [];
  const keepers = { nodeIds: ['n2'] };
  const state = { epoch: EPOCH, followed: true, ...own };
  const store = {
    async get(key: string) {
      if (there instanceof Error) throw there;
      if (key === keys.storeGate) return undefined;
      if (key === keys.storeKeepers) return { key, value: encodeRecord(keepers), revision: 1 };
      return there === null ? undefined : { key, value: encodeRecord(there as object), revision: 1 };
    },
  };
  const follower = new StoreFollower({
    ...{ clusterId: 'c1', nodeId: 'n1', table: () => state, endpoints: () => OLD, logger: silent },
    clock: { elapsed: () => at.ms },
    ready: async ({ endpoints }) => void begun.push(...endpoints),
    follow: async (access, keeps) => {
      followed.push(access);
      kept.push(keeps);
    },
    open: (access) => {
      looked.push(access);
      return { store, close: () => undefined } as never;
    },
  });
  const hear = async (epoch: string, told = place, isSaid = false) => {
    follower.hear(epoch, told, isSaid);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { at, begun, followed, hear, keepers, kept, looked, state };
}

test('one whose etcd is of the very store that it was told of keeps it, and no other', async () => {
  for (const nodeIds of [['n1', 'n2'], ['n2']]) {
    const { hear, keepers, kept } = member(clusterRecord({ epoch: EPOCH }), { followed: false });
    keepers.nodeIds = nodeIds;
    await hear(EPOCH);
    expect(kept).toEqual([nodeIds.includes('n1')]);
  }
});

test('a later life of the store is followed, where it is found', async () => {
  const { at, followed, hear } = member();
  await hear(SECOND);
  expect(followed).toEqual([place]);
  await hear(SECOND);
  expect(followed).toHaveLength(1);
  // This member goes on as it was: something kept it from starting anew there.
  at.ms += 3_000;
  await hear(SECOND);
  expect(followed).toHaveLength(2);
});

test.each([
  ['another cluster', clusterRecord({ id: 'c2', epoch: SECOND })],
  ['another life than was told', clusterRecord({ epoch: '3-00000000000000e3' })],
  ['nothing', null],
  ['nobody', new OverlaydError('store-unavailable', 'no answer')],
])('what holds %s is not followed, and looked at again later', async (_, there) => {
  const { at, followed, hear, looked } = member(there);
  await hear(SECOND);
  await hear(SECOND);
  expect([followed.length, looked.length]).toEqual([0, 1]);
  at.ms += 3_000;
  await hear(SECOND);
  expect(looked).toHaveLength(2);
});

test('an earlier life, the same one that is followed, and a place that is known are no news', async () => {
  const { hear, looked, state } = member();
  state.epoch = SECOND;
  await hear(EPOCH);
  await hear(SECOND);
  await hear('3-00000000000000e3', { ...place, endpoints: OLD });
  expect(looked).toEqual([]);
  // Who does not reach it is glad to hear where it is.
  state.followed = false;
  await hear(SECOND);
  expect(looked).toHaveLength(1);
});

test('the etcd that a move began on this host is started when the store that was left says so, and not when a member does', async () => {
  const { at, begun, hear } = member();
  await hear(SECOND);
  expect(begun).toEqual([]);
  at.ms += 3_000;
  await hear(SECOND, place, true);
  expect(begun).toEqual(place.endpoints);
});
