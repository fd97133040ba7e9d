/**
 * The kernel as overlayd speaks of it: what a host should have (`Desired`), what it has (`Observed`), the single
 * changes in between (`Op`). Both states have one shape, a namespace with its links, addresses, routes, neighbours, FDB
 * rows and filter, so that planning is set difference. The port that observes and applies is in `ports/kernel.ts`.
 * Addresses, CIDRs and MACs are canonical text; namespaces are named by {@link Place}.
 */

import type { ContainerRef, LocalEndpoint } from './container.ts';
import type { Setting } from './endpoint-options.ts';
import type { Exposure } from './expose.ts';
import type { Family } from './ip.ts';
import type { KeptStore } from './keepers.ts';
import type { NetworkSettings } from './network-options.ts';
import type { Filter, FilterSet } from './packet-filter.ts';
import type { DesiredPublication } from './publish.ts';
import type { FdbTable, NeighbourTable } from './row-table.ts';
import type { DesiredService } from './service.ts';
import type { TunnelEnd } from './underlay.ts';
import type { Subnet, Uplink } from './uplink.ts';

/** Marks routes as ours (`ip route … proto 79`). */
export const ROUTE_PROTOCOL = '79';
/** Destination of the default route, by family. */
export const DEFAULT = { 4: 'default', 6: '::/0' } as const;
/** Name of our nftables tables. */
export const TABLE = 'overlayd';
export const BRIDGE = 'br0';
export const LOOPBACK = 'lo';
export const TUNNEL = 'vx0';
/** The uplink's end inside the network's namespace; the host's end is `ovl<vni>`. */
export const UPLINK = 'up0';
/** Next hops of a network's default routes; they exist as permanent neighbours only. */
export const UPLINK_NEXT_HOP = { 4: '169.254.0.1', 6: 'fe80::1' } as const;
/** Next hop of the host's routes into an IPv6 subnet; of IPv4 it is the gateway. */
export const UPLINK_INSIDE = 'fe80::2';
/**
 * Where every network's responder answers besides its gateway, and the host's own for containers of other networks: an
 * engine is told one DNS server for all its containers, whatever networks they will be on. Link-local (RFC 3927), so no
 * router carries it and no network's subnet holds it; not an address of clouds' metadata services.
 */
export const SERVICE_ADDRESS = '169.254.53.53';
/**
 * Of one network on one host. Each has a port of the network's bridge, of which the kernel gives out 1,023 (`BR_MAX_PORTS` of
 * net/bridge/br_private.h, less number 0), and the tunnel has one.
 */
export const MOST_CONTAINERS = 1_022;

/** The host's namespace, a network's namespace by name (`ovl-4096`), or a container's by path (`/run/netns/c1`). */
export type Place = string;
export const HOST = '' satisfies Place;

// ---------------------------------------------------------------- desired

export interface Desired {
  readonly vtep: string;
  /** UDP port of this host's VXLAN devices. */
  readonly port: number;
  /** `isPartial`: there may be others, whose records cannot be read; what there is of them stays. */
  readonly members: readonly DesiredMember[];
  readonly isPartial: boolean;
  readonly control: ControlPlane;
  /** Every network that has an uplink into the host, whatever part of the networks is listed below. */
  readonly uplinks: readonly Uplink[];
  readonly networks: readonly DesiredNetwork[];
  /** Namespaces that are wanted, listed in `networks` or not. */
  readonly namespaces: ReadonlySet<string>;
  /** VNIs of the cluster's encrypted networks: what comes with one of them in clear is nobody's. */
  readonly encrypted: readonly number[];
  /**
   * In which this host has addresses. What a container sends beyond it in another one would be lost without a word: there is
   * no way for it out of the network, and its gateway says so.
   */
  readonly families: readonly Family[];
  /** {@link SERVICE_ADDRESS} is wanted in every network and on the host. */
  readonly serviceAddress: boolean;
  readonly published: readonly DesiredPublication[];
}

/** Another member, which is reached by its address: its tunnel end (`port`: UDP, of its VXLAN devices), and where its agent listens. */
export interface DesiredMember {
  readonly vtep: string;
  readonly port: number;
  readonly address: string;
  readonly joinPort: number;
  readonly gossipPort: number;
}

