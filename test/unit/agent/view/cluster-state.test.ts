import { expect, test } from 'vitest';
import { ClusterState } from '../../../../src/agent/view/cluster-state.ts';
import { encodeRecord } from '../../../../src/core/record-codec.ts';
import { type EndpointRecord, keys } from '../../../../src/core/records.ts';
import { recordingLogger } from '../cluster/cluster-fixture.ts';

const record: EndpointRecord = {
  ...{ id: 'e1', networkId: 'f0', nodeId: 'n2', mac: '02:42:0a:00:00:02' },
  addresses: [{ subnet: '10.0.0.0/24', ip: '10.0.0.2' }],
  ...{ name: 'api', aliases: [], createdAt: 0 },
};
const heard = { key: keys.endpoint(record), value: encodeRecord(record), revision: 20 };
const cluster = { key: keys.cluster, value: '{}', revision: 2 };

function node() {
  const at = { ms: 0 };
  const refuted: string[] = [];
  const state = new ClusterState({
    selfId: 'n1',
    own: { records: () => [], hasEndpoint: () => false, isOnNetwork: () => false },
    clock: { elapsed: () => at.ms },
    logger: recordingLogger([]),
    onChange: () => undefined,
    onRefuted: ({ record: { key } }) => refuted.push(key),
    onNonsense: (_, what) => refuted.push(...what),
  });
  state.begin(undefined);
  state.mergeSnapshot(10, [cluster]);
  return { at, refuted, state };
}
const told = { from: 'n2', members: [], delta: { from: 0, to: 0, records: [heard] } };

test('what members told while etcd was away stands until etcd, back again, had time to tell of it', () => {
  const { at, refuted, state } = node();
  state.stalled();
  state.hear(told);
  at.ms = 60_000;
  // It is there, and tells next what happened.
  state.mergeEvents(10, []);
  at.ms += 100;
  state.tidy();
  expect(state.view.endpoint(record)).toBeDefined();
  at.ms += 5_000;
  state.tidy();
  expect(state.view.endpoint(record)).toBeUndefined();
  expect(refuted).toEqual([heard.key]);
});

test('what etcd confirms once it is back was there all along', () => {
  const { at, refuted, state } = node();
  state.stalled();
  state.hear(told);
  at.ms = 60_000;
  state.mergeEvents(10, []);
  state.mergeEvents(20, [heard]);
  at.ms += 60_000;
  state.tidy();
  expect(state.view.endpoint(record)).toBeDefined();
  expect(refuted).toEqual([]);
});

test('a member may have heard of a restored etcd, and of more, before this node has', () => {
  const { refuted, state } = node();
  const restored = state.height + 1_000_000_000 + 500;
  const digest = { completeTo: restored, ahead: [] };
  expect(state.screen({ from: 'n2', members: [], digest }).digest).toEqual(digest);
  expect(refuted).toEqual([]);
});
