/** `overlayd status`: what this agent is, and in words what is wrong now. */

import { sharedMacs } from '../../agent/claims/mac-claims.ts';
import { nodeState } from '../../agent/cluster/nodes.ts';
import { unknownContainers } from '../../agent/endpoints/adoption.ts';
import type { EngineStatus } from '../../agent/engine/engine-side.ts';
import type { Lifecycle, Membership } from '../../agent/lifecycle.ts';
import { innerMtu, mtuProblems } from '../../core/inner-mtu.ts';
import { coveredNeeds } from '../../core/ipam/host-holders.ts';
import { keptByOthers, lacksKeepers, lastKeyProblem, saidOf } from '../../core/keepers.ts';
import { holdingBack, levelOf, STORE_LEVEL } from '../../core/levels.ts';
import { withEncryption } from '../../core/network-options.ts';
import type { Status } from '../../gen/overlayd/v1/control.ts';
import type { Clock } from '../../ports/runtime.ts';
import { limitedBy, nodeMessage, peerMessage, tunnelsOf } from './messages.ts';

export interface StatusFacts {
  readonly version: string;
  readonly dataDir: string;
  readonly startedAtMs: number;
  rssBytes(): number;
  /** In words: what this host lacks. */
  lacks(): readonly string[];
}

export async function statusMessage(lifecycle: Lifecycle, clock: Clock, facts: StatusFacts): Promise<Status> {
  const { version, dataDir, startedAtMs } = facts;
  const base = { version, dataDir, startedAtMs, rssBytes: facts.rssBytes() };
  const { busy, problem } = lifecycle.situation;
  const membership = lifecycle.current;
  if (!membership) {
    const problems = [...(problem ? [problem] : []), ...facts.lacks()];
    const counts = { peers: [], networks: 0, localEndpoints: 0, endpoints: 0, level: 0, levelHeldBackBy: [] };
    const none = { ...counts, mtu: 0, mtuLimitedBy: '', encryption: '' };
    const state = busy ? 'starting' : 'waiting';
    return { ...base, state, problems, clusterId: '', ...none };
  }
  const { member } = membership;
  const identity = membership.identity;
  const [engine] = await Promise.all([membership.engineSide?.status(), member.wireguard.looked()]);
  const alarms = member.storeConnected ? await membership.storeAlarms() : [];
  const problems = [
    ...(problem ? [problem] : []),
    ...facts.lacks(),
    ...findProblems(membership, alarms, clock),
    ...(await member.returnWays.problems()),
    ...(engine?.problems ?? []),
  ];
  const networks = member.networks.list();
  const peers = [...member.view.nodes()].filter((node) => node.id !== member.self.id && !node.left);
  const tunnels = tunnelsOf(member);
  const encryption = member.view.cluster()?.encryption;
  // Of networks that were made without a word.
  const usual = { options: withEncryption({}, encryption) };
  const { problems: _, ...reconcile } = member.reconciler.status();
  return {
    ...base,
    state: problems.length > 0 ? 'degraded' : 'ready',
    problems,
    clusterId: identity.clusterId,
    level: levelOf(member.view),
    levelHeldBackBy: heldBackBy(member),
    self: nodeMessage({
      record: member.self,
      state: member.removed ? 'down' : 'ready',
      self: true,
      endpoints: member.local.all().length,
      holdsStore: member.view.keepers()?.includes(identity.nodeId) ?? identity.store.bundled,
      holdsCopy: member.view.keepersRecord()?.learners?.includes(identity.nodeId) ?? false,
    }),
    store: storeMessage(membership),
    peers: peers
      .map((node) => peerMessage(member, node, tunnels.get(node.id)))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
    networks: networks.length,
    mtu: innerMtu(member.view, usual),
    mtuLimitedBy: limitedBy(member.view, usual),
    encryption: encryption ?? '',
    wireguard: wireguardMessage(member.wireguard),
    localEndpoints: member.local.all().length,
    endpoints: member.view.endpointCount(),
    reconcile: { ...reconcile, lastPassMs: Math.round(reconcile.lastPassMs), lastError: reconcile.lastError ?? '' },
    ...(engine ? { docker: engineMessage(engine) } : {}),
  };
}

function storeMessage({ identity, member, storeStatus }: Membership): NonNullable<Status['store']> {
  const { view } = member;
  const { endpoints, ...status } = storeStatus();
  const { nodeIds = [], learners = [] } = view.keepersRecord() ?? {};
  const namesOf = (ids: readonly string[]) => ids.map((id) => view.node(id)?.name ?? id).sort();
  return {
    ...status,
    ...{ endpoints: [...endpoints], bundled: identity.store.bundled },
    ...{ keepers: namesOf(nodeIds), copies: namesOf(learners), wanted: view.cluster()?.storeMembers ?? 1 },
  };
}

function heldBackBy({ view }: Membership['member']): string[] {
  return holdingBack(levelOf(view), view.nodes()).map(
    ({ name, version }) => `${name} (${version ?? 'an older release'})`,
  );
}

function wireguardMessage({ backend, rotation }: Membership['member']['wireguard']) {
  const { count: endings, lastMs: lastEndedMs } = backend.endings;
  return { keyExchange: rotation.why ?? '', endings, lastEndedMs };
}

function engineMessage({ state, version = '', networks, endpoints, names }: EngineStatus) {
  return { state, version, networks, endpoints, names: names === undefined ? 'unknown' : names ? 'yes' : 'no' };
}

