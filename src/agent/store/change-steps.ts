/**
 * The steps of one change of the store's members. Each may be made twice, by two keepers; what has happened already is seen, and
 * not done again. A change that cannot go on is taken back.
 */
import type { ClusterView } from '../../core/cluster-view.ts';
import { asOverlaydError } from '../../core/errors.ts';
import { keys, type NodeRecord, type StoreChange } from '../../core/records.ts';
import { peerUrlOf } from '../../core/store-members.ts';
import type { Logger } from '../../ports/runtime.ts';
import type { Compare, StoreMembership } from '../../ports/store.ts';
import type { Commit } from '../view/commit.ts';
import type { KeepersNow } from './keepers-record.ts';
import type { SeenMember } from './seen-members.ts';

export interface ChangeDeps {
  readonly commit: Commit;
  readonly view: Pick<ClusterView, 'node' | 'nodes'>;
  readonly membership: StoreMembership;
  readonly logger: Logger;
  readonly seen: readonly SeenMember[];
  readonly keepers: KeepersNow;
  /** Gives a node the rights of those that keep the store. */
  readonly trust: (node: NodeRecord) => Promise<void>;
  /** The same once the change is taken back: who was to go keeps the store again. */
  readonly keepersBefore: KeepersNow;
}

export interface UnderWay {
  readonly change: StoreChange;
  /** Of its record. */
  readonly revision: number;
  /** Since this keeper has seen it. */
  readonly ageMs: number;
}

/** `stepped`: go on at once. */
export type Outcome = 'stepped' | 'waiting' | 'done' | 'given-up';

/** etcd has to start, to fetch all data, and to answer. */
const PATIENCE_MS = 180_000;
/** For the others to hear that the one that goes is not to be asked any more. */
const TOLD_MS = 1_000;

export async function carryOut(deps: ChangeDeps, underWay: UnderWay): Promise<Outcome> {
  if (underWay.change.kind === 'remove') return remove(deps, underWay);
  return underWay.change.votes ? promote(deps, underWay) : add(deps, underWay);
}

async function add(deps: ChangeDeps, underWay: UnderWay): Promise<Outcome> {
  const { membership, seen, view } = deps;
  const { change, ageMs } = underWay;
  const node = view.node(change.nodeId);
  const own = memberOf(deps, change);
  if (!node || node.left) return takeBack(deps, underWay, own, 'its host is no member of the cluster any more');
  if (own?.status) return finish(deps, underWay);
  if (ageMs >= PATIENCE_MS) return takeBack(deps, underWay, own, 'its etcd did not start');
  if (!own) {
    await refused(deps, () => membership.addLearner(peerUrlOf(node)));
    return 'waiting';
  }
  const peerUrls = seen.flatMap(({ member }) => member.peerUrls).sort();
  if (JSON.stringify(change.peerUrls) === JSON.stringify(peerUrls)) return 'waiting';
  return rewrite(deps, underWay, { ...change, peerUrls });
}

async function promote(deps: ChangeDeps, underWay: UnderWay): Promise<Outcome> {
  const { membership } = deps;
  const own = memberOf(deps, underWay.change);
  if (!own) return takeBack(deps, underWay, undefined, 'it is no member any more');
  if (!own.member.isLearner) return finish(deps, underWay);
  const promoted = await refused(deps, () => membership.promote(own.member.id));
  if (promoted) return 'stepped';
  // It stays a learner, and is looked at again.
  return underWay.ageMs >= PATIENCE_MS ? takeBack(deps, underWay, undefined, 'it does not catch up') : 'waiting';
}

async function remove(deps: ChangeDeps, underWay: UnderWay): Promise<Outcome> {
  const { commit, keepers, membership, seen } = deps;
  const own = memberOf(deps, underWay.change);
  if (!own) return finish(deps, underWay);
  // First of all nobody is to ask it any more.
  if (keepers.change) {
    await commit([keepers.unchanged, underWayStill(underWay)], [keepers.change]);
    return 'stepped';
  }
  if (underWay.ageMs < TOLD_MS && own.status) return 'waiting';
  const living = seen.filter(({ member, status }) => !member.isLearner && status && member.id !== own.member.id);
  const leads = seen.some(({ status }) => status?.leaderId === own.member.id);
  const [heir] = living;
  if (leads && heir) await refused(deps, () => membership.handOver(own.member.id, heir.member.id));
  await refused(deps, () => membership.remove(own.member.id));
  if (underWay.ageMs < PATIENCE_MS) return 'waiting';
  return takeBack(deps, underWay, undefined, 'etcd does not let it go');
}

function memberOf({ seen }: ChangeDeps, { nodeId }: StoreChange): SeenMember | undefined {
  return seen.find(({ member, node }) => node?.id === nodeId || member.id === nodeId);
}

/** What etcd does not do now it may do in a moment: while members find each other it takes no change. */
async function refused<T>({ logger }: ChangeDeps, call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    logger.debug({ error: asOverlaydError(error).message }, 'etcd does not change its members now');
    return undefined;
  }
}

function underWayStill({ revision }: UnderWay): Compare {
  return { kind: 'revision', key: keys.storeChange, revision };
}

async function rewrite({ commit }: ChangeDeps, underWay: UnderWay, change: StoreChange): Promise<Outcome> {
  await commit([underWayStill(underWay)], [{ kind: 'put', key: keys.storeChange, record: change }]);
  return 'stepped';
}

/** Who keeps the store now is known with the same transaction. */
async function finish(deps: ChangeDeps, underWay: UnderWay): Promise<Outcome> {
  const { commit, keepers, logger, trust, view } = deps;
  const { kind, nodeId, votes, why } = underWay.change;
  const trusted = votes ? view.node(nodeId) : undefined;
  if (trusted) await trust(trusted);
  const compares = [underWayStill(underWay), keepers.unchanged];
  const gone = { kind: 'delete', key: keys.storeChange } as const;
  if (!(await commit(compares, [gone, ...(keepers.change ? [keepers.change] : [])]))) return 'stepped';
  const node = view.node(nodeId)?.name ?? nodeId;
  const what = kind === 'remove' ? 'removed' : votes ? 'voter' : 'learner';
  logger.info({ event: `store-member-${what}`, node, why }, "the store's members changed");
  return 'done';
}

async function takeBack(
  deps: ChangeDeps,
  underWay: UnderWay,
  own: SeenMember | undefined,
  reason: string,
): Promise<Outcome> {
  const { commit, keepersBefore, logger, membership, view } = deps;
  const { kind, nodeId } = underWay.change;
  // It has no vote: nobody needs it.
  if (own?.member.isLearner) {
    const { id } = own.member;
    const isGone = await refused(deps, () => membership.remove(id).then(() => true));
    if (!isGone) return 'waiting';
    return 'stepped';
  }
  // As one: a host that keepers do not name, and no change either, ends its member, which etcd still counts.
  const before = kind === 'remove' && keepersBefore.change ? [keepersBefore.change] : [];
  const compares = [underWayStill(underWay), keepersBefore.unchanged];
  if (!(await commit(compares, [{ kind: 'delete', key: keys.storeChange }, ...before]))) return 'stepped';
  const node = view.node(nodeId)?.name ?? nodeId;
  logger.warn({ event: 'store-change-given-up', kind, node, reason }, "a change of the store's members is given up");
  return 'given-up';
}
