import { describe, expect, test } from 'vitest';
import { ClusterState } from '../../../../src/agent/view/cluster-state.ts';
import { tellRecords } from '../../../../src/agent/view/told-records.ts';
import { encodeRecord } from '../../../../src/core/record-codec.ts';
import { keys } from '../../../../src/core/records.ts';
import type { RecordsPart, RecordsRequest } from '../../../../src/gen/overlayd/v1/control.ts';
import { ClusterMirror } from '../../../../src/ui/cluster-mirror.ts';
import { clusterRecord, endpointRecord, networkRecord, nodeRecord } from '../../../fixtures/records.ts';
import { recordingLogger } from '../cluster/cluster-fixture.ts';

const RUN = 7;
const put = (revision: number, key: string, record: object | string) => ({
  ...{ key, revision, value: typeof record === 'string' ? record : encodeRecord(record) },
});
const gone = (revision: number, key: string) => ({ key, revision });
const endpoint = (number: number) =>
  endpointRecord({ id: `e${number}`.padEnd(64, '0'), name: `c${number}`, address: `10.0.1.${number}` });
const claimOf = (number: number) => keys.address('n1', `10.0.1.${number}`);
const claim = (number: number) => ({ endpointId: endpoint(number).id, nodeId: 'h1' });

const BASE = [
  put(2, keys.cluster, clusterRecord()),
  put(3, keys.node('h1'), nodeRecord()),
  put(4, keys.network('n1'), networkRecord()),
  put(5, keys.endpoint(endpoint(2)), endpoint(2)),
  put(5, claimOf(2), claim(2)),
  put(6, keys.token('t1'), '{"secretHash":"hidden"}'),
  put(7, keys.storeMoved, '{"key":"hidden"}'),
];

function agent() {
  const state = new ClusterState({
    selfId: 'h1',
    own: { records: () => [], hasEndpoint: () => false, isOnNetwork: () => false },
    clock: { elapsed: () => 0 },
    logger: recordingLogger([]),
    onChange: () => undefined,
    onRefuted: () => undefined,
    onNonsense: () => undefined,
  });
  state.begin(undefined);
  state.mergeSnapshot(10, BASE);
  return state;
}

const partsOf = (state: ClusterState, life = '', after = 0, run = RUN) => [...tellRecords(state, { life, after }, run)];

/** As gRPC brings it. */
const askOf = (state: ClusterState, asked: RecordsRequest[] = []) => {
  return async (request: RecordsRequest, onTold: (part: RecordsPart) => void) => {
    asked.push(request);
    for (const { records, ...part } of tellRecords(state, request, RUN)) {
      onTold({ ...part, records: records.map(({ key, revision, value }) => ({ key, revision, value })) });
    }
  };
};

describe('the records that are told', () => {
  test('are all of them at first, without what has a secret', () => {
    const [part, ...others] = partsOf(agent());
    expect(others).toEqual([]);
    expect(part).toMatchObject({ whole: true, revision: 10 });
    expect(part!.records.map(({ key }) => key)).toEqual(
      expect.arrayContaining([keys.cluster, keys.node('h1'), keys.network('n1'), claimOf(2)]),
    );
    expect(JSON.stringify(part)).not.toContain('hidden');
  });

  test('are what changed since, and nothing when nothing did', () => {
    const state = agent();
    const [{ life, revision }] = partsOf(state) as [RecordsPart];
    expect(partsOf(state, life, revision)).toEqual([{ life, whole: false, revision: 10, records: [] }]);
    state.mergeEvents(12, [put(11, keys.endpoint(endpoint(3)), endpoint(3)), gone(12, keys.endpoint(endpoint(2)))]);
    const [part] = partsOf(state, life, revision);
    expect(part).toMatchObject({ whole: false, revision: 12 });
    expect(part!.records.map(({ key, value }) => [key, value !== undefined])).toEqual([
      [keys.endpoint(endpoint(3)), true],
      [keys.endpoint(endpoint(2)), false],
    ]);
  });

  test('are all again after another start of the agent, and of another life of the store', () => {
    const state = agent();
    const [{ life, revision }] = partsOf(state) as [RecordsPart];
    expect(partsOf(state, life, revision, RUN + 1)[0]).toMatchObject({ whole: true });
    // An etcd that was restored: what is not in it may be deleted, or lost.
    state.mergeSnapshot(5, BASE.slice(0, 3));
    expect(partsOf(state, life, revision)[0]).toMatchObject({ whole: true });
  });

  test('come in parts where they are many', () => {
    const state = agent();
    const many = Array.from({ length: 2_000 }, (_, at) => {
      const record = endpointRecord({ id: `f${at}`.padStart(64, '0'), name: `m${at}`, address: '10.0.1.9' });
      return put(20 + at, keys.endpoint(record), record);
    });
    state.mergeEvents(3_000, many);
    const parts = partsOf(state);
    expect(parts.length).toBeGreaterThan(1);
    expect(parts.every(({ whole }) => whole)).toBe(true);
    expect(parts.at(-1)!.revision).toBe(3_000);
    expect(parts.flatMap(({ records }) => records).length).toBe(2_000 + BASE.length - 2);
    expect(parts.slice(0, -1).every(({ revision }) => revision === 0)).toBe(true);
  });

  test('are all again where so much changed that it is no less', () => {
    const state = agent();
    const [{ life, revision }] = partsOf(state) as [RecordsPart];
    const many = Array.from({ length: 4_000 }, (_, at) => {
      const record = endpointRecord({ id: `f${at}`.padStart(64, '0'), name: `m${at}`, address: '10.0.1.9' });
      return put(20 + at, keys.endpoint(record), record);
    });
    state.mergeEvents(5_000, many);
    expect(partsOf(state, life, revision)[0]).toMatchObject({ whole: true });
  });
});

