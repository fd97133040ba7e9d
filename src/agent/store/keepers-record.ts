/** The record of who keeps the store, as etcd's word makes it; what a person said of hosts stays in it. */
import type { ClusterView } from '../../core/cluster-view.ts';
import { OverlaydError } from '../../core/errors.ts';
import { type KeepersRecord, keys, type StoreChange } from '../../core/records.ts';
import { nodeOfMember } from '../../core/store-members.ts';
import type { Compare, StoreEntry, StoreMember } from '../../ports/store.ts';
import { type Change, unchanged } from '../view/commit.ts';

export interface KeepersNow {
  readonly record: KeepersRecord;
  /** What makes it so; undefined: it is so. */
  readonly change: Change | undefined;
  /** Holds as long as it is as it was read. */
  readonly unchanged: Compare;
}

/** `change`: whoever is to go is no keeper any more: nobody is to ask it. */
export function keepersNow(
  view: Pick<ClusterView, 'nodes'>,
  read: {
    readonly all: readonly StoreMember[];
    readonly held: KeepersRecord | undefined;
    readonly change: StoreChange | undefined;
    readonly entry: StoreEntry | undefined;
  },
): KeepersNow {
  const { all, change, entry, held } = read;
  const going = change?.kind === 'remove' ? change.nodeId : undefined;
  const idsOf = (learners: boolean) =>
    all
      .filter(({ isLearner }) => isLearner === learners)
      .flatMap((member) => nodeOfMember(member, view.nodes())?.id ?? [])
      .filter((id) => id !== going)
      .sort();
  const [nodeIds, learners] = [idsOf(false), idsOf(true)];
  if (nodeIds.length === 0) {
    throw new OverlaydError('store-failed', "none of etcd's members that vote is one of the cluster's hosts");
  }
  const { learners: before = [], ...kept } = held ?? {};
  const record = { ...kept, nodeIds, ...(learners.length > 0 && { learners }) };
  const isSame = held !== undefined && [held.nodeIds, before].join(';') === [nodeIds, learners].join(';');
  return {
    record: isSame ? held : record,
    change: isSame ? undefined : { kind: 'put', key: keys.storeKeepers, record },
    unchanged: unchanged(keys.storeKeepers, entry),
  };
}
