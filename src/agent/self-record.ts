/** Keeps this node's own record true: routes and MTU of the host change while the agent runs. */
import { decodeNode, encodeRecord } from '../core/record-codec.ts';
import { keys, type NodeRecord } from '../core/records.ts';
import type { ClusterStore, HostFacts } from '../ports.ts';
import type { ClusterState } from './cluster-state.ts';
import { hostRoutes } from './host-routes.ts';

export interface SelfRecordDeps {
  readonly store: ClusterStore;
  readonly state: ClusterState;
  readonly facts: HostFacts;
}

/**
 * Writes only when something changed. Does nothing when the node is no member any more: removal stands. `self`: the node
 * as its own files have it.
 */
export async function refreshSelfRecord(
  { store, state, facts }: SelfRecordDeps,
  { id: selfId, holdsStore }: Pick<NodeRecord, 'id' | 'holdsStore'>,
): Promise<void> {
  const key = keys.node(selfId);
  const current = state.view.node(selfId);
  const revision = state.revisionOf(key);
  if (!current || revision === undefined) return;
  const peers = [...state.view.nodes()].filter((node) => node.id !== selfId && !node.left).map((node) => node.vtep);
  const [routes, underlayMtu] = await Promise.all([hostRoutes(facts), facts.underlayMtu(current.vtep, peers)]);
  const next: NodeRecord = { ...current, hostRoutes: routes, underlayMtu, ...(holdsStore && { holdsStore }) };
  if (encodeRecord(next) === encodeRecord(current)) return;
  const value = encodeRecord(next);
  const result = await store.txn([{ kind: 'revision', key, revision }], [{ kind: 'put', key, value }]);
  if (result.succeeded) state.merge([{ key, value, revision: result.revision }]);
  else {
    const entry = await store.get(key);
    if (entry && decodeNode(entry.value)) state.merge([entry]);
  }
}
