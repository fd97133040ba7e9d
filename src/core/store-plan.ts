/**
 * Who keeps the store, and what is to be done next about it (docs/adr/0022-the-store-has-members.md). One step or none, with
 * the reason in words; whoever carries it out asks again afterwards. Pure.
 *
 * Hosts are put in an order: those that a person promoted, voters, learners, others, and last the ones that have been away
 * for too long; of these the first so many are chosen as are wanted. An odd number of them votes, one more may have a copy.
 * Guarantees, whatever happens between two steps:
 *
 * - No step takes a majority that lives away from the voters.
 * - The number of voters is even only on the way to an odd one: another host is ready to follow, or a voter is about to go.
 * - One learner at a time (etcd takes no more), and none is added while a voter does not answer (etcd refuses that too).
 * - A voter that has been away for too long goes only when another host can take its place: as long as it may return, it is
 *   worth more than nothing.
 */
import { formatDuration } from './config/duration.ts';

/** One of etcd's members. */
export interface KeptMember {
  /** etcd's, 16 hex digits. */
  readonly id: string;
  /** Undefined: its host is none of the cluster's any more. */
  readonly nodeId: string | undefined;
  readonly votes: boolean;
  /** How long its etcd has not answered; 0 while it does. */
  readonly awayMs: number;
}

export interface StoreHost {
  readonly id: string;
  readonly name: string;
  /** It could run a member of the store: etcd is installed, others reach it, its agent knows how. */
  readonly can: boolean;
  /** What a person said: true, it is to keep the store, false, it is not to. Absent: as needed. */
  readonly keeper?: boolean | undefined;
  readonly joinedAt: number;
  /** How long its agent has not been heard; 0 while it is. */
  readonly awayMs: number;
}

export interface StoreSituation {
  /** How many are to vote: 1, 3 or 5. */
  readonly wanted: number;
  readonly members: readonly KeptMember[];
  /** Members of the cluster that have not left. */
  readonly hosts: readonly StoreHost[];
  /** Who has been away for so long is replaced. */
  readonly replaceAfterMs: number;
}

export type StoreStep =
  /** `votes`: the learner that it is becomes a voter; absent: it becomes a learner. */
  | { readonly kind: 'add'; readonly nodeId: string; readonly votes?: true; readonly why: string }
  | { readonly kind: 'remove'; readonly member: KeptMember; readonly why: string }
  /** Nothing can, or has to, be done. `why` is there when less is there than is wanted. */
  | { readonly kind: 'none'; readonly why?: string };

/** How many there may be: of an even number the loss of half stops the store. */
export const STORE_SIZES: readonly number[] = [1, 3, 5];

/** A host that is no member yet is waited for so long before another one is chosen. */
const PATIENCE_MS = 60_000;

