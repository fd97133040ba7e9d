/**
 * What the kernel of this host should have, from the cluster's view and this host's own endpoints. Pure.
 * A network is wanted only where it has local endpoints; the endpoints of other members become its remotes. Where view
 * and local endpoints disagree about an address, the view (etcd) is right.
 */
import { canonical, formatCidr, parseCidr } from './cidr.ts';
import { type ClusterView, unknownMembers } from './cluster-view.ts';
import type { LocalEndpoint } from './container.ts';
import { electDefaultRoutes, NOWHERE, type Routed } from './default-routes.ts';
import { type Exposure, isOfHost } from './expose.ts';
import type { ControlPlane, Desired, DesiredMember, DesiredNetwork, DesiredPort, Remotes } from './host-state.ts';
import { innerMtus } from './inner-mtu.ts';
import { BITS, FAMILIES, type Family, familyOfAddress } from './ip.ts';
import { type BundledStore, keptStore } from './keepers.ts';
import { isEncrypted, networkSettings } from './network-options.ts';
import { namespaceOf, portLinkOf } from './plan/naming.ts';
import { type Publication, type Publishable, publicationsOf } from './publish.ts';
import { publishableAway } from './publish-away.ts';
import { type EndpointAddress, type EndpointRecord, type NetworkRecord, type NodeRecord, PREFIX } from './records.ts';
import { servicesOf } from './service.ts';
import { backendOf, gsoMaxBytesOf, pathTo, tunnelEndOf } from './underlay.ts';
import type { Subnet, Uplink } from './uplink.ts';

export interface DesiredInput {
  readonly view: ClusterView;
  readonly self: NodeRecord;
  readonly local: readonly LocalEndpoint[];
  readonly store?: BundledStore | undefined;
  /** The service address is wanted, on this host and in its networks. */
  readonly serviceAddress?: boolean;
  /** Ids of members that do not answer: nothing is sent to their endpoints by a service. */
  readonly hidden?: ReadonlySet<string> | undefined;
  /** By name. */
  readonly publications?: readonly Publication[] | undefined;
  /** False: `remotes` stay empty, for those who do not ask for them. */
  readonly remotes?: boolean;
}

/** With `only` (network ids), `networks` is limited to those; everything else still speaks of all. */
export function desired(input: DesiredInput, only?: ReadonlySet<string>): Desired {
  const { view, self, local, store, serviceAddress = false, remotes = true } = input;
  const { hidden = NOBODY, publications = [] } = input;
  const byNetwork = wantedEndpoints(view, local);
  const routed = electDefaultRoutes(byNetwork);
  const isPartial = unknownMembers(view).length > 0;
  const mtuOf = innerMtus(view);
  const uplinks: Uplink[] = [];
  const publishable: Publishable[] = [];
  const networks: DesiredNetwork[] = [];
  const namespaces = new Set<string>();
  for (const [network, { endpoints, addresses, exposed }] of byNetwork) {
    const base = {
      vni: network.vni,
      subnets: subnetsOf(network),
      mtu: mtuOf(network),
    };
    const namespace = namespaceOf(network.vni);
    namespaces.add(namespace);
    const settings = networkSettings(network);
    const { betweenContainers, gatewayModes, masquerade, multicastRate } = settings;
    const modeOf = (address: string) => gatewayModes[familyOfAddress(address)];
    const opened = [];
    for (const { engine, record } of endpoints) {
      if (!engine?.ports) continue;
      for (const { ip: address } of record.addresses)
        if (modeOf(address) === 'routed') opened.push(...engine.ports.map((port) => ({ ...port, address })));
    }
    const masqueraded = base.subnets
      .filter(({ gateway }) => masquerade && modeOf(gateway) === 'nat')
      .map(({ cidr }) => cidr);
    const ofHost = exposed?.addresses ?? [];
    if (network.internal && exposed)
      uplinks.push({ ...base, masqueraded: [], opened: [], exposed: ofHost, sealed: true });
    if (!network.internal) {
      uplinks.push({ ...base, masqueraded, opened, exposed: ofHost, sealed: false });
      if (exposed)
        publishable.push(...publishableAway({ view, network, exposed, publications, hidden, selfId: self.id }));
      for (const [nth, { record, published }] of endpoints.entries())
        if (published || publications.length > 0)
          publishable.push({ record, published, addresses: addresses[nth]!, routed: routed(endpoints[nth]!) });
    }
    if (only && !only.has(network.id)) continue;
    networks.push({
      ...base,
      networkId: network.id,
      namespace,
      internal: network.internal,
      ...{ betweenContainers, gatewayModes, multicastRate },
      ports: endpoints.map((endpoint, nth) =>
        portOf(endpoint, addresses[nth]!, base.subnets, network.internal ? NOWHERE : routed(endpoint)),
      ),
      exposed,
      tunnel: tunnelEndOf(backendOf(settings), self),
      gsoMaxBytes: gsoMaxBytesOf(backendOf(settings), self),
      remotes: remotes ? remotesOf(view, self, network) : [],
      services: servicesOf(view, network, hidden, self.id),
      isPartial: isPartial || lacksEndpoints(view),
    });
  }
  const { vtep, dataPathPort: port, advertiseAddress: address, joinPort, gossipPort } = self;
  const kept = store && keptStore(view, self.id, store);
  const control: ControlPlane = { address, joinPort, gossipPort, store: kept };
  const families: readonly Family[] = self.hasIpv6 === false ? [4] : [4, 6];
  return {
    ...{ vtep, port, members: membersOf(view, self), isPartial, control, uplinks, networks, namespaces },
    ...{ encrypted: encryptedOf(view), families, serviceAddress },
    published: publicationsOf(publishable, publications),
  };
}

