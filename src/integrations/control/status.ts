/** `overlayd status`: what this agent is, and in words what is wrong now. */

import type { EngineStatus } from '../../agent/engine/engine-side.ts';
import type { Lifecycle, Membership } from '../../agent/lifecycle.ts';
import { isRemoved, type Report } from '../../agent/report.ts';
import { FINDINGS, type Finding } from '../../core/finding.ts';
import { innerMtu } from '../../core/inner-mtu.ts';
import { holdingBack, levelOf } from '../../core/levels.ts';
import { withEncryption } from '../../core/network-options.ts';
import type { Finding as FindingMessage, Status } from '../../gen/overlayd/v1/control.ts';
import { limitedBy, nodeMessage, peerMessage, tunnelsOf } from './messages.ts';

export interface StatusFacts {
  readonly version: string;
  readonly dataDir: string;
  readonly startedAtMs: number;
  rssBytes(): number;
}

export async function statusMessage(report: Report, lifecycle: Lifecycle, facts: StatusFacts): Promise<Status> {
  const { version, dataDir, startedAtMs } = facts;
  const { findings: all, membership, engine } = await report.make();
  // What may be nothing is the doctor's.
  const findings = all.filter(({ certain }) => certain);
  const problems = findings.map(({ text }) => text);
  const told = { problems, findings: findings.map(findingMessage) };
  const base = { version, dataDir, startedAtMs, rssBytes: facts.rssBytes(), ...told };
  if (!membership) {
    const counts = { peers: [], networks: 0, localEndpoints: 0, endpoints: 0, level: 0, levelHeldBackBy: [] };
    const none = { ...counts, mtu: 0, mtuLimitedBy: '', encryption: '' };
    const state = lifecycle.situation.busy || lifecycle.isStarting ? 'starting' : 'waiting';
    return { ...base, state, clusterId: '', ...none };
  }
  const { member } = membership;
  const identity = membership.identity;
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
    clusterId: identity.clusterId,
    level: levelOf(member.view),
    levelHeldBackBy: heldBackBy(member),
    self: nodeMessage({
      record: member.self,
      state: isRemoved(membership) ? 'down' : 'ready',
      self: true,
      endpoints: member.local.all().length,
      holdsStore: member.view.keepers()?.includes(identity.nodeId) ?? identity.store.bundled,
      holdsCopy: member.view.keepersRecord()?.learners?.includes(identity.nodeId) ?? false,
    }),
    store: storeMessage(membership),
    peers: peers
      .map((node) => {
        const { encryptedPaths, paths } = membership;
        const ofPaths = { plain: paths.status(node), encrypted: encryptedPaths.status(node) };
        return peerMessage(member, node, tunnels.get(node.id), ofPaths);
      })
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

export function findingMessage({ code, subject, text, certain, since }: Finding): FindingMessage {
  return { code, subject, text, mend: FINDINGS[code], certain, sinceMs: since };
}
