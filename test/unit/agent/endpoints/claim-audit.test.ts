import { beforeEach, expect, test } from 'vitest';
import { type ClaimAuditDeps, type RightClaims, restoreClaims } from '../../../../src/agent/endpoints/claim-audit.ts';
import { encodedEntries } from '../../../../src/agent/endpoints/own-holdings.ts';
import { ClusterState } from '../../../../src/agent/view/cluster-state.ts';
import { committing } from '../../../../src/agent/view/commit.ts';
import type { LocalEndpoint } from '../../../../src/core/container.ts';
import { encodeRecord } from '../../../../src/core/record-codec.ts';
import { keys } from '../../../../src/core/records.ts';
import { endpointRecord } from '../../../fixtures/records.ts';
import { recordingLogger } from '../cluster/cluster-fixture.ts';

const COUNT = 200;
const endpoints: readonly LocalEndpoint[] = Array.from({ length: COUNT }, (_, index) => ({
  record: endpointRecord({ id: `e${index}`, nodeId: 'n1', address: `10.0.1.${index}` }),
  container: { text: `netns:c${index}`, path: `/run/netns/c${index}`, identity: `${index}` },
  ifname: 'eth0',
}));
const listed = ({ record }: LocalEndpoint, revision: number) => ({
  key: keys.endpoint(record),
  value: encodeRecord(record),
  revision,
});
const claimed = ({ record }: LocalEndpoint, revision: number) => {
  const [, ...claims] = encodedEntries(record);
  return claims.map((entry) => ({ ...entry, revision }));
};

let state: ClusterState;
/** Keys that were asked for. */
let asked: string[];
let written: string[];
let dropped: string[];
let deps: ClaimAuditDeps;
let right: RightClaims;

beforeEach(() => {
  [asked, written, dropped] = [[], [], []];
  right = new WeakMap();
  state = new ClusterState({
    selfId: 'n1',
    own: { records: () => [], hasEndpoint: () => false, isOnNetwork: () => false },
    clock: { elapsed: () => 0 },
    logger: recordingLogger([]),
    ...{ onChange: () => undefined, onRefuted: () => undefined, onNonsense: () => undefined },
  });
  state.begin(undefined);
  const cluster = { key: keys.cluster, value: '{}', revision: 2 };
  state.mergeSnapshot(10, [
    cluster,
    ...endpoints.flatMap((endpoint) => [listed(endpoint, 5), ...claimed(endpoint, 5)]),
  ]);
  const counting = {
    view: state.view,
    confirmedEntryOf(key: string) {
      asked.push(key);
      return state.confirmedEntryOf(key);
    },
  };
  deps = {
    state: counting as unknown as ClusterState,
    local: { all: () => endpoints, has: () => true } as unknown as ClaimAuditDeps['local'],
    store: { get: async () => undefined },
    commit: committing({
      store: {
        get: async () => undefined,
        async txn(_, writes) {
          written.push(...writes.map((write) => (write.kind === 'delete-prefix' ? write.prefix : write.key)));
          return { succeeded: true, revision: 20 + written.length, deleted: [] };
        },
      },
      learn: (records) => state.learn(records),
      push: async () => undefined,
    }),
    releases: {} as ClaimAuditDeps['releases'],
    logger: recordingLogger([]),
    drop: async (gone) => void dropped.push(...gone.map(({ record }) => record.id)),
  };
});

test('of many endpoints those alone are looked at whose claim changed since', async () => {
  await restoreClaims(deps, right);
  expect(asked.length).toBeGreaterThanOrEqual(COUNT);
  asked.length = 0;
  await restoreClaims(deps, right);
  expect(asked).toEqual([]);
  const [, forged, removed] = endpoints;
  const wrong = { ...forged!, record: { ...forged!.record, mac: '02:42:0a:00:09:09' } };
  state.mergeEvents(12, [listed(wrong, 11), { key: listed(removed!, 0).key, revision: 12 }]);
  await restoreClaims(deps, right);
  expect(new Set(asked.filter((key) => key.startsWith(keys.endpoints)))).toEqual(
    new Set([listed(forged!, 0).key, listed(removed!, 0).key]),
  );
  expect(written).toEqual([listed(forged!, 0).key]);
  expect(dropped).toEqual([removed!.record.id]);
});

test('what was put right is looked at once more', async () => {
  const [forged] = endpoints;
  const wrong = { ...forged!, record: { ...forged!.record, name: 'other' } };
  state.mergeEvents(11, [listed(wrong, 11)]);
  await restoreClaims(deps, right);
  expect(written).toEqual([listed(forged!, 0).key]);
  asked.length = 0;
  await restoreClaims(deps, right);
  expect(new Set(asked)).toEqual(new Set([listed(forged!, 0), ...claimed(forged!, 0)].map(({ key }) => key)));
  expect(written).toHaveLength(1);
});
