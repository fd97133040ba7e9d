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
import { BITS, FAMILIES, type Family, familyOfAddress } from './ip.ts';
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
  const routed = electDefaultRoutes(byNetwork);
  const isPartial = unknownMembers(view).length > 0;
  const uplinks = [];
  const networks: DesiredNetwork[] = [];
  const namespaces = new Set<string>();
  for (const [network, endpoints] of byNetwork) {
    const base = {
      vni: network.vni,
      subnets: subnetsOf(network),
      mtu: innerMtu(view, network),
    };
    const namespace = namespaceOf(network.vni);
    namespaces.add(namespace);
    const { betweenContainers, gatewayModes, masquerade, multicastRate } = networkSettings(network);
    const modeOf = (address: string) => gatewayModes[familyOfAddress(address)];
    const opened = endpoints.flatMap(({ engine, record: { addresses } }) =>
      engine?.ports
        ? addresses
            .filter(({ ip }) => modeOf(ip) === 'routed')
            .flatMap(({ ip: address }) => engine.ports!.map((port) => ({ ...port, address })))
        : [],
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
      ...{ betweenContainers, gatewayModes, multicastRate },
      ports: endpoints.map((endpoint) =>
        portOf(endpoint, ownAddresses(view, endpoint.record), base.subnets, routed.get(endpoint) ?? NOWHERE),
      ),
      remotes: remotes ? remotesOf(view, self, network) : [],
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
  const families: readonly Family[] = self.hasIpv6 === false ? [4] : [4, 6];
  return { vtep, port, members, isPartial, control, uplinks, networks, namespaces, families, serviceAddress };
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
  const isOwn = ({ ip }: EndpointAddress) => (all.get(ip)?.id ?? id) === id;
  return addresses.every(isOwn) ? addresses : addresses.filter(isOwn);
}

/**
 * What was made last, and of what, by who is at which address of the network. Of a network that is not wanted any more the
 * view lets go of that, and all that was made of it goes, too.
 */
const remotesMade = new WeakMap<
  ReturnType<ClusterView['addresses']>,
  {
    readonly network: NetworkRecord;
    readonly moment: number;
    readonly selfId: string;
    readonly remotes: readonly Remotes[];
  }
>();

/** The same array as long as nothing changes in what it is made of: what is made of thousands of them need not be made again. */
function remotesOf(view: ClusterView, self: NodeRecord, network: NetworkRecord): readonly Remotes[] {
  const moment = view.moment(network.id);
  const all = view.addresses(network.id);
  const last = remotesMade.get(all);
  if (last?.network === network && last.moment === moment && last.selfId === self.id) return last.remotes;
  const remotes = makeRemotes(view, self, network.id);
  remotesMade.set(all, { network, moment, selfId: self.id, remotes });
  return remotes;
}

function makeRemotes(view: ClusterView, self: NodeRecord, networkId: string): readonly Remotes[] {
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
    const endpoints = byNode.get(nodeId);
    if (!endpoints) continue;
    const here = addresses.length === 1 ? addresses : addresses.filter(({ ip }) => all.get(ip) === endpoint);
    endpoints.push(here.length === addresses.length ? endpoint : { mac, addresses: here });
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

/** By record, which is never changed, only replaced. */
const subnetsMade = new WeakMap<NetworkRecord, readonly Subnet[]>();

function subnetsOf(network: NetworkRecord): readonly Subnet[] {
  const made = subnetsMade.get(network);
  if (made) return made;
  const subnets = network.subnets.flatMap(({ cidr: text, gateway }): Subnet[] => {
    const cidr = parseCidr(text);
    return cidr ? [{ cidr: formatCidr(canonical(cidr)), gateway, prefix: cidr.prefix }] : [];
  });
  subnetsMade.set(network, subnets);
  return subnets;
}

/** Families in which a container's default route goes through an endpoint. */
type Routed = Readonly<Record<Family, boolean>>;

const NOWHERE: Routed = { 4: false, 6: false };

/** A port, and all that it was made of. */
interface MadePort {
  readonly port: DesiredPort;
  readonly addresses: readonly EndpointAddress[];
  readonly subnets: readonly Subnet[];
  readonly routed: Routed;
}

/** Of a thousand ports hardly ever one is another than the last time. An endpoint is never changed, only replaced. */
const portsMade = new WeakMap<LocalEndpoint, MadePort>();

function portOf(
  endpoint: LocalEndpoint,
  addresses: readonly EndpointAddress[],
  subnets: readonly Subnet[],
  routed: Routed,
): DesiredPort {
  const made = portsMade.get(endpoint);
  const isSame = made?.addresses === addresses && made.subnets === subnets && sameWays(made.routed, routed);
  if (isSame) return made.port;
  const port = makePort(endpoint, addresses, subnets, routed);
  portsMade.set(endpoint, { port, addresses, subnets, routed });
  return port;
}

function sameWays(a: Routed, b: Routed): boolean {
  return a[4] === b[4] && a[6] === b[6];
}

function makePort(
  endpoint: LocalEndpoint,
  held: readonly EndpointAddress[],
  subnets: readonly Subnet[],
  routed: Routed,
): DesiredPort {
  const { record } = endpoint;
  const addresses = held.map(({ ip, subnet: cidr }) => {
    const subnet = subnets.find((each) => each.cidr === cidr);
    return { ip, family: familyOfAddress(ip), subnet };
  });
  const families = new Set(addresses.map(({ family }) => family));
  const own = new Set(addresses.map(({ subnet }) => subnet));
  const gatewayOf = (family: Family) => addresses.find((each) => each.family === family)?.subnet?.gateway ?? [];
  return {
    endpoint,
    link: portLinkOf(record.id),
    addresses: addresses.map(({ ip, family, subnet }) => ({ address: ip, prefix: subnet?.prefix ?? BITS[family] })),
    mac: record.mac,
    defaultGateways: FAMILIES.filter((family) => routed[family]).flatMap(gatewayOf),
    onLink: subnets
      .filter((each) => !own.has(each) && families.has(familyOfAddress(each.gateway)))
      .map(({ cidr }) => cidr),
  };
}

interface Candidate {
  readonly endpoint: LocalEndpoint;
  readonly network: NetworkRecord;
}

/** One endpoint per container and family carries its default route: highest priority, then first by network name. */
function electDefaultRoutes(
  byNetwork: ReadonlyMap<NetworkRecord, readonly LocalEndpoint[]>,
): ReadonlyMap<LocalEndpoint, Routed> {
  const elected = { 4: new Map<string, Candidate>(), 6: new Map<string, Candidate>() };
  for (const [network, endpoints] of byNetwork) {
    if (network.internal) continue;
    for (const endpoint of endpoints) {
      const { container, record } = endpoint;
      for (const family of FAMILIES) {
        if (!record.addresses.some(({ ip }) => familyOfAddress(ip) === family)) continue;
        const candidate = { endpoint, network };
        const holder = elected[family].get(container.identity);
        if (!holder || precedes(candidate, holder)) elected[family].set(container.identity, candidate);
      }
    }
  }
  const routed = new Map<LocalEndpoint, Routed>();
  for (const { endpoint } of elected[4].values()) routed.set(endpoint, IPV4_ALONE);
  for (const { endpoint } of elected[6].values()) routed.set(endpoint, routed.has(endpoint) ? BOTH : IPV6_ALONE);
  return routed;
}

const IPV4_ALONE: Routed = { 4: true, 6: false };
const IPV6_ALONE: Routed = { 4: false, 6: true };
const BOTH: Routed = { 4: true, 6: true };

function precedes(a: Candidate, b: Candidate): boolean {
  const [first, second] = [a, b].map(({ endpoint }) => endpoint.gwPriority ?? 0) as [number, number];
  if (first !== second) return first > second;
  if (a.network.name !== b.network.name) return a.network.name < b.network.name;
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
