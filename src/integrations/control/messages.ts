/** Records as the control protocol shows them. */
import type { Member } from '../../agent/member.ts';
import { innerMtu } from '../../core/desired.ts';
import { parseCidr } from '../../core/ip.ts';
import { countAddresses } from '../../core/ipam/address.ts';
import type { EndpointRecord, NetworkRecord, NodeRecord } from '../../core/records.ts';
import type { Endpoint, Network, Node, PeerStatus } from '../../gen/overlayd/v1/control.ts';

export function networkMessage(member: Member, network: NetworkRecord, options: { withEndpoints: boolean }): Network {
  const endpoints = [...member.view.endpoints(network.id).values()].sort(byNameThenAddress);
  const { view } = member;
  return {
    id: network.id,
    name: network.name,
    vni: network.vni,
    mtu: innerMtu(view, network),
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
    endpoints: options.withEndpoints ? endpoints.map((record) => endpointMessage(member, record)) : [],
    endpointCount: endpoints.length,
    addresses: countAddresses(member.claims.space(network)),
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
    address: record.address,
    prefix: parseCidr(network?.subnets[0]?.cidr ?? '')?.prefix ?? 32,
    mac: record.mac,
    createdAtMs: record.createdAt,
    container: local?.container.text ?? '',
    ifname: local?.ifname ?? '',
    state: member.liveness(record.nodeId) === 'ready' ? 'up' : 'hidden',
  };
}

export function nodeMessage(member: Member, node: NodeRecord): Node {
  let endpoints = 0;
  for (const network of member.view.networks()) {
    for (const endpoint of member.view.endpoints(network.id).values()) if (endpoint.nodeId === node.id) endpoints += 1;
  }
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
    state: node.left ? 'down' : member.liveness(node.id),
    self: node.id === member.self.id,
    endpoints,
    keyFingerprint: node.keyFingerprint,
    left: node.left,
  };
}

export function peerMessage(member: Member, node: NodeRecord): PeerStatus {
  const liveness = member.liveness(node.id);
  return {
    nodeId: node.id,
    name: node.name,
    address: `${node.advertiseAddress}:${node.gossipPort}`,
    state: liveness === 'ready' ? 'alive' : liveness,
    heardMsAgo: member.heardAgoMs(node.id) ?? -1,
  };
}

function byNameThenAddress(a: EndpointRecord, b: EndpointRecord): number {
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return a.address < b.address ? -1 : 1;
}