/** Where this host's agent listens, and the cluster's bundled etcd. */
export interface ControlPlane extends Pick<DesiredMember, 'address' | 'joinPort' | 'gossipPort'> {
  readonly store: KeptStore | undefined;
}

export interface DesiredNetwork extends Pick<NetworkSettings, 'betweenContainers' | 'gatewayModes' | 'multicastRate'> {
  readonly networkId: string;
  readonly vni: number;
  readonly namespace: string;
  readonly subnets: readonly Subnet[];
  readonly mtu: number;
  readonly internal: boolean;
  readonly ports: readonly DesiredPort[];
  /** Of this host itself. */
  readonly exposed: Exposure | undefined;
  readonly tunnel: TunnelEnd;
  /** What a container hands to its link in one piece at most, to be cut later; undefined: as much as the kernel lets it. */
  readonly gsoMaxBytes?: number | undefined;
  /** Of each other member that has endpoints of the network, and to which there is a path. */
  readonly remotes: readonly Remotes[];
  /** The same array as long as nothing of it changes. */
  readonly services: readonly DesiredService[];
  readonly isPartial: boolean;
}

/** A local endpoint as the kernel needs it. */
export interface DesiredPort {
  readonly endpoint: LocalEndpoint;
  /** Name of the veth end inside the network's namespace. */
  readonly link: string;
  readonly addresses: readonly Omit<Address, 'link'>[];
  readonly mac: string;
  /**
   * Next hops of the container's default routes, one of a family at most; none where that goes through another network, or
   * nowhere.
   */
  readonly defaultGateways: readonly string[];
  /** CIDRs of the network's other subnets, of the container's families: they are on the link as its own are. */
  readonly onLink: readonly string[];
}

/** Endpoints behind one tunnel end: as they are in the view, since of thousands nobody wants to make objects. */
export interface Remotes {
  readonly vtep: string;
  readonly port: number;
  readonly endpoints: readonly Pick<LocalEndpoint['record'], 'addresses' | 'mac'>[];
}

// ---------------------------------------------------------------- one namespace, wanted or seen

export interface NamespaceState {
  /** IPv4 forwarding. */
  readonly forwarding: boolean;
  /** IPv6 forwarding; false where there is no IPv6. */
  readonly forwarding6: boolean;
  /** Links of the host's that learn their routes from routers (RFC 4861) as long as the host does not forward IPv6. */
  readonly advertised?: readonly string[];
  readonly links: ReadonlyMap<string, Link>;
  readonly addresses: readonly Address[];
  readonly routes: readonly Route[];
  /** Permanent ones. Of a network there may be thousands: then they are a table. */
  readonly neighbours: NeighbourTable | readonly Neighbour[];
  readonly fdb: FdbTable | readonly FdbRow[];
  /** Our table; undefined when there is none. */
  readonly filter: Filter | undefined;
  /** Our table of services, of a network's namespace alone; undefined when there is none. */
  readonly services?: Filter | undefined;
}

export interface Link {
  readonly name: string;
  /** `bridge`, `vxlan`, `veth`, or whatever else has taken the name. */
  readonly kind: string;
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  /** It has IPv6, and believes no router that advertises itself. Undefined: it has not, or that is not asked of it. */
  readonly ipv6?: true | undefined;
  readonly master?: string | undefined;
  readonly vxlan?: Vxlan | undefined;
  /** Set on bridges. */
  readonly bridge?: BridgeFlags | undefined;
  /** Set on bridge ports. */
  readonly port?: PortFlags | undefined;
  /** Interface indexes of a veth's own end and of its peer: two ends belong together when they name each other. */
  readonly index?: number | undefined;
  readonly peerIndex?: number | undefined;
}

export interface Vxlan extends Pick<TunnelEnd, 'local' | 'port'> {
  readonly vni: number;
  /** Undefined: not in the host, nor in WireGuard's namespace as it is now, nor where the device is. */
  readonly socketAt: Place | undefined;
  readonly learning: boolean;
  /** ARP and neighbour solicitations are answered from the neighbour rows. */
  readonly proxy: boolean;
}

export interface BridgeFlags {
  /** A port waits 30 s until it forwards (IEEE 802.1D). */
  readonly stp: boolean;
  readonly multicastSnooping: boolean;
}