export function majority(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

export function planStore(situation: StoreSituation): StoreStep {
  const { members, wanted } = situation;
  const hosts = new Map(situation.hosts.map((host) => [host.id, host]));
  const nameOf = ({ nodeId }: KeptMember) => hosts.get(nodeId ?? '')?.name ?? 'a host that is gone';
  const voters = members.filter(({ votes }) => votes);
  const silent = voters.filter(({ awayMs }) => awayMs > 0);
  const living = voters.length - silent.length;
  if (living < majority(voters.length)) {
    return none(`${living} of ${voters.length} members answer, which is no majority`);
  }
  const chosen = choose(situation);
  if (chosen.length === 0) return none('no host can keep the store');
  const voting = chosen.slice(0, chosen.length - ((chosen.length + 1) % 2));
  const isAmong = (list: readonly StoreHost[], { nodeId }: KeptMember) => list.some(({ id }) => id === nodeId);
  const missing = chosen.filter(({ id }) => !members.some(({ nodeId }) => nodeId === id));
  const surplus = voters.filter((member) => !isAmong(voting, member));
  const learner = members.find(({ votes }) => !votes);
  const removing = (member: KeptMember): StoreStep => {
    return { kind: 'remove', member, why: reasonToGo(member, hosts.get(member.nodeId ?? ''), situation) };
  };

  if (learner && !isAmong(chosen, learner)) {
    return removing(learner);
  }
  const mayGo = (member: KeptMember) =>
    voters.length > 1 && living - (member.awayMs > 0 ? 0 : 1) >= majority(voters.length - 1);
  const lost = surplus.find((member) => member.awayMs > 0 && mayGo(member));
  if (lost) return removing(lost);

  if (learner && isAmong(voting, learner)) {
    if (learner.awayMs > 0) return none(`${nameOf(learner)} does not answer, and has no vote yet`);
    const isEven = voters.length % 2 === 1;
    const follows = surplus.length > 0 || missing.some((host) => voting.includes(host) && host.awayMs === 0);
    if (!isEven || (silent.length === 0 && follows)) {
      return { kind: 'add', nodeId: learner.nodeId!, votes: true, why: lacking(voters.length, voting.length) };
    }
    if (silent.length > 0) return none(awaited(silent.map(nameOf)));
  }
  const next = missing[0];
  if (next && !learner) {
    if (silent.length > 0) return none(awaited(silent.map(nameOf)));
    if (next.awayMs > 0) return none(`${next.name} is not heard of`);
    const why = voting.includes(next) ? lacking(voters.length, voting.length) : 'a copy on a second host';
    return { kind: 'add', nodeId: next.id, why };
  }
  const isComplete = voting.every(({ id }) => voters.some(({ nodeId }) => nodeId === id));
  const extra = isComplete ? surplus.find(mayGo) : undefined;
  if (extra) return removing(extra);
  if (silent.length > 0) return none(awaited(silent.map(nameOf)));
  return voting.length < wanted ? none(tooFew(chosen.length, voting.length, wanted)) : { kind: 'none' };
}

/** Who is to have the store: those that are to vote first. */
function choose({ hosts, members, replaceAfterMs, wanted }: StoreSituation): readonly StoreHost[] {
  const memberOf = new Map(members.map((member) => [member.nodeId, member]));
  const rank = (host: StoreHost): number => {
    const member = memberOf.get(host.id);
    if (member && member.awayMs >= replaceAfterMs) return 9;
    if (host.keeper) return 0;
    if (!member) return 3;
    return member.votes ? 1 : 2;
  };
  const chosen = hosts
    .filter((host) => host.keeper !== false)
    .filter((host) => memberOf.has(host.id) || (host.can && host.awayMs < PATIENCE_MS))
    .map((host) => ({ host, rank: rank(host) }))
    .sort((a, b) => a.rank - b.rank || a.host.joinedAt - b.host.joinedAt || (a.host.id < b.host.id ? -1 : 1))
    .slice(0, wanted);
  // Whoever votes goes on voting, whom a person promoted besides: nobody changes places without need.
  const isVoter = (each: (typeof chosen)[number]) => each.rank < 9 && memberOf.get(each.host.id)?.votes === true;
  return [...chosen.filter(isVoter), ...chosen.filter((each) => !isVoter(each))].map(({ host }) => host);
}

function none(why: string): StoreStep {
  return { kind: 'none', why };
}

function reasonToGo({ awayMs }: KeptMember, host: StoreHost | undefined, { replaceAfterMs }: StoreSituation): string {
  if (!host) return 'its host is no member of the cluster any more';
  if (host.keeper === false) return 'it was demoted';
  const silent = `it has not answered for ${formatDuration(Math.max(1, Math.round(awayMs / 1_000)) * 1_000)}`;
  if (awayMs >= replaceAfterMs) return `${silent}, and another host takes its place`;
  const surplus = 'more members than are wanted, or an even number of votes';
  return awayMs > 0 ? `${surplus}, and ${silent}` : surplus;
}

function lacking(voters: number, wanted: number): string {
  return `${voters} of ${wanted} members of the store vote`;
}

function awaited(names: readonly string[]): string {
  return `${names.join(', ')} ${names.length === 1 ? 'does' : 'do'} not answer: until then nothing is changed`;
}

function tooFew(hosts: number, voting: number, wanted: number): string {
  const copy = hosts > voting ? ', and one more has a copy without a vote' : '';
  return `${voting} of ${wanted} members vote${copy}: no other host can keep the store (etcd installed, not behind NAT, not demoted)`;
}
