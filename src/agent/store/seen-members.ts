/** etcd's members as one look has them: what etcd lists, whose they are, and which of them answer. */
import type { ClusterView } from '../../core/cluster-view.ts';
import type { NodeRecord } from '../../core/records.ts';
import { clientUrlOf, nodeOfMember } from '../../core/store-members.ts';
import type { KeptMember, StoreHost } from '../../core/store-plan.ts';
import type { Clock } from '../../ports/runtime.ts';
import type { StoreMaintenance, StoreMember, StoreMemberStatus } from '../../ports/store.ts';

export interface SeenMember {
  readonly member: StoreMember;
  readonly node: NodeRecord | undefined;
  /** Undefined: it does not answer. */
  readonly status: StoreMemberStatus | undefined;
  /** By the monotonic clock; undefined: it answers. */
  readonly silentSince: number | undefined;
}

export interface AskDeps {
  readonly view: Pick<ClusterView, 'nodes'>;
  readonly membership: Pick<StoreMaintenance, 'memberStatus'>;
  readonly clock: Pick<Clock, 'elapsed'>;
}

/** `silentSince`: what former looks have seen, by the member's id; is brought up to date. */
export async function askMembers(
  { clock, membership, view }: AskDeps,
  members: readonly StoreMember[],
  silentSince: Map<string, number> = new Map(),
): Promise<SeenMember[]> {
  const seen = await Promise.all(
    members.map(async (member) => {
      const node = nodeOfMember(member, view.nodes());
      // Where it is now: what etcd says may be behind an address that changed.
      const url = node ? clientUrlOf(node) : member.clientUrls[0];
      const status = url === undefined ? undefined : await membership.memberStatus(url).catch(() => undefined);
      // Another one may have its address.
      return { member, node, status: status?.memberId === member.id ? status : undefined };
    }),
  );
  for (const { member, status } of seen) {
    if (status) silentSince.delete(member.id);
    else if (!silentSince.has(member.id)) silentSince.set(member.id, clock.elapsed());
  }
  const ids = new Set(members.map(({ id }) => id));
  for (const id of silentSince.keys()) if (!ids.has(id)) silentSince.delete(id);
  return seen.map((each) => ({ ...each, silentSince: silentSince.get(each.member.id) }));
}

export function keptMembers(seen: readonly SeenMember[], now: number): KeptMember[] {
  return seen.map(({ member, node, silentSince }) => ({
    id: member.id,
    nodeId: node?.id,
    votes: !member.isLearner,
    // What has just fallen silent does not answer either.
    awayMs: silentSince === undefined ? 0 : Math.max(1, now - silentSince),
  }));
}

export function hostsOf(
  view: Pick<ClusterView, 'nodes' | 'keepersRecord'>,
  unheardMs: (node: NodeRecord) => number,
  isUnfit: (node: NodeRecord) => boolean,
): StoreHost[] {
  const { promoted = [], demoted = [] } = view.keepersRecord() ?? {};
  const wishFor = (id: string) => (promoted.includes(id) ? true : demoted.includes(id) ? false : undefined);
  return [...view.nodes()]
    .filter(({ left }) => !left)
    .map((node) => ({
      id: node.id,
      name: node.name,
      can: node.store !== undefined && !node.nat && !isUnfit(node),
      keeper: wishFor(node.id),
      joinedAt: node.joinedAt,
      awayMs: unheardMs(node),
    }));
}
