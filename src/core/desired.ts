/**
 * What the kernel of this host should have, from the cluster's view and this host's own endpoints. Pure.
 * A network is wanted only where it has local endpoints; the endpoints of other members become its remotes. Where view
 * and local endpoints disagree about an address, the view (etcd) is right.
 */
import { canonical, formatCidr, parseCidr } from './cidr.ts';
import { type ClusterView, unknownMembers } from './cluster-view.ts';
import type { LocalEndpoint } from './container.ts';
import type {
  BundledStore,
  ControlPlane,
  Desired,
  DesiredMember,
  DesiredNetwork,
  DesiredPort,
  Remotes,
  Subnet,
} from './host-state.ts';
import { innerMtu } from './inner-mtu.ts';
import { BITS, type Family, familyOf } from './ip.ts';
import { networkSettings } from './network-options.ts';
import { namespaceOf, portLinkOf } from './plan/naming.ts';
import { type EndpointAddress, type EndpointRecord, type NetworkRecord, type NodeRecord, PREFIX } from './records.ts';

export interface DesiredInput {
  readonly view: ClusterView;
  readonly self: NodeRecord;
  readonly local: readonly LocalEndpoint[];
  readonly store?: BundledStore | undefined;
  /** The service address is wanted, on this host and in its networks. */
  readonly serviceAddress?: boolean;
  /** False: `remotes` stay empty, for those who do not ask for them. */
  readonly remotes?: boolean;
}

/** With `only` (network ids), `networks` is limited to those; everything else still speaks of all. */
export function desired(input: DesiredInput, only?: ReadonlySet<string>): Desired {
  const { view, self, local, store, serviceAddress = false, remotes = true } = input;
  const byNetwork = wantedEndpoints(view, local);
  const routed = electDefaultRoutes([...byNetwork].flatMap(([network, endpoints]) => candidates(network, endpoints)));
  const isPartial = unknownMembers(view).length > 0;
  const uplinks = [];
  const networks: DesiredNetwork[] = [];
  const namespaces = new Set<string>();
  for (const [network, endpoints] of byNetwork) {
    const base = {
      vni: network.vni,
      subnets: network.subnets.flatMap((subnet) => subnetOf(subnet.cidr, subnet.gateway)),
      mtu: innerMtu(view, network),
    };
    const namespace = namespaceOf(network.vni);
    namespaces.add(namespace);
    const { betweenContainers, gatewayModes, masquerade } = networkSettings(network);
    const modeOf = (address: string) => gatewayModes[familyOf(address) ?? 4];
    const opened = endpoints.flatMap(({ engine, record: { addresses } }) =>
      addresses
        .filter(({ ip }) => modeOf(ip) === 'routed')
        .flatMap(({ ip: address }) => (engine?.ports ?? []).map((port) => ({ ...port, address }))),
    );
    const masqueraded = base.subnets
      .filter(({ gateway }) => masquerade && modeOf(gateway) === 'nat')
      .map(({ cidr }) => cidr);
    if (!network.internal) uplinks.push({ ...base, masqueraded, opened });
    if (only && !only.has(network.id)) continue;
    networks.push({
      ...base,
      networkId: network.id,
      namespace,
      internal: network.internal,
      ...{ betweenContainers, gatewayModes },
      ports: endpoints.map((endpoint) => portOf(view, endpoint, base.subnets, routed.get(endpoint))),
      remotes: remotes ? remotesOf(view, self, network.id) : [],
      isPartial: isPartial || lacksEndpoints(view),
    });
  }
  const members: DesiredMember[] = [];
  for (const node of view.nodes()) {
    if (node.left || node.id === self.id) continue;
    const { vtep, dataPathPort: port, advertiseAddress: address, joinPort, gossipPort } = node;
    members.push({ vtep, port, address, joinPort, gossipPort });
  }
  const { vtep, dataPathPort: port, advertiseAddress: address, joinPort, gossipPort } = self;
  const control: ControlPlane = { address, joinPort, gossipPort, store };
  return { vtep, port, members, isPartial, control, uplinks, networks, namespaces, serviceAddress };
}

/** Local endpoints by network: of networks that exist. */
function wantedEndpoints(view: ClusterView, local: readonly LocalEndpoint[]): Map<NetworkRecord, LocalEndpoint[]> {
  const byNetwork = new Map<NetworkRecord, LocalEndpoint[]>();
  for (const endpoint of local) {
    const network = view.network(endpoint.record.networkId);
    if (!network || ownAddresses(view, endpoint.record).length === 0) continue;
    const list = byNetwork.get(network);
    if (list) list.push(endpoint);
    else byNetwork.set(network, [endpoint]);
  }
  return byNetwork;
}

/** Those that etcd does not give to someone else. */
function ownAddresses(view: ClusterView, { addresses, id, networkId }: EndpointRecord): readonly EndpointAddress[] {
  const all = view.addresses(networkId);
  return addresses.filter(({ ip }) => (all.get(ip)?.id ?? id) === id);
}