export interface PortFlags {
  readonly learning: boolean;
  readonly flood: boolean;
  readonly multicastFlood: boolean;
  readonly broadcastFlood: boolean;
  /** Drops frames whose source MAC has no static row on this port. */
  readonly locked: boolean;
  /** Frames may leave by the port by which they came. */
  readonly hairpin: boolean;
  /** Nothing passes between two ports that both are. */
  readonly isolated: boolean;
  /** The bridge answers ARP for those behind the port, by its own neighbours. */
  readonly neighbourSuppression: boolean;
}

export interface Address {
  readonly link: string;
  readonly address: string;
  readonly prefix: number;
  /** Of one that is seen: it is not in use, because somebody else has it, or that is still to be found out. */
  readonly unused?: true | undefined;
}

export interface Route {
  /** CIDR, an address by itself, or {@link DEFAULT}. */
  readonly destination: string;
  readonly gateway: string | undefined;
  readonly link: string;
  /** `79` is ours. */
  readonly protocol: string;
  /** Set on those alone that stand behind another one to the same destination; not told of those that are seen. */
  readonly metric?: number | undefined;
  /** What goes this way comes from that address of the host, where nobody chose another. */
  readonly source?: string | undefined;
}

export interface Neighbour {
  readonly link: string;
  readonly address: string;
  readonly mac: string;
}

/** A bridge row (no `vtep`: the port's own MAC) or a VXLAN row (the MAC lives behind that tunnel end). */
export interface FdbRow {
  readonly link: string;
  readonly mac: string;
  readonly vtep?: string | undefined;
  /** UDP port when it is not the device's own. */
  readonly port?: number | undefined;
}

// ---------------------------------------------------------------- observed

export interface Observed {
  /**
   * Names of the form `ovl-<number>` that there are, and whose id the namespace has, by which events name it; undefined
   * when not asked for. At a name without an id may be no namespace at all.
   */
  readonly namespaces: ReadonlyMap<string, 'ours' | 'none' | 'foreign'> | undefined;
  /** Only what is ours in it: uplinks with their rows, the service address; undefined when not asked for. */
  readonly host: NamespaceState | undefined;
  /** By namespace name, of those asked for that exist. */
  readonly networks: ReadonlyMap<string, NamespaceState>;
  /** By path, of those asked for. `gone`: that namespace instance does not exist any more. */
  readonly containers: ReadonlyMap<string, NamespaceState | 'gone'>;
  /** What could not be looked at and why: {@link HOST}, names of networks' namespaces, identities of containers. */
  readonly unseen?: ReadonlyMap<string, Error>;
}

/** What an observation looks at. */
export interface Scope {
  /** The host's namespace, and which `ovl-*` namespaces exist. */
  readonly host: boolean;
  /** Names of network namespaces. */
  readonly networks: readonly string[];
  /** Containers whose inside is looked at. One that is handed over to an engine never is. */
  readonly containers: readonly ContainerRef[];
  /** Containers whose inside is looked at only should their port be missing. */
  readonly ports: readonly { readonly namespace: string; readonly link: string; readonly container: ContainerRef }[];
}

// ---------------------------------------------------------------- change

