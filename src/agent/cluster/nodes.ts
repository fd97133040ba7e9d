/** The members, as this node sees them, and the removal of one. */
import type { ClusterView } from '../../core/cluster-view.ts';
import { OverlaydError } from '../../core/errors.ts';
import type { Liveness } from '../../core/membership.ts';
import { decodeNode } from '../../core/record-codec.ts';
import { type NodeRecord, PREFIX } from '../../core/records.ts';
import { resolveRef } from '../../core/reference.ts';
import type { Clock, ClusterStore, Logger } from '../../ports.ts';
import { evictNode } from './eviction.ts';

export interface NodeStatus {
  readonly record: NodeRecord;
  readonly state: Liveness;
  readonly self: boolean;
  /** How many endpoints it has. */
  readonly endpoints: number;
}

export interface NodesDeps {
  readonly view: () => ClusterView;
  readonly liveness: (nodeId: string) => Liveness;
  readonly selfId: string;
}

/** By name. */
export function listNodes(deps: NodesDeps): NodeStatus[] {
  const view = deps.view();
  const counts = new Map<string, number>();
  for (const network of view.networks()) {
    for (const { nodeId } of view.endpoints(network.id).values()) counts.set(nodeId, (counts.get(nodeId) ?? 0) + 1);
  }
  const nodes = [...view.nodes()].map((record) => ({
    record,
    state: stateOf(deps, record),
    self: record.id === deps.selfId,
    endpoints: counts.get(record.id) ?? 0,
  }));
  return nodes.sort((a, b) => (a.record.name < b.record.name ? -1 : 1));
}

/** Throws `node-not-found`, `ambiguous-id`. */
export function getNode(deps: NodesDeps, ref: string): NodeStatus {
  const nodes = listNodes(deps);
  const { id } = resolveRef(
    nodes.map(({ record }) => record),
    ref,
    'node',
  );
  return nodes.find(({ record }) => record.id === id)!;
}

function stateOf(deps: Pick<NodesDeps, 'liveness' | 'selfId'>, record: NodeRecord): Liveness {
  if (record.left) return 'down';
  return record.id === deps.selfId ? 'ready' : deps.liveness(record.id);
}

export interface RemoveNodeDeps extends Pick<NodesDeps, 'liveness' | 'selfId'> {
  readonly store: ClusterStore;
  readonly clock: Pick<Clock, 'now'>;
  readonly logger: Logger;
}

/** Returns the id. Throws `node-not-found`, `ambiguous-id`, `node-up` (without `force`), `invalid-argument` (itself). */
export async function removeNode(
  deps: RemoveNodeDeps,
  request: { readonly ref: string; readonly force: boolean },
  options: { readonly quarantineSeconds: number },
): Promise<string> {
  const { entries } = await deps.store.list(`${PREFIX}nodes/`);
  const node = resolveRef(
    entries.flatMap(({ value }) => decodeNode(value) ?? []),
    request.ref,
    'node',
  );
  if (node.id === deps.selfId) {
    throw new OverlaydError('invalid-argument', `${node.name} is this node; it goes by \`overlayd leave\``);
  }
  const state = stateOf(deps, node);
  if (state !== 'down' && !request.force) {
    throw new OverlaydError(
      'node-up',
      `node ${node.name} is ${state}, not down; run \`overlayd leave\` there, or \`overlayd node rm --force ${node.name}\``,
    );
  }
  const removed = await evictNode(deps, node.id, { by: deps.selfId, ...options });
  deps.logger.info(
    { node: node.name, nodeId: node.id, state, endpoints: removed, force: request.force },
    'node removed',
  );
  return node.id;
}