function remotesOf(view: ClusterView, self: NodeRecord, networkId: string): Remotes[] {
  /** By node id; undefined: not to be reached. */
  const byNode = new Map<string, Remotes['endpoints'][number][] | undefined>([[self.id, undefined]]);
  const remotes: Remotes[] = [];
  const all = view.addresses(networkId);
  for (const endpoint of view.endpointsOn(networkId)) {
    const { nodeId, mac, addresses } = endpoint;
    if (!byNode.has(nodeId)) {
      const node = view.node(nodeId);
      const endpoints = node && !node.left ? [] : undefined;
      byNode.set(nodeId, endpoints);
      if (endpoints) remotes.push({ vtep: node!.vtep, port: node!.dataPathPort, endpoints });
    }
    const here = addresses.length === 1 ? addresses : addresses.filter(({ ip }) => all.get(ip) === endpoint);
    byNode.get(nodeId)?.push(here.length === addresses.length ? endpoint : { mac, addresses: here });
  }
  return remotes;
}

/** Whether etcd holds an endpoint that cannot be read and was not known before; of which network is not known. */
function lacksEndpoints(view: ClusterView): boolean {
  return [...view.unreadable.keys()].some((key) => {
    const [kind, nodeId = '', id = ''] = key.slice(PREFIX.length).split('/');
    return kind === 'endpoints' && view.endpoint({ nodeId, id }) === undefined;
  });
}

function subnetOf(text: string, gateway: string): Subnet[] {
  const cidr = parseCidr(text);
  return cidr ? [{ cidr: formatCidr(canonical(cidr)), gateway, prefix: cidr.prefix }] : [];
}

function portOf(
  view: ClusterView,
  endpoint: LocalEndpoint,
  subnets: readonly Subnet[],
  routed: ReadonlySet<Family> = NO_FAMILIES,
): DesiredPort {
  const { record } = endpoint;
  const addresses = ownAddresses(view, record).map(({ ip, subnet: cidr }) => {
    const subnet = subnets.find((each) => each.cidr === cidr);
    return { ip, family: familyOf(ip) ?? 4, subnet };
  });
  const families = new Set(addresses.map(({ family }) => family));
  const own = new Set(addresses.map(({ subnet }) => subnet));
  const gatewayOf = (family: Family) => addresses.find((each) => each.family === family)?.subnet?.gateway ?? [];
  return {
    endpoint,
    link: portLinkOf(record.id),
    addresses: addresses.map(({ ip, family, subnet }) => ({ address: ip, prefix: subnet?.prefix ?? BITS[family] })),
    mac: record.mac,
    defaultGateways: [...routed].flatMap(gatewayOf),
    onLink: subnets
      .filter((each) => !own.has(each) && families.has(familyOf(each.gateway) ?? 4))
      .map(({ cidr }) => cidr),
  };
}

const NO_FAMILIES: ReadonlySet<Family> = new Set();

interface Candidate {
  readonly endpoint: LocalEndpoint;
  readonly family: Family;
  readonly networkName: string;
  /** The higher one wins. */
  readonly priority: number;
}

function candidates(network: NetworkRecord, endpoints: readonly LocalEndpoint[]): Candidate[] {
  if (network.internal) return [];
  return endpoints.flatMap((endpoint) => {
    const families = new Set(endpoint.record.addresses.map(({ ip }) => familyOf(ip) ?? 4));
    const priority = endpoint.gwPriority ?? 0;
    return [...families].map((family) => ({ endpoint, family, networkName: network.name, priority }));
  });
}

/** One endpoint per container and family carries its default route: highest priority, then first by network name. */
function electDefaultRoutes(all: readonly Candidate[]): Map<LocalEndpoint, Set<Family>> {
  const elected = new Map<string, Candidate>();
  for (const candidate of all) {
    const key = `${candidate.family} ${candidate.endpoint.container.identity}`;
    const holder = elected.get(key);
    if (!holder || precedes(candidate, holder)) elected.set(key, candidate);
  }
  const families = new Map<LocalEndpoint, Set<Family>>();
  for (const { endpoint, family } of elected.values())
    families.set(endpoint, (families.get(endpoint) ?? new Set()).add(family));
  return families;
}

function precedes(a: Candidate, b: Candidate): boolean {
  if (a.priority !== b.priority) return a.priority > b.priority;
  if (a.networkName !== b.networkName) return a.networkName < b.networkName;
  return a.endpoint.ifname < b.endpoint.ifname;
}

/** Equal for two desired states that want the same of the host's own namespace. */
export function hostKeyOf(wanted: Desired, provesAbsence: boolean): string {
  const { vtep, port, members, isPartial, control, uplinks, namespaces, serviceAddress } = wanted;
  return JSON.stringify([
    vtep,
    port,
    members,
    isPartial,
    control,
    uplinks,
    [...namespaces],
    serviceAddress,
    provesAbsence,
  ]);
}