describe('a copy of them', () => {
  test('is the view that the agent has, whatever happens', async () => {
    const state = agent();
    const mirror = new ClusterMirror();
    const same = () => {
      expect([...mirror.view.endpointsOn('n1')]).toEqual([...state.view.endpointsOn('n1')]);
      expect([...mirror.view.networks()]).toEqual([...state.view.networks()]);
      expect([...mirror.view.nodes()]).toEqual([...state.view.nodes()]);
      expect(mirror.view.claims('n1')).toEqual(state.view.claims('n1'));
    };
    expect(await mirror.look(askOf(state))).toMatchObject({ all: true, networks: new Set(['n1']) });
    same();
    state.mergeEvents(11, [put(11, keys.endpoint(endpoint(3)), endpoint(3)), put(11, claimOf(3), claim(3))]);
    expect(await mirror.look(askOf(state))).toEqual({
      ...{ all: false, nodes: false, networks: new Set(['n1']), endpoints: new Set([endpoint(3)]) },
    });
    same();
    state.mergeEvents(12, [gone(12, keys.endpoint(endpoint(2))), gone(12, claimOf(2))]);
    await mirror.look(askOf(state));
    same();
    state.mergeEvents(13, [gone(13, keys.network('n1')), put(13, keys.network('n2'), networkRecord({ id: 'n2' }))]);
    expect((await mirror.look(askOf(state))).networks).toEqual(new Set(['n1', 'n2']));
    same();
    state.mergeSnapshot(5, BASE.slice(0, 3));
    expect(await mirror.look(askOf(state))).toMatchObject({ all: true });
    same();
  });

  test.each([['at first'], ['later']])('misses nothing that etcd tells after what this host wrote %s', async (when) => {
    const state = agent();
    const mirror = new ClusterMirror();
    if (when === 'later') await mirror.look(askOf(state));
    // Its own answer comes before the watch has brought what others wrote.
    state.learn([put(14, keys.endpoint(endpoint(4)), endpoint(4)), put(14, claimOf(4), claim(4))]);
    state.mergeEvents(11, [put(11, keys.network('n2'), networkRecord({ id: 'n2', name: 'other' }))]);
    await mirror.look(askOf(state));
    await mirror.look(askOf(state));
    state.mergeEvents(13, [put(13, keys.endpoint(endpoint(3)), endpoint(3)), put(13, claimOf(3), claim(3))]);
    state.mergeEvents(14, []);
    await mirror.look(askOf(state));
    const sorted = (of: Iterable<{ readonly id: string }>) => [...of].sort((a, b) => (a.id < b.id ? -1 : 1));
    expect(sorted(mirror.view.endpointsOn('n1'))).toEqual(sorted(state.view.endpointsOn('n1')));
    expect([...mirror.view.networks()].length).toBe(2);
  });

  test('is so in the end, whatever changes while all of it is told', async () => {
    const state = agent();
    const many = Array.from({ length: 1_000 }, (_, at) => {
      const record = endpointRecord({
        id: `f${at}`.padStart(64, '0'),
        name: `m${at}`,
        address: `10.1.${at >> 8}.${at & 255}`,
      });
      return put(20 + at, keys.endpoint(record), record);
    });
    state.mergeEvents(3_000, many);
    const mirror = new ClusterMirror();
    let revision = 3_000;
    await mirror.look(async (request, onTold) => {
      for (const { records, ...part } of tellRecords(state, request, RUN)) {
        onTold({ ...part, records: records.map(({ key, revision, value }) => ({ key, revision, value })) });
        // One of those that were told goes, another one comes, in its place perhaps, and a third one changes.
        const [first, second] = records.filter(({ key }) => key.includes('/endpoints/'));
        revision++;
        state.mergeEvents(revision, [
          gone(revision, first!.key),
          put(revision, keys.endpoint(endpoint(revision - 3_000 + 2)), endpoint(revision - 3_000 + 2)),
          put(revision, second!.key, second!.value!.replace(/"name":"m/, '"name":"other')),
        ]);
      }
    });
    expect(revision).toBeGreaterThan(3_005);
    await mirror.look(askOf(state));
    const sorted = (of: Iterable<{ readonly id: string }>) => [...of].sort((a, b) => (a.id < b.id ? -1 : 1));
    expect(sorted(mirror.view.endpointsOn('n1'))).toEqual(sorted(state.view.endpointsOn('n1')));
  });

  test('asks for what it lacks alone', async () => {
    const state = agent();
    const mirror = new ClusterMirror();
    const asked: RecordsRequest[] = [];
    await mirror.look(askOf(state, asked));
    await mirror.look(askOf(state, asked));
    expect(asked[0]).toEqual({ life: '', after: 0 });
    expect(asked[1]).toMatchObject({ after: 10 });
    const none = { all: false, nodes: false, networks: new Set(), endpoints: new Set() };
    expect(await mirror.look(askOf(state))).toEqual(none);
  });
});
