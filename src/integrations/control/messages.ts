/** Records as the control protocol shows them. */

import type { NodeStatus } from '../../agent/cluster/nodes.ts';
import type { Report } from '../../agent/endpoints/ipam-repair.ts';
import type { Member } from '../../agent/member.ts';
import type { ListedSet } from '../../agent/names/static-names.ts';
import { attachmentOf } from '../../core/attachment.ts';
import { parseCidr } from '../../core/cidr.ts';
import { isThere } from '../../core/failure-detector.ts';
import { formatHostPort } from '../../core/host-port.ts';
import { describeLimit, innerMtu, mtuLimit } from '../../core/inner-mtu.ts';
import { familyCounts } from '../../core/ipam/address-counts.ts';
import { type Kept, keptOn } from '../../core/ipam/kept.ts';
import { levelsOf } from '../../core/levels.ts';
import { isEncrypted } from '../../core/network-options.ts';
import type { PathStatus } from '../../core/path/path.ts';
import {
  type EndpointRecord,
  firstAddress,
  type NetworkRecord,
  type NodeRecord,
  type TokenRecord,
} from '../../core/records.ts';
import type {
  DataPath,
  DnsSet,
  Endpoint,
  IpamReport,
  Kept as KeptMessage,
  Network,
  Node,
  PeerStatus,
  StoreReport as StoreReportMessage,
  Token,
  Tunnel,
} from '../../gen/overlayd/v1/control.ts';
import type { StoreReported } from '../../ports/keepers.ts';

export function networkMessage(member: Member, network: NetworkRecord, options: { withEndpoints: boolean }): Network {
  const { view } = member;
  const endpoints = [...view.endpointsOn(network.id)];
  if (options.withEndpoints) endpoints.sort(byNameThenAddress);
  return {
    id: network.id,
    name: network.name,
    vni: network.vni,
    mtu: innerMtu(view, network),
    mtuLimitedBy: limitedBy(view, network),
    subnets: network.subnets.map((subnet) => ({
      cidr: subnet.cidr,
      gateway: subnet.gateway,
      ipRange: subnet.ipRange ?? '',
      auxAddresses: { ...subnet.auxAddresses },
    })),
    internal: network.internal,
    attachable: network.attachable,
    labels: { ...network.labels },
    options: { ...network.options },
    createdAtMs: network.createdAt,
    state: network.state,
    encrypted: isEncrypted(network),
    tunnels: options.withEndpoints && isEncrypted(network) ? [...tunnelsOf(member).values()] : [],
    endpoints: options.withEndpoints ? endpoints.map((record) => endpointMessage(member, record)) : [],
    endpointCount: endpoints.length,
    addresses: familyCounts(view, network, 4),
    addressesIpv6: familyCounts(view, network, 6),
    kept: options.withEndpoints ? keptOn(view.quarantine(network.id)).map((kept) => keptMessage(member, kept)) : [],
  };
}

export function keptMessage({ view }: Pick<Member, 'view'>, { name, addresses, releasedAt, by }: Kept): KeptMessage {
  const releasedBy = view.node(by)?.name ?? by;
  return { name, addresses: [...addresses], releasedAtMs: releasedAt, releasedBy };
}

/** In words; empty: nobody. */
export function limitedBy(...of: Parameters<typeof mtuLimit>): string {
  const limit = mtuLimit(...of);
  return limit ? describeLimit(limit) : '';
}

export function dnsMessage({ network, set, takenBy }: ListedSet): DnsSet {
  const { name, type, values, ttlSeconds } = set;
  return {
    ...{ networkId: network.id, networkName: network.name },
    ...{ name, type, values: [...values], ttlSeconds, takenBy: takenBy ?? '' },
  };
}

export function ipamMessage({ view }: Pick<Member, 'view'>, { revision, findings }: Report): IpamReport {
  return {
    revision,
    findings: findings.map(({ networkId = '', kind, key, what, owner, mend, outcome }) => ({
      ...{ kind, key, what, owner, mend, outcome, networkId },
      networkName: view.network(networkId)?.name ?? '',
    })),
  };
}

