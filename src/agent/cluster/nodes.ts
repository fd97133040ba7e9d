/**
 * The members, as this node sees them, and the removal of one. The one that runs the cluster's etcd is not removed:
 * nothing could be changed any more, and the removed host would be told to leave, which ends the cluster.
 */
import type { ClusterView } from '../../core/cluster-view.ts';
import { OverlaydError } from '../../core/errors.ts';
import type { Liveness } from '../../core/failure-detector.ts';
import { decodeKeepers, decodeNode } from '../../core/record-codec.ts';
import { keys, type NodeRecord, PREFIX } from '../../core/records.ts';
import { resolveRef } from '../../core/reference.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { ClusterStore, StoreAccess } from '../../ports/store.ts';
import type { Commit } from '../view/commit.ts';
import { evictNode, type NodeUsers } from './eviction.ts';
import { storeHolders } from './store-access.ts';

/** `joining`: admitted a moment ago, and neither etcd nor this node has heard from it yet. */
export type NodeState = Liveness | 'joining';

export interface NodeStatus {
  readonly record: NodeRecord;
  readonly state: NodeState;
  readonly self: boolean;
  /** How many endpoints it has. */
  readonly endpoints: number;
  /** It keeps the store: runs a member of the cluster's etcd that votes. */
  readonly holdsStore: boolean;
  /** It has a copy of it, and no vote. */
  readonly holdsCopy: boolean;
}

export interface NodesDeps {
  readonly view: () => ClusterView;
  readonly liveness: (nodeId: string) => Liveness;
  readonly selfId: string;
  readonly clock: Pick<Clock, 'now'>;
  /** This node's way to etcd. */
  readonly access: StoreAccess;
}

const SELF = 'self';

/** So long after its admission a node that is not heard of may still be starting; members' clocks agree within half of it. */
const JOINING_MS = 120_000;

/** By name. */
export function listNodes(deps: NodesDeps): NodeStatus[] {
  const view = deps.view();
  const holders = storeHolders(view.nodes(), view.keepers(), deps.access);
  const nodes = [...view.nodes()].map((record) => ({
    record,
    state: nodeState(deps, record),
    self: record.id === deps.selfId,
    endpoints: view.endpointCount(record.id),
    holdsStore: holders.includes(record.id),
    holdsCopy: view.keepersRecord()?.learners?.includes(record.id) ?? false,
  }));
  return nodes.sort((a, b) => (a.record.name < b.record.name ? -1 : 1));
}

/** Whether `ref` means the node that is asked: as in Docker, but where a node has that very name. */
export function isSelf(nodes: Iterable<NodeRecord>, ref: string): boolean {
  return ref === SELF && ![...nodes].some(({ name }) => name === SELF);
}

/** Throws `node-not-found`, `ambiguous-id`. */
export function getNode(deps: NodesDeps, ref: string): NodeStatus {
  const nodes = listNodes(deps);
  const records = nodes.map(({ record }) => record);
  const { id } = resolveRef(records, isSelf(records, ref) ? deps.selfId : ref, 'node');
  return nodes.find(({ record }) => record.id === id)!;
}

export function nodeState(deps: Pick<NodesDeps, 'liveness' | 'selfId' | 'clock'>, record: NodeRecord): NodeState {
  if (record.left) return 'down';
  if (record.id === deps.selfId) return 'ready';
  const liveness = deps.liveness(record.id);
  return liveness === 'down' && Math.abs(deps.clock.now() - record.joinedAt) < JOINING_MS ? 'joining' : liveness;
}

export interface RemoveNodeDeps extends Omit<NodesDeps, 'view'> {
  readonly store: ClusterStore;
  readonly commit: Commit;
  readonly users: Pick<NodeUsers, 'revoke'>;
  readonly logger: Logger;
}

/**
 * Returns the id. Throws `node-not-found`, `ambiguous-id`, `node-up` (without `force`), `invalid-argument` (`by` itself),
 * `store-holder`, `keeper-unreachable` (this node itself, for another).
 */
export async function removeNode(
  deps: RemoveNodeDeps,
  request: { readonly ref: string; readonly force: boolean; readonly by: string },
  options: { readonly quarantineSeconds: number },
): Promise<string> {
  const { entries } = await deps.store.list(`${PREFIX}nodes/`);
  const nodes = entries.flatMap(({ value }) => decodeNode(value) ?? []);
  const node = resolveRef(nodes, request.ref, 'node');
  if (node.id === request.by) {
    throw new OverlaydError('invalid-argument', `${node.name} is this node; it goes by \`overlayd leave\``);
  }
  const entry = await deps.store.get(keys.storeKeepers);
  const holders = storeHolders(nodes, entry && decodeKeepers(entry.value)?.nodeIds, deps.access);
  // One of several goes, and the others go on without it.
  if (holders.length === 1 && holders[0] === node.id) {
    throw new OverlaydError(
      'store-holder',
      `node ${node.name} runs the cluster's only etcd: the cluster cannot do without it, so it is not removed, by force neither; to end the cluster, run \`overlayd leave\` on all other hosts and last on ${node.name}`,
    );
  }
  if (node.id === deps.selfId) {
    const message = `node ${node.name} does not remove itself: another keeper has to`;
    throw new OverlaydError('keeper-unreachable', message, { retryable: true });
  }
  // What this node was told of may be behind etcd.
  const live = !node.left && (await deps.store.get(keys.live(node.id))) !== undefined;
  const known = nodeState(deps, node);
  const state = live && known === 'down' ? 'ready' : known;
  if (state !== 'down' && !request.force) {
    throw new OverlaydError(
      'node-up',
      `node ${node.name} is ${state}, not down; run \`overlayd leave\` there; if that host is gone for good, \`overlayd node rm --force ${node.name}\` gives the addresses of its containers to others`,
    );
  }
  const removed = await evictNode(deps, node.id, { by: request.by, ...options });
  deps.logger.info(
    {
      event: 'member-removed',
      node: node.name,
      nodeId: node.id,
      state,
      endpoints: removed,
      force: request.force,
      by: request.by,
    },
    'node removed',
  );
  return node.id;
}
