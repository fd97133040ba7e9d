/**
 * What is wrong now with this host as a member, as findings: the one report that `status` and `doctor` render. Each kind gets its
 * code here, where it is put in its place among the others. Reads only.
 */
import { judgeDrift } from '../core/diagnosis.ts';
import { isThere } from '../core/failure-detector.ts';
import { type Finding, FindingTimes, type Found, found, suspected } from '../core/finding.ts';
import { mtuProblems } from '../core/inner-mtu.ts';
import { coveredNeeds } from '../core/ipam/host-holders.ts';
import { keptByOthers, lacksKeepers, lastKeyProblem, saidOf } from '../core/keepers.ts';
import { levelOf, STORE_LEVEL } from '../core/levels.ts';
import type { NetworkRecord } from '../core/records.ts';
import type { Clock } from '../ports/runtime.ts';
import { nodeState } from './cluster/nodes.ts';
import { unknownContainers } from './endpoints/adoption.ts';
import type { EngineStatus } from './engine/engine-side.ts';
import type { Lifecycle, Membership } from './lifecycle.ts';
import type { Member } from './member.ts';

export interface ReportDeps {
  readonly lifecycle: Lifecycle;
  readonly clock: Clock;
  /** What is wrong with this host, whether it is a member or not. */
  readonly ofHost: () => readonly Found[];
}

export interface Reported {
  readonly findings: readonly Finding[];
  readonly membership: Membership | undefined;
  readonly engine: EngineStatus | undefined;
}

export class Report {
  readonly #deps: ReportDeps;
  readonly #times = new FindingTimes();

  constructor(deps: ReportDeps) {
    this.#deps = deps;
  }

  get membership(): Membership | undefined {
    return this.#deps.lifecycle.current;
  }

  async make(): Promise<Reported> {
    const { lifecycle, clock, ofHost } = this.#deps;
    const membership = lifecycle.current;
    const general = () => [...found('not-started', [lifecycle.situation.problem ?? []].flat()), ...ofHost()];
    const dated = (all: readonly Found[]) => this.#times.date(all, clock.now());
    if (!membership) return { findings: dated(general()), membership, engine: undefined };
    const { member } = membership;
    const [engine] = await Promise.all([membership.engineSide?.status(), member.wireguard.looked()]);
    const alarms = member.storeConnected ? await membership.storeAlarms() : [];
    const all = [
      ...general(),
      ...memberFindings(membership, alarms, clock),
      ...found('answers-astray', await member.returnWays.problems()),
      ...found('docker-side', engine?.problems ?? []),
    ];
    return { findings: dated(all), membership, engine };
  }
}

/** By etcd's word, or a keeper's where etcd does not let this host in. */
export function isRemoved({ member, removal }: Pick<Membership, 'member' | 'removal'>): boolean {
  return member.removed || removal.isTold;
}

/** What somebody is told whose node the cluster does not list any more, or as one that has left. */
export function removedAdvice({ member, identity, removal }: Membership): string {
  const node = member.view.node(identity.nodeId);
  if (node?.left && !node.removed) {
    return 'this node has begun to leave the cluster and did not finish; run `overlayd leave` again';
  }
  // Who tells keeps the store.
  return identity.store.bundled && !removal.isTold && !keptByOthers(member.view, identity.nodeId)
    ? "this node was taken off the cluster's list, but runs its only etcd, which the other hosts need: leave it running and back it up (`overlayd store backup FILE`); `overlayd leave` would delete the cluster"
    : 'this node was removed from the cluster; run `overlayd leave --force`, then join again';
}

function memberFindings(membership: Membership, alarms: readonly string[], clock: Clock): Found[] {
  const { member } = membership;
  const networks = member.networks.list();
  return [
    ...membership.hostFindings(),
    ...found('needed-address-covered', coveredNeeds(member.self, networks)),
    ...storeFindings(membership, alarms),
    ...(isRemoved(membership) ? found('node-removed', [removedAdvice(membership)]) : []),
    ...member.findings,
    ...found('mtu-too-large', mtuProblems(member.view, networks)),
    ...stateFindings(membership),
    ...found(
      'kernel-refused',
      member.reconciler.status().problems.map((problem) => `the kernel does not have what it should: ${problem}`),
    ),
    ...judgeDrift(member.reconciler.drift.memory.returning(clock.now())),
    ...found('names-unanswered', member.names.problems()),
    // Of networks that have nothing of this host, others tell.
    ...networks.filter(({ id }) => member.local.hasOnNetwork(id)).flatMap((network) => macFindings(member, network)),
    ...peerFindings(member, clock),
    ...waitingFindings(member),
  ];
}