export function endpointMessage(member: Member, record: EndpointRecord): Endpoint {
  const { view } = member;
  const network = view.network(record.networkId);
  const local = member.local.get(record.id);
  return {
    id: record.id,
    networkId: record.networkId,
    networkName: network?.name ?? '',
    nodeId: record.nodeId,
    nodeName: view.node(record.nodeId)?.name ?? '',
    name: record.name,
    aliases: [...record.aliases],
    addresses: record.addresses.map(({ subnet, ip }) => ({ subnet, address: ip })),
    address: firstAddress(record),
    prefix: parseCidr(record.addresses[0]!.subnet)?.prefix ?? 32,
    mac: record.mac,
    createdAtMs: record.createdAt,
    container: local?.container.text ?? '',
    tool: record.tool ?? (local ? attachmentOf(local).tool : ''),
    ifname: local?.ifname ?? '',
    gwPriority: local?.gwPriority ?? 0,
    driverOpts: { ...local?.options },
    ports: (record.ports ?? []).map(({ port, protocol, name = '' }) => ({ port, protocol, name })),
    labels: { ...record.labels },
    state: isThere(member.liveness(record.nodeId)) ? 'up' : 'hidden',
    health: record.health ?? '',
  };
}

export function nodeMessage({ record: node, state, self, endpoints, holdsStore, holdsCopy }: NodeStatus): Node {
  return {
    id: node.id,
    name: node.name,
    advertiseAddress: node.advertiseAddress,
    gossipPort: node.gossipPort,
    joinPort: node.joinPort,
    vtep: node.vtep,
    dataPathPort: node.dataPathPort,
    underlayMtu: node.underlayMtu,
    labels: { ...node.labels },
    joinedAtMs: node.joinedAt,
    state,
    self,
    endpoints,
    keyFingerprint: node.keyFingerprint,
    left: node.left,
    ...{ holdsStore, holdsCopy, etcdVersion: node.store?.version ?? '' },
    version: node.version ?? '',
    lowestLevel: levelsOf(node).from,
    highestLevel: levelsOf(node).to,
    wireguardBackend: node.wireguard?.backend ?? '',
    wireguardKeys: [...(node.wireguard?.keys ?? [])].map(({ publicKey, number, port }) => ({
      publicKey,
      number,
      port,
    })),
    tunnel: undefined,
  };
}

export function storeReportMessage({ members, ...report }: StoreReported): StoreReportMessage {
  return { ...report, members: members.map(({ alarms, ...member }) => ({ ...member, alarms: [...alarms] })) };
}

export function tokenMessage(token: TokenRecord, creator: string | undefined): Token {
  return {
    id: token.id,
    role: token.role,
    createdAtMs: token.createdAt,
    createdBy: creator ?? token.createdBy,
    expiresAtMs: token.expiresAt ?? 0,
    usesLeft: token.usesLeft ?? -1,
    node: token.node ?? '',
    uses: (token.uses ?? []).map(({ at, ...use }) => ({ ...use, atMs: at })),
  };
}

/** By the other node's id, in the order of names. */
export function tunnelsOf({ view, wireguard }: Pick<Member, 'view' | 'wireguard'>): ReadonlyMap<string, Tunnel> {
  const tunnels = wireguard.peers().map(
    (peer): Tunnel => ({
      ...peer,
      nodeName: view.node(peer.nodeId)?.name ?? peer.nodeId,
      endpoint: peer.endpoint ?? '',
      lastHandshakeMs: Math.round(peer.lastHandshakeMs ?? 0),
      relayedBy: peer.relayedBy ?? '',
      problem: peer.problem ?? '',
    }),
  );
  tunnels.sort((a, b) => (a.nodeName < b.nodeName ? -1 : 1));
  return new Map(tunnels.map((tunnel) => [tunnel.nodeId, tunnel]));
}

export function peerMessage(
  member: Member,
  node: NodeRecord,
  tunnel: Tunnel | undefined,
  paths: { readonly plain?: PathStatus | undefined; readonly encrypted?: PathStatus | undefined } = {},
): PeerStatus {
  const liveness = member.liveness(node.id);
  return {
    nodeId: node.id,
    name: node.name,
    address: formatHostPort(node.advertiseAddress, node.gossipPort),
    state: liveness === 'ready' ? 'alive' : liveness,
    // Whole numbers only pass: the clock of durations has fractions.
    heardMsAgo: Math.round(member.heardAgoMs(node.id) ?? -1),
    tunnel,
    path: paths.plain && pathMessage(paths.plain),
    encryptedPath: paths.encrypted && pathMessage(paths.encrypted),
  };
}

function pathMessage(path: PathStatus): DataPath {
  return { ...path, roundTripMs: Math.round(path.roundTripMs * 1_000) / 1_000, changedMs: path.changedAt };
}

function byNameThenAddress(a: EndpointRecord, b: EndpointRecord): number {
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return firstAddress(a) < firstAddress(b) ? -1 : 1;
}