/** Where members are reached by their addresses. One behind NAT is not, and comes from others than it knows of. */
function membersOf(view: ClusterView, self: NodeRecord): DesiredMember[] {
  const members: DesiredMember[] = [];
  for (const node of view.nodes()) {
    if (node.left || node.id === self.id || node.nat) continue;
    const { vtep, dataPathPort: port, advertiseAddress: address, joinPort, gossipPort } = node;
    members.push({ vtep, port, address, joinPort, gossipPort });
  }
  return members;
}

/** VNIs, whether this host has anything of them or not. */
function encryptedOf(view: ClusterView): number[] {
  const vnis: number[] = [];
  for (const network of view.networks()) if (isEncrypted(network)) vnis.push(network.vni);
  return vnis;
}

/** Containers' endpoints of a network, and of each which addresses are its own; and what the host itself has there. */
interface Wanted {
  readonly endpoints: LocalEndpoint[];
  readonly addresses: (readonly EndpointAddress[])[];
  exposed: Exposure | undefined;
}

/** Local endpoints by network: of networks that exist. */
function wantedEndpoints(view: ClusterView, local: readonly LocalEndpoint[]): ReadonlyMap<NetworkRecord, Wanted> {
  const byNetwork = new Map<NetworkRecord, Wanted>();
  for (const endpoint of local) {
    const network = view.network(endpoint.record.networkId);
    if (!network) continue;
    const addresses = ownAddresses(view, endpoint.record);
    if (addresses.length === 0) continue;
    let wanted = byNetwork.get(network);
    if (!wanted) {
      wanted = { endpoints: [], addresses: [], exposed: undefined };
      byNetwork.set(network, wanted);
    }
    if (isOfHost(endpoint)) {
      wanted.exposed = { mac: endpoint.record.mac, addresses: addresses.map(({ ip }) => ip) };
      continue;
    }
    wanted.endpoints.push(endpoint);
    wanted.addresses.push(addresses);
  }
  return byNetwork;
}

/** Those that etcd does not give to someone else. */
function ownAddresses(view: ClusterView, { addresses, id, networkId }: EndpointRecord): readonly EndpointAddress[] {
  const all = view.addresses(networkId);
  for (const { ip } of addresses) {
    const holder = all.get(ip);
    // Hardly ever.
    if (holder && holder.id !== id) return addresses.filter((each) => (all.get(each.ip)?.id ?? id) === id);
  }
  return addresses;
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
    readonly nat: boolean;
    readonly remotes: readonly Remotes[];
  }
>();

/** The same array as long as nothing changes in what it is made of: what is made of thousands of them need not be made again. */
function remotesOf(view: ClusterView, self: NodeRecord, network: NetworkRecord): readonly Remotes[] {
  const moment = view.momentOfOthers(network.id);
  const all = view.addresses(network.id);
  const last = remotesMade.get(all);
  const made = { network, moment, selfId: self.id, nat: self.nat === true };
  const isSame =
    last?.network === network && last.moment === moment && last.selfId === made.selfId && last.nat === made.nat;
  if (isSame) return last.remotes;
  const { remotes, isWhole } = makeRemotes(view, self, network);
  remotesMade.set(all, { ...made, remotes });
  if (isWhole) wholeAt.set(remotes, moment);
  return remotes;
}

const wholeAt = new WeakMap<readonly Remotes[], number>();

/**
 * The moment (`ClusterView.momentOfOthers`) at which these were all endpoints of other members, with all of their addresses;
 * undefined: they never were.
 */
export function momentOfWhole(remotes: readonly Remotes[]): number | undefined {
  return wholeAt.get(remotes);
}

/** `isWhole`: each endpoint of another member can be reached, at each of its addresses. */
function makeRemotes(
  view: ClusterView,
  self: NodeRecord,
  network: NetworkRecord,
): { readonly remotes: readonly Remotes[]; readonly isWhole: boolean } {
  const { id: networkId } = network;
  const backend = backendOf(networkSettings(network));
  /** By node id; undefined: not to be reached. */
  const byNode = new Map<string, Remotes['endpoints'][number][] | undefined>([[self.id, undefined]]);
  const remotes: Remotes[] = [];
  let isWhole = true;
  const all = view.addresses(networkId);
  // Thousands are one member's, one after the other.
  let last = '';
  let endpoints: Remotes['endpoints'][number][] | undefined;
  for (const endpoint of view.endpointsOn(networkId)) {
    const { nodeId, mac, addresses } = endpoint;
    if (nodeId !== last) {
      if (!byNode.has(nodeId)) {
        const node = view.node(nodeId);
        const path = node && !node.left ? pathTo(backend, self, node) : undefined;
        if (path === undefined) isWhole = false;
        const ofNode = path && [];
        byNode.set(nodeId, ofNode);
        if (ofNode) remotes.push({ vtep: path.remote, port: path.port, endpoints: ofNode });
      }
      last = nodeId;
      endpoints = byNode.get(nodeId);
    }
    if (!endpoints) continue;
    const here = addresses.length === 1 ? addresses : addresses.filter(({ ip }) => all.get(ip) === endpoint);
    if (here.length < addresses.length) isWhole = false;
    endpoints.push(here.length === addresses.length ? endpoint : { mac, addresses: here });
  }
  return { remotes, isWhole };
}

const NOBODY: ReadonlySet<string> = new Set();

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

/** Equal for two desired states that want the same of the host's own namespace. */
export function hostKeyOf(wanted: Desired, provesAbsence: boolean): string {
  const { vtep, port, members, isPartial, control, uplinks, namespaces, encrypted, serviceAddress, published } = wanted;
  return JSON.stringify([
    vtep,
    port,
    members,
    isPartial,
    control,
    uplinks,
    [...namespaces],
    encrypted,
    serviceAddress,
    published,
    provesAbsence,
  ]);
}
