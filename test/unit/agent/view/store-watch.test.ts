import { expect, test } from 'vitest';
import type { ClusterState } from '../../../../src/agent/view/cluster-state.ts';
import { StoreWatch } from '../../../../src/agent/view/store-watch.ts';
import type { Logger } from '../../../../src/ports/runtime.ts';
import type { ClusterStore, StoreEntry } from '../../../../src/ports/store.ts';

const logger: Logger = { error() {}, warn() {}, info() {}, debug() {}, child: () => logger };

test('nothing of a snapshot is left with whoever handed it on', async () => {
  const entries: StoreEntry[] = [{ key: 'a', value: '1', revision: 3 }];
  const merged: StoreEntry[] = [];
  const state: Partial<ClusterState> = {
    followed: true,
    view: { cluster: () => ({}) } as unknown as ClusterState['view'],
    mergeSnapshot: (_, records) => void merged.push(...(records as StoreEntry[])),
    stalled: () => undefined,
  };
  const store: Pick<ClusterStore, 'watch'> = {
    async *watch() {
      yield { kind: 'snapshot', revision: 3, entries };
    },
  };
  const deps = { store: store as ClusterStore, state: state as ClusterState, logger };
  const watch = new StoreWatch({ ...deps, onStalled: () => undefined, onConnected: () => undefined });
  await watch.run(new AbortController().signal);
  expect(merged).toEqual([{ key: 'a', value: '1', revision: 3 }]);
  expect(entries).toEqual([]);
});
