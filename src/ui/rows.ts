/** Records and status as the page's rows. Pure. */
import type { ClusterView } from '../core/cluster-view.ts';
import { innerMtu } from '../core/inner-mtu.ts';
import { addressCounts } from '../core/ipam/address-counts.ts';
import { isEncrypted } from '../core/network-options.ts';
import type {
  ControlState,
  EndpointRow,
  HostRow,
  NetworkRow,
  Overview,
  PathRow,
  PathState,
  SubnetRow,
} from '../core/page/contract.ts';
import type { EndpointRecord, NetworkRecord, NodeRecord, SubnetSpec } from '../core/records.ts';
import type { PeerStatus, Status } from '../gen/overlayd/v1/control.ts';

/** Long ones are random text, which nothing compresses: half of it tells them apart as well. */
export function shortId(id: string): string {
  return id.slice(0, 16);
}

export function hostRow(view: ClusterView, node: NodeRecord, selfId: string): HostRow {
  const isCopy = view.keepersRecord()?.learners?.includes(node.id) ?? false;
  return {
    ...{ id: shortId(node.id), name: node.name, address: node.advertiseAddress, labels: node.labels },
    ...{ self: node.id === selfId, left: node.left, version: node.version ?? '', nat: node.nat ?? false },
    ...{ mtu: node.underlayMtu, joinedAt: node.joinedAt },
    store: view.keepers()?.includes(node.id) || node.holdsStore ? 'keeper' : isCopy ? 'copy' : '',
  };
}

const CONTROL: Readonly<Record<string, ControlState>> = {
  alive: 'ready',
  restarting: 'restarting',
  suspect: 'suspect',
};
const PATHS: readonly string[] = ['passes', 'loses', 'lost'] satisfies PathState[];

export function pathRow({ nodeId, state, path, tunnel }: PeerStatus): PathRow {
  return {
    id: shortId(nodeId),
    control: CONTROL[state] ?? 'down',
    path: PATHS.includes(path?.state ?? '') ? (path!.state as PathState) : 'unknown',
    lossPercent: path?.lossPercent ?? 0,
    roundTripMs: roughly(path?.roundTripMs ?? 0),
    mtu: path?.mtu ?? 0,
    changedAt: path?.changedMs ?? 0,
    ...(tunnel && { tunnel: tunnel.problem }),
  };
}

/** To two digits: what follows is another one each time. */
function roughly(value: number): number {
  return value === 0 ? 0 : Number(value.toPrecision(2));
}

export function networkRow(view: ClusterView, network: NetworkRecord): NetworkRow {
  const { id, name, vni, internal, labels, options, createdAt, state } = network;
  const fixed = (view.staticNames(id)?.sets ?? []).map((set) => `${set.name} ${set.type} ${set.values.join(', ')}`);
  const services = (view.services(id)?.services ?? []).map(
    (service) => `${service.name} ${service.addresses.map(({ ip }) => ip).join(', ')} (service)`,
  );
  return {
    ...{ id: shortId(id), name, vni, internal, labels, options, createdAt, deleting: state === 'deleting' },
    encrypted: isEncrypted(network),
    mtu: innerMtu(view, network),
    subnets: network.subnets.map((subnet) => subnetRow(view, network, subnet)),
    names: [...fixed, ...services],
  };
}

function subnetRow(view: ClusterView, { id }: NetworkRecord, subnet: SubnetSpec): SubnetRow {
  const { cidr, gateway, ipRange: range = '' } = subnet;
  return { cidr, gateway, range, ...addressCounts(view, id, [subnet]) };
}

export function endpointRow(record: EndpointRecord): EndpointRow {
  return {
    ...{ id: shortId(record.id), network: shortId(record.networkId), host: shortId(record.nodeId) },
    ...{ name: record.name, aliases: record.aliases, mac: record.mac, tool: record.tool ?? '' },
    addresses: record.addresses.map(({ ip }) => ip),
    unhealthy: record.health === 'unhealthy',
    ports: (record.ports ?? []).map(({ port, protocol, name = '' }) => `${port}/${protocol} ${name}`.trim()),
  };
}

export function overviewOf(status: Status, writable: boolean): Overview {
  const { store } = status;
  return {
    ...{ cluster: status.clusterId, host: status.self?.name ?? '', version: status.version, state: status.state },
    ...{ away: '', writable, level: status.level, encryption: status.encryption },
    storeReachable: store?.reachable ?? false,
    keepers: store?.keepers ?? [],
    keepersWanted: store?.wanted ?? 0,
    repairs: status.reconcile?.repairs ?? 0,
    findings: status.findings.map(({ code, subject, text, mend, sinceMs: since }) => ({
      ...{ code, subject, text, mend, since },
    })),
  };
}

/** Before the agent has said anything. */
export function unknownOverview(writable: boolean, away: string): Overview {
  return {
    ...{ cluster: '', host: '', version: '', state: 'starting', away, writable, level: 0, encryption: '' },
    ...{ storeReachable: false, keepers: [], keepersWanted: 0, repairs: 0, findings: [] },
  };
}
