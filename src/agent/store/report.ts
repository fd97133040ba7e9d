/** What `store status` tells: the members as etcd and each of them say, what is being changed, and why nothing is. */
import type { ClusterView } from '../../core/cluster-view.ts';
import { asOverlaydError } from '../../core/errors.ts';
import { keepersOf } from '../../core/keepers.ts';
import { levelOf, requireLevel, STORE_LEVEL } from '../../core/levels.ts';
import { clientUrlOf } from '../../core/store-members.ts';
import { planStore } from '../../core/store-plan.ts';
import type { ReportedStoreMember, StoreReported } from '../../ports/keepers.ts';
import type { Clock } from '../../ports/runtime.ts';
import type { StoreMaintenance, StoreMemberStatus, StoreMembership } from '../../ports/store.ts';
import { askMembers, hostsOf, keptMembers } from './seen-members.ts';

export interface StoreReportDeps {
  readonly view: ClusterView;
  readonly isHeard: (nodeId: string) => boolean;
  readonly membership: StoreMembership & Pick<StoreMaintenance, 'memberStatus'>;
  /** URLs of an etcd of the user's own; undefined: it is a bundled one. */
  readonly ownEtcd: () => readonly string[] | undefined;
  readonly clock: Pick<Clock, 'elapsed'>;
}

interface SeenInReport {
  /** Empty: of an etcd of the user's own, or the host is gone. */
  readonly nodeName: string;
  readonly url: string;
  readonly role: 'leader' | 'voter' | 'learner' | 'keeper';
  /** Undefined: it does not answer. */
  readonly status: StoreMemberStatus | undefined;
}

export async function reportStore(deps: StoreReportDeps): Promise<StoreReported> {
  const { membership, ownEtcd, view } = deps;
  const own = ownEtcd();
  const wanted = view.cluster()?.storeMembers ?? 1;
  if (own) {
    const members = await Promise.all(own.map(async (url) => reported(url, '', await statusOf(deps, url))));
    return { bundled: false, wanted, members: told(members), change: '', outlook: '' };
  }
  const change = changeInWords(view);
  try {
    const seen = await askMembers(deps, await membership.members());
    const members = seen.map(({ member, node, status }) => {
      const url = node ? clientUrlOf(node) : (member.clientUrls[0] ?? member.peerUrls[0] ?? '');
      const role = member.isLearner ? 'learner' : 'voter';
      return reported(url, node?.name ?? '', status, role);
    });
    const now = deps.clock.elapsed();
    const unheard = ({ id }: { readonly id: string }) => (deps.isHeard(id) ? 0 : 1);
    const hosts = hostsOf(view, unheard, () => false);
    const step = planStore({
      wanted,
      members: keptMembers(seen, now),
      hosts,
      replaceAfterMs: Number.POSITIVE_INFINITY,
    });
    return { bundled: true, wanted, members: told(members), change, outlook: change ? '' : outlookOf(step, view) };
  } catch (error) {
    const keepers = keepersOf(view.nodes(), { keepers: view.keepers(), cluster: view.cluster() });
    const members = await Promise.all(
      keepers.map(async (node) =>
        reported(clientUrlOf(node), node.name, await statusOf(deps, clientUrlOf(node)), 'keeper'),
      ),
    );
    const answering = members.filter(({ status }) => status?.leaderId || status?.hidden).length;
    const outlook =
      answering === 0
        ? `no majority of the members answers: changes are refused until more of them are back (${asOverlaydError(error).message})`
        : asOverlaydError(error).message;
    return { bundled: true, wanted, members: told(members), change, outlook };
  }
}

function statusOf({ membership }: StoreReportDeps, url: string): Promise<StoreMemberStatus | undefined> {
  return membership.memberStatus(url).catch(() => undefined);
}

function reported(
  url: string,
  nodeName: string,
  status: StoreMemberStatus | undefined,
  role: SeenInReport['role'] = status?.isLearner ? 'learner' : 'voter',
): SeenInReport {
  const leads = status !== undefined && status.leaderId === status.memberId;
  return { url, nodeName, role: leads ? 'leader' : role, status };
}

/** The lag is behind the one that is furthest. */
function told(members: readonly SeenInReport[]): readonly ReportedStoreMember[] {
  const furthest = Math.max(0, ...members.map(({ status }) => status?.raftIndex ?? 0));
  return members
    .map(({ status, ...member }) => ({
      ...{ ...member, answers: status !== undefined, version: status?.version ?? '' },
      ...{ size: status?.dbSize ?? 0, sizeInUse: status?.dbSizeInUse ?? 0, alarms: [...(status?.alarms ?? [])] },
      lag: status && !status.hidden ? furthest - status.raftAppliedIndex : 0,
    }))
    .sort((a, b) => (a.nodeName < b.nodeName ? -1 : 1));
}

function changeInWords(view: ClusterView): string {
  const change = view.storeChange();
  if (!change) return '';
  const name = view.node(change.nodeId)?.name ?? change.nodeId;
  const what =
    change.kind === 'remove' ? `${name} is removed` : change.votes ? `${name} gets a vote` : `${name} is added`;
  return `${what}: ${change.why}`;
}

function outlookOf(step: ReturnType<typeof planStore>, view: ClusterView): string {
  // Older agents know of one host that keeps it.
  if (levelOf(view) < STORE_LEVEL) return levelProblem(view);
  if (step.kind === 'none') return step.why ?? '';
  const id = step.kind === 'add' ? step.nodeId : (step.member.nodeId ?? '');
  const name = view.node(id)?.name ?? 'a member whose host is gone';
  return `next: ${name} is ${step.kind === 'remove' ? 'removed' : step.votes ? 'given a vote' : 'added'} (${step.why})`;
}

function levelProblem(view: ClusterView): string {
  try {
    requireLevel(STORE_LEVEL, levelOf(view), view.nodes(), 'several members of the store');
    return '';
  } catch (error) {
    return asOverlaydError(error).message;
  }
}
