/** Who is believed where the store is. */
import { expect, test } from 'vitest';
import { storePlaces } from '../../../../src/agent/store/places.ts';
import { encodeRecord } from '../../../../src/core/record-codec.ts';
import { keys } from '../../../../src/core/records.ts';
import { clusterRecord, EPOCH, nodeRecord } from '../../../fixtures/records.ts';
import { toldView } from '../../../fixtures/told-view.ts';
import { silent } from '../../../sim/simulated-cluster.ts';

const SECOND = '2-00000000000000e2';
const bundled = { endpoints: ['https://192.0.2.1:2379'], caCertificate: '', certificate: '', key: '' };
const theirs = { endpoints: ['https://192.0.2.9:2379'], caCertificate: 'ca', certificate: 'c', key: 'k' };
const open = { ...bundled, endpoints: ['http://192.0.2.9:2379'] };

/** `n3`, of a store that `n1` keeps. Returns where it looks for another life of the store when `from` names that place. */
function looks(own: typeof bundled, place: typeof bundled, from: string): readonly string[] {
  const told = toldView();
  const put = (key: string, record: object) => told.tell([{ key, value: encodeRecord(record) }]);
  put(keys.cluster, clusterRecord({ epoch: EPOCH }));
  put(keys.storeKeepers, { nodeIds: ['n1'] });
  for (const id of ['n1', 'n2', 'n3']) put(keys.node(id), nodeRecord({ id, name: id }));
  const looked: string[] = [];
  const identity = { clusterId: 'c1', nodeId: 'n3', advertiseAddress: '192.0.2.3', store: { ...own, bundled: false } };
  const deps = {
    ...{ own: { current: identity }, store: { status: () => own }, clock: { elapsed: () => 0 }, logger: silent },
    openStore: ({ endpoints }: typeof bundled) => {
      looked.push(...endpoints);
      return { store: { get: async () => undefined }, close: () => undefined };
    },
  };
  const table = { epoch: EPOCH, followed: true };
  const places = storePlaces(deps as never, () => ({ table, view: told.view, liveness: () => 'ready' }) as never);
  places.onStorePlace!(SECOND, place, from);
  return looked;
}

test.each([
  ["an etcd of somebody's own", theirs],
  ['an etcd that proves nothing', open],
  ['one among others that proves nothing', { ...bundled, endpoints: ['https://192.0.2.2:2379', ...open.endpoints] }],
])('that the store is in %s is believed of a keeper alone, where etcd is a bundled one', (_, place) => {
  expect(looks(bundled, place, 'n2')).toEqual([]);
  expect(looks(bundled, place, 'n1')).toEqual(place.endpoints);
});

test('a bundled store is looked for wherever a member names it: its certificate says what it is', () => {
  const place = { ...bundled, endpoints: ['https://192.0.2.2:2379'] };
  expect(looks(bundled, place, 'n2')).toEqual(place.endpoints);
});

test("where etcd is the user's own each member can write all of it, and is believed", () => {
  const place = { ...theirs, endpoints: ['https://192.0.2.8:2379'] };
  expect(looks(theirs, place, 'n2')).toEqual(place.endpoints);
});
