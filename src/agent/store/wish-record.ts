/**
 * What a person says of the store's members, in the record of keepers: by a keeper, since etcd refuses it of others. The same
 * said twice is one wish.
 */
import type { ClusterView } from '../../core/cluster-view.ts';
import { OverlaydError } from '../../core/errors.ts';
import { decodeCluster, decodeKeepers, decodeNode } from '../../core/record-codec.ts';
import { type KeepersRecord, keys, type NodeRecord } from '../../core/records.ts';
import { STORE_SIZES } from '../../core/store-plan.ts';
import type { StoreWish } from '../../ports/keepers.ts';
import type { ClusterStore } from '../../ports/store.ts';
import { type Change, type Commit, unchanged } from '../view/commit.ts';

export interface WishRecordDeps {
  readonly store: Pick<ClusterStore, 'get'>;
  readonly commit: Commit;
  readonly view: Pick<ClusterView, 'nodes'>;
  /** The cluster's etcd is a bundled one. */
  readonly isBundled: () => boolean;
}

interface Held {
  readonly record: KeepersRecord;
  /** How many hosts are to keep the store. */
  readonly wanted: number;
}

const ATTEMPTS = 8;

/**
 * By what etcd has now, as one transaction. Throws `invalid-argument`, `tool-missing` (the node has no etcd), `store-holder` (nobody
 * else could keep the store), `node-not-found`, `conflict` (its ports there are another's, or the record changes all the time).
 */
export async function recordWish({ store, commit, view, isBundled }: WishRecordDeps, wish: StoreWish): Promise<void> {
  requireBundled(isBundled());
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const [entry, clusterEntry] = await Promise.all([store.get(keys.storeKeepers), store.get(keys.cluster)]);
    const record = entry && decodeKeepers(entry.value);
    const cluster = clusterEntry && decodeCluster(clusterEntry.value);
    if (!record || !cluster) continue;
    const held = { record, wanted: cluster.storeMembers ?? 1 };
    const next = wish.wish === 'resize' ? resized(held, wish.members) : await ofNode(held, wish);
    const changes: Change[] = [{ kind: 'put', key: keys.storeKeepers, record: next.record }];
    if (next.wanted !== cluster.storeMembers) {
      changes.push({ kind: 'put', key: keys.cluster, record: { ...cluster, storeMembers: next.wanted } });
    }
    const compares = [unchanged(keys.storeKeepers, entry), unchanged(keys.cluster, clusterEntry)];
    if (await commit(compares, changes)) return;
  }
  throw new OverlaydError('conflict', 'who keeps the store changes all the time; try again', { retryable: true });

  async function ofNode(held: Held, { nodeId, wish: which }: StoreWish): Promise<Held> {
    const entry = await store.get(keys.node(nodeId));
    const node = entry && decodeNode(entry.value);
    if (!node || node.left) throw new OverlaydError('node-not-found', `node ${nodeId} is no member of the cluster`);
    if (which === 'promote') return promoted(held, node);
    if (which === 'demote') return demoted(held, node, canDoWithout(view, held.record, nodeId));
    throw invalid(`"${which}" cannot be wished for: the host that asks runs another version`);
  }
}

/** Throws `invalid-argument`. */
export function requireBundled(isBundled: boolean): void {
  if (!isBundled) throw invalid("the cluster's etcd is your own: its members are looked after there");
}

/** Whether another host has all of the store, or could get it. */
export function canDoWithout(
  view: Pick<ClusterView, 'nodes'>,
  { nodeIds = [], learners = [], demoted: unwanted = [] }: Partial<KeepersRecord> = {},
  nodeId: string,
): boolean {
  return [...view.nodes()].some(
    ({ id, left, nat, store }) =>
      id !== nodeId &&
      !left &&
      !unwanted.includes(id) &&
      (nodeIds.includes(id) || learners.includes(id) || (store !== undefined && !nat)),
  );
}

function promoted({ record, wanted }: Held, { id, name, nat, store, storeProblem }: NodeRecord): Held {
  const { nodeIds, learners = [], promoted: before = [], demoted: unwanted = [] } = record;
  const isMember = [...nodeIds, ...learners].includes(id);
  if (nat) throw invalid(`node ${name} is behind NAT, where the others cannot call its etcd`);
  if (!isMember && storeProblem !== undefined) {
    throw new OverlaydError('conflict', `node ${name} cannot keep the store: ${storeProblem}`);
  }
  if (!store && !isMember) {
    throw new OverlaydError('tool-missing', `node ${name} has no etcd: install the package etcd-server there`);
  }
  const isOneMore = !isMember && nodeIds.length + learners.length >= wanted;
  const more = isOneMore ? STORE_SIZES.find((size) => size > wanted) : wanted;
  if (more === undefined) {
    throw invalid(`${wanted} hosts keep the store, and more are of no use; demote one of them first`);
  }
  return { record: wishing(record, [...before, id], without(unwanted, id)), wanted: more };
}

function demoted({ record, wanted }: Held, { id, name }: NodeRecord, canGo: boolean): Held {
  if (!canGo) {
    throw new OverlaydError(
      'store-holder',
      `node ${name} runs the cluster's only etcd, and no other host can: install the package etcd-server on one`,
    );
  }
  const { promoted: wished = [], demoted: before = [] } = record;
  return { record: wishing(record, without(wished, id), [...before, id]), wanted };
}

function resized({ record }: Held, size: number): Held {
  if (!STORE_SIZES.includes(size)) throw invalid(`${size} is none of ${STORE_SIZES.join(', ')}`);
  return { record, wanted: size };
}

function invalid(message: string): OverlaydError {
  return new OverlaydError('invalid-argument', message);
}

function wishing(
  { promoted: _, demoted: __, ...held }: KeepersRecord,
  promoted: readonly string[],
  demoted: readonly string[],
): KeepersRecord {
  const ids = (list: readonly string[]) => [...new Set(list)].sort();
  return {
    ...held,
    ...(promoted.length > 0 && { promoted: ids(promoted) }),
    ...(demoted.length > 0 && { demoted: ids(demoted) }),
  };
}

function without(list: readonly string[], id: string): readonly string[] {
  return list.filter((each) => each !== id);
}
