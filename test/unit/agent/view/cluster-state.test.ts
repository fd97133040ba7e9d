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

const clusterOf = (epoch: string) => ({ ...cluster, value: JSON.stringify({ epoch }) });
const [FIRST, SECOND] = ['1-00000000000000e1', '2-00000000000000e2'];

test.each([
  ['further than the one before', 500],
  ['where the one before was', 20],
  ['behind that', 5],
])('a list of another epoch proves no absence: %s', (_, revision) => {
  const { state } = node();
  state.mergeSnapshot(20, [clusterOf(FIRST), heard]);
  expect(state.view.behind).toBe(false);
  state.mergeSnapshot(revision, [clusterOf(SECOND)]);
  expect(state.view.behind).toBe(true);
  expect(state.wentBackUnmarked).toBe(false);
  expect(state.memory).toEqual({ height: revision, behind: true, epoch: SECOND });
  state.acceptStore();
  state.mergeSnapshot(revision, [clusterOf(SECOND)]);
  expect(state.view.behind).toBe(false);
});

test('an epoch that is heard of for the first time is no reason to distrust', () => {
  const { state } = node();
  expect(state.isOfOtherEpoch([clusterOf(FIRST)])).toBe(false);
  state.mergeEvents(11, [{ ...clusterOf(FIRST), revision: 11 }]);
  expect(state.epoch).toBe(FIRST);
  expect(state.isOfOtherEpoch([clusterOf(SECOND)])).toBe(true);
  expect(state.view.behind).toBe(false);
});

test('an etcd that lost its epoch with its records is not what it was', () => {
  const { state } = node();
  state.mergeSnapshot(20, [clusterOf(FIRST)]);
  state.mergeSnapshot(500, [cluster]);
  expect(state.view.behind).toBe(true);
});

test('what members say of a later life stands before what was known, where etcd is away, and takes nothing away', () => {
  const { state } = node();
  state.mergeSnapshot(20, [clusterOf(FIRST), heard]);
  const digest = { completeTo: 3, ahead: [] };
  const other = { ...record, id: 'e2', addresses: [{ subnet: '10.0.0.0/24', ip: '10.0.0.3' }] };
  const records = [{ key: keys.endpoint(other), value: encodeRecord(other), revision: 3 }];
  const message = { from: 'n2', members: [], digest, delta: { from: 0, to: 3, records } };
  state.hear({ ...message, epoch: SECOND });
  expect(state.view.endpoint(other)).toBeUndefined();
  state.stalled();
  state.hear({ ...message, epoch: '1-00000000000000ff' });
  expect(state.view.endpoint(other)).toBeUndefined();
  state.hear({ ...message, epoch: SECOND });
  expect(state.view.endpoint(other)).toBeDefined();
  expect(state.view.endpoint(record)).toBeDefined();
  expect(state.view.provesAbsence).toBe(false);
  expect(state.digest().completeTo).toBe(3);
  // Who is still at the earlier one is told everything, and who is at a later one nothing.
  expect(state.delta({ completeTo: 900, ahead: [] }, FIRST, 10_000)?.records).not.toEqual([]);
  expect(state.delta({ completeTo: 0, ahead: [] }, '3-00000000000000e3', 10_000)).toBeUndefined();
});

test('a member that says what cannot be an epoch is believed no revision', () => {
  const { refuted, state } = node();
  const said = state.screen({ from: 'n2', members: [], epoch: 'x', digest: { completeTo: 5, ahead: [] } });
  expect(said).toEqual({ from: 'n2', members: [], epoch: undefined, digest: undefined, delta: undefined });
  expect(refuted).toEqual(["that it follows the store's life x"]);
});