/** What somebody is told whose node the cluster does not list any more, or as one that has left. */
export function removedAdvice({ member, identity }: Membership): string {
  const node = member.view.node(identity.nodeId);
  if (node?.left && !node.removed) {
    return 'this node has begun to leave the cluster and did not finish; run `overlayd leave` again';
  }
  return identity.store.bundled && !keptByOthers(member.view, identity.nodeId)
    ? "this node was taken off the cluster's list, but runs its only etcd, which the other hosts need: leave it running and back it up (`overlayd store backup FILE`); `overlayd leave` would delete the cluster"
    : 'this node was removed from the cluster; run `overlayd leave --force`, then join again';
}

function findProblems(membership: Membership, alarms: readonly string[], clock: Clock): string[] {
  const { member, engineSide, storeStatus } = membership;
  const problems: string[] = [...membership.hostProblems(), ...coveredNeeds(member.self, member.networks.list())];
  if (!member.storeConnected) {
    const { clockProblem, endpoints, refusal } = storeStatus();
    const away = `etcd does not answer (${endpoints.join(', ')}): existing networks go on, changes are refused; is it running, is its port open?`;
    const refused = refusal && `existing networks go on, changes are refused: ${refusal}`;
    problems.push(clockProblem ?? refused ?? away);
  }
  const { refusal } = storeStatus();
  problems.push(...alarms);
  if (member.storeConnected && alarms.length === 0 && refusal !== undefined) problems.push(refusal);
  if (member.self.storeProblem !== undefined && lacksKeepers(member.view)) {
    problems.push(`this host cannot keep the store: ${member.self.storeProblem}`);
  }
  problems.push(...keyAtRisk(membership));
  if (member.removed) {
    problems.push(removedAdvice(membership));
  }
  problems.push(...member.problems, ...mtuProblems(member.view, member.networks.list()));
  if (member.local.unreadable !== undefined) {
    problems.push(
      `${member.local.unreadable}. Until etcd tells, this node does not know which endpoints it has; it takes nothing away`,
    );
  }
  problems.push(...unknownContainers(member.local, member.view));
  const unsaved = [member.local.unsaved, engineSide?.networks.unsaved].filter((reason) => reason !== undefined);
  for (const reason of new Set(unsaved)) problems.push(`${reason} It is written as soon as that is possible`);
  for (const problem of member.reconciler.status().problems) {
    problems.push(`the kernel does not have what it should: ${problem}`);
  }
  problems.push(...member.nameProblems(), ...membership.firewallProblems());
  // Of networks that have nothing of this host, others tell.
  for (const { id, name } of member.networks.list().filter(({ id }) => member.local.hasOnNetwork(id))) {
    for (const [mac, endpoints] of sharedMacs(member.view.addresses(id))) {
      const names = endpoints.map((endpoint) => endpoint.name).join(' and ');
      problems.push(
        `${names} on network ${name} have one MAC address, ${mac}: packets to them get lost; connect one of them anew`,
      );
    }
  }
  if (isUnheard(member)) {
    problems.push(
      `this host hears no other member, though etcd does: they hide the names of its endpoints; is ${member.self.gossipPort}/tcp open between the hosts?`,
    );
  }
  const why = (nodeId: string) => {
    const problem = member.clockProblem(nodeId);
    return problem ? `; ${problem}` : '';
  };
  for (const node of member.view.nodes()) {
    if (node.id === member.self.id || node.left) continue;
    const liveness = (nodeId: string) => member.liveness(nodeId);
    const state = nodeState({ selfId: member.self.id, liveness, clock }, node);
    if (state === 'suspect' || state === 'down')
      problems.push(
        `node ${node.name} is ${state}: the names of its endpoints are hidden${why(node.id)}${keeping(member, node.id)}`,
      );
    if (node.addressProblem) problems.push(`node ${node.name} says: ${node.addressProblem}`);
  }
  const waiting = member.releases.pending;
  if (waiting > 0)
    problems.push(
      `${waiting === 1 ? 'an address waits' : `${waiting} addresses wait`} to be released until etcd answers`,
    );
  return problems;
}

/** With an etcd of the user's own no other host gets the CA's key once all that have it are lost. */
function keyAtRisk({ member }: Membership): readonly string[] {
  const { self, storeConnected, view } = member;
  if (!storeConnected || view.cluster() === undefined || levelOf(view) < STORE_LEVEL) return [];
  const isHeard = (nodeId: string) => nodeId === self.id || member.liveness(nodeId) === 'ready';
  const problem = lastKeyProblem(view.nodes(), saidOf(view), isHeard);
  return problem === undefined ? [] : [problem];
}

/** In words, what it means for the store that a node is away. */
function keeping(member: Membership['member'], nodeId: string): string {
  const { view, self } = member;
  const keepers = view.keepers() ?? [];
  if (!keepers.includes(nodeId)) return '';
  const left = keepers.filter((id) => id === self.id || member.liveness(id) === 'ready').length;
  return `; it keeps the store, of whose ${keepers.length} members ${left} ${left === 1 ? 'is' : 'are'} heard`;
}

/** No member is heard, though etcd, which answers, hears of some. Where there is one other, that one is named as suspect. */
function isUnheard({ hearsNobody, removed, self, storeConnected, view }: Membership['member']): boolean {
  if (!hearsNobody || !storeConnected || removed) return false;
  return [...view.nodes()].some(({ id, left }) => id !== self.id && !left && view.live(id) !== undefined);
}