function storeFindings(membership: Membership, alarms: readonly string[]): Found[] {
  const { member, removal, storeStatus } = membership;
  const { clockProblem, endpoints, refusal } = storeStatus();
  const all: Found[] = [];
  // It answers, but not this host.
  if (!member.storeConnected && !removal.isTold) {
    const away = `etcd does not answer (${endpoints.join(', ')}): existing networks go on, changes are refused; is it running, is its port open?`;
    if (clockProblem) all.push(...found('clock-skew', [clockProblem]));
    else if (refusal) all.push(...found('store-refused', [`existing networks go on, changes are refused: ${refusal}`]));
    else all.push(...found('store-away', [away]));
  }
  all.push(...found('store-alarm', alarms));
  if (member.storeConnected && alarms.length === 0 && refusal !== undefined)
    all.push(...found('store-refused', [refusal]));
  if (member.self.storeProblem !== undefined && lacksKeepers(member.view)) {
    all.push(...found('store-not-kept', [`this host cannot keep the store: ${member.self.storeProblem}`]));
  }
  return [...all, ...found('key-at-risk', keyAtRisk(membership))];
}

function stateFindings({ member, engineSide }: Membership): Found[] {
  const { unreadable } = member.local;
  const clockProblem = member.local.clock.problem;
  const unsaved = [member.local.unsaved, engineSide?.networks.unsaved].filter((reason) => reason !== undefined);
  return [
    ...found(
      'state-unreadable',
      unreadable === undefined
        ? []
        : [`${unreadable}. Until etcd tells, this node does not know which endpoints it has; it takes nothing away`],
    ),
    ...found('container-unknown', unknownContainers(member.local, member.view)),
    ...(clockProblem === undefined ? [] : [suspected('clock-skew', clockProblem)]),
    ...found(
      'state-unsaved',
      [...new Set(unsaved)].map((reason) => `${reason} It is written as soon as that is possible`),
    ),
  ];
}

function macFindings(member: Member, { id, name }: Pick<NetworkRecord, 'id' | 'name'>): Found[] {
  return [...member.view.sharedMacs(id)].flatMap(([mac, endpoints]) => {
    const names = Array.from(endpoints, (endpoint) => endpoint.name)
      .sort()
      .join(' and ');
    const text = `${names} on network ${name} have one MAC address, ${mac}: packets to them get lost; connect one of them anew`;
    return found('mac-shared', [text], name);
  });
}

function peerFindings(member: Member, clock: Clock): Found[] {
  const all: Found[] = [];
  if (isUnheard(member)) {
    const text = `this host hears no other member, though etcd does: they hide the names of its endpoints; is ${member.self.gossipPort}/tcp open between the hosts?`;
    all.push(...found('gossip-unheard', [text]));
  }
  const liveness = (nodeId: string) => member.liveness(nodeId);
  for (const node of member.view.nodes()) {
    if (node.id === member.self.id || node.left) continue;
    const state = nodeState({ selfId: member.self.id, liveness, clock }, node);
    if (state === 'suspect' || state === 'down') {
      const clockProblem = member.gossip.clockProblem(node.id);
      const why = clockProblem ? `; ${clockProblem}` : '';
      const text = `node ${node.name} is ${state}: the names of its endpoints are hidden${why}${keeping(member, node.id)}`;
      all.push(...found(clockProblem ? 'clock-skew' : 'member-away', [text], node.name));
    }
    if (node.addressProblem) {
      all.push(...found('address-lost', [`node ${node.name} says: ${node.addressProblem}`], node.name));
    }
  }
  return all;
}

function waitingFindings({ releases }: Member): Found[] {
  const waiting = releases.pending;
  if (waiting === 0) return [];
  const what = waiting === 1 ? 'an address waits' : `${waiting} addresses wait`;
  return found('addresses-waiting', [`${what} to be released until etcd answers`]);
}

/** With an etcd of the user's own no other host gets the CA's key once all that have it are lost. */
function keyAtRisk({ member }: Membership): readonly string[] {
  const { self, storeConnected, view } = member;
  if (!storeConnected || view.cluster() === undefined || levelOf(view) < STORE_LEVEL) return [];
  const isHeard = (nodeId: string) => nodeId === self.id || isThere(member.liveness(nodeId));
  const problem = lastKeyProblem(view.nodes(), saidOf(view), isHeard);
  return problem === undefined ? [] : [problem];
}

/** In words, what it means for the store that a node is away. */
function keeping(member: Member, nodeId: string): string {
  const { view, self } = member;
  const keepers = view.keepers() ?? [];
  if (!keepers.includes(nodeId)) return '';
  const left = keepers.filter((id) => id === self.id || isThere(member.liveness(id))).length;
  return `; it keeps the store, of whose ${keepers.length} members ${left} ${left === 1 ? 'is' : 'are'} heard`;
}

/** No member is heard, though etcd, which answers, hears of some. Where there is one other, that one is named as suspect. */
function isUnheard({ hearsNobody, removed, self, storeConnected, view }: Member): boolean {
  if (!hearsNobody || !storeConnected || removed) return false;
  return [...view.nodes()].some(({ id, left }) => id !== self.id && !left && view.live(id) !== undefined);
}