export type Op =
  | { readonly kind: 'add-namespace'; readonly name: string; readonly id: number }
  | { readonly kind: 'delete-namespace'; readonly name: string }
  | ({ readonly kind: 'set-sysctl'; readonly at: Place } & Setting)
  /** The device is in `at`, its UDP socket where `vxlan` says, which is where it is made. */
  | {
      readonly kind: 'add-vxlan';
      readonly at: Place;
      readonly name: string;
      readonly mac: string;
      readonly mtu: number;
      readonly vxlan: Vxlan & Pick<TunnelEnd, 'socketAt'>;
    }
  | {
      readonly kind: 'add-bridge';
      readonly at: Place;
      readonly name: string;
      readonly mac: string;
      readonly mtu: number;
    }
  | { readonly kind: 'add-veth'; readonly at: Place; readonly mtu: number; readonly end: VethEnd; readonly peer: Peer }
  | { readonly kind: 'delete-link'; readonly at: Place; readonly name: string }
  | { readonly kind: 'set-link'; readonly at: Place; readonly name: string; readonly set: LinkChange }
  | { readonly kind: 'set-port'; readonly at: Place; readonly name: string; readonly flags: PortFlags }
  | { readonly kind: 'add-address'; readonly at: Place; readonly address: Address }
  | { readonly kind: 'delete-address'; readonly at: Place; readonly address: Address }
  | { readonly kind: 'set-route'; readonly at: Place; readonly route: Route }
  | { readonly kind: 'delete-route'; readonly at: Place; readonly route: Route }
  | { readonly kind: 'set-neighbour'; readonly at: Place; readonly neighbour: Neighbour }
  | { readonly kind: 'delete-neighbour'; readonly at: Place; readonly neighbour: Neighbour }
  | { readonly kind: 'set-fdb'; readonly at: Place; readonly row: FdbRow }
  | { readonly kind: 'delete-fdb'; readonly at: Place; readonly row: FdbRow }
  /** Sets, or deletes, each of the rows, as the ops for one do. */
  | { readonly kind: 'set-rows' | 'delete-rows'; readonly at: Place; readonly rows: NeighbourTable | FdbTable }
  /** Adds, or removes, the elements that `sets` list: a fraction of what replacing the loaded table costs. */
  | {
      readonly kind: 'add-elements' | 'remove-elements';
      readonly at: Place;
      readonly family: Filter['family'];
      readonly sets: readonly FilterSet[];
    }
  /** What connection tracking of the host knows of these addresses is forgotten; of a network's namespace, UDP's to them. */
  | {
      readonly kind: 'forget-flows';
      readonly at: Place;
      readonly addresses: readonly string[];
      /** Whether they are about to be used, or not any more: then it is done soon, and not waited for. */
      readonly owner: 'comes' | 'went';
    }
  /** Replaces the whole table in one transaction. `isFirst`: none was seen there, so that most likely none has to go. */
  | { readonly kind: 'set-filter'; readonly at: Place; readonly filter: Filter; readonly isFirst?: true | undefined }
  | { readonly kind: 'delete-filter'; readonly at: Place; readonly family: Filter['family'] };

export type VethEnd = Pick<Link, 'name' | 'mac'> & Pick<DesiredNetwork, 'gsoMaxBytes'>;

export type Peer = VethEnd & { readonly at: Place };

export interface LinkChange {
  readonly mac?: string;
  readonly mtu?: number;
  readonly master?: string;
  readonly bridge?: BridgeFlags;
  readonly up?: true;
  /** No link-local address is made by itself when the link comes up, or gets IPv6. */
  readonly noLinkLocal?: true;
  /** As of {@link Link}; the last of all but `up`. */
  readonly ipv6?: true;
}

export interface PlannedOp {
  readonly op: Op;
  readonly reason: 'create' | 'update' | 'remove';
  /** The namespace of the network it is for; undefined: the host. */
  readonly network: string | undefined;
  /** The endpoint it is for, when it is for one alone. */
  readonly endpointId: string | undefined;
}

/** Ops of a stage do not depend on each other across namespaces; within one they are in order. */
export interface Stage {
  /** When something fails here, what needs it is not begun in later stages. */
  readonly essential: boolean;
  readonly ops: readonly PlannedOp[];
}

export interface Plan {
  readonly stages: readonly Stage[];
  /** Endpoints whose port and container are both gone: nothing is planned for them, their owner releases them. */
  readonly gone: readonly LocalEndpoint[];
  /**
   * By namespace, of networks that were planned whole and something is to be done for: what is there when all of it is
   * done. Of links that are made no index is known.
   */
  readonly outcomes?: ReadonlyMap<string, NamespaceState>;
  /** The same of networks for which nothing is to be done: what was seen, as it is planned from most quickly. */
  readonly settled?: ReadonlyMap<string, NamespaceState>;
  /** For what these stand in the way of nothing could be planned. */
  readonly obstacles?: readonly Obstacle[];
}

/** Why something is not as it should be, and whose it is, as of {@link PlannedOp}. */
export interface Obstacle extends Pick<PlannedOp, 'network' | 'endpointId'> {
  readonly error: Error;
}

export interface OpFailure {
  readonly planned: PlannedOp;
  readonly error: Error;
}

export interface ApplyResult {
  /** Ops that were carried out; of those that set or delete many rows, rows. */
  readonly writes: number;
  /** Ops that were not, those that were never begun included. Of one of many rows each row that was not, as an op of its own. */
  readonly failures: readonly OpFailure[];
}
