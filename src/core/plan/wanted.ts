/** Desired networks as the states of namespaces: what a namespace, the host and a container should hold for them. */
import {
  type Address,
  BRIDGE,
  type BridgeFlags,
  type DesiredNetwork,
  type DesiredPort,
  type Link,
  type NamespaceState,
  type Neighbour,
  type Op,
  type Place,
  type PortFlags,
  ROUTE_PROTOCOL,
  type Route,
  SERVICE_ADDRESS,
  TUNNEL,
  UPLINK,
  UPLINK_INSIDE,
} from '../host-state.ts';
import { BITS, familyOfAddress, isIpv4, linkLocalOf } from '../ip.ts';
import { hasFamily } from '../subnets.ts';
import type { Uplink } from '../uplink.ts';
import { gatewayMac, portMac, tunnelMac, uplinkMacs, uplinkOf } from './naming.ts';

/** Nothing of ours can be a loop. Where multicast goes to ports it goes to all: nobody would ask for memberships (RFC 4541). */
const NO_LOOPS: BridgeFlags = { stp: false, multicastSnooping: false };
/** Of no port of ours. */
const NEITHER = { hairpin: false, isolated: false, neighbourSuppression: false } as const;
/** What reaches a container's port is addressed to it; what comes from there has a source with a row. */
const CONTAINER_PORT: PortFlags = {
  ...NEITHER,
  learning: false,
  flood: false,
  multicastFlood: false,
  broadcastFlood: false,
  locked: true,
};
/** The only port that floods reach: a MAC without a row ends there, ARP is answered there. */
const TUNNEL_PORT: PortFlags = {
  ...NEITHER,
  learning: false,
  flood: true,
  multicastFlood: true,
  broadcastFlood: true,
  locked: false,
};
/**
 * Where what is for a group or for everybody reaches other hosts. The tunnel would send a MAC without a row to all of them,
 * too: so the bridge has a row for each MAC behind it, and gives it no other.
 */
const MULTICAST = {
  container: { ...CONTAINER_PORT, multicastFlood: true, broadcastFlood: true },
  tunnel: { ...TUNNEL_PORT, flood: false },
} as const;

export function isMulticast({ multicastRate }: Pick<DesiredNetwork, 'multicastRate'>): boolean {
  return multicastRate !== undefined;
}

/** What a link has besides, where the network has IPv6. */
function ipv6Of(network: Pick<DesiredNetwork, 'subnets'>): Pick<Link, 'ipv6'> {
  return hasFamily(network, 6) ? { ipv6: true } : {};
}

export function bridgeLink(network: DesiredNetwork): Link {
  return {
    name: BRIDGE,
    kind: 'bridge',
    mac: gatewayMac(network),
    mtu: network.mtu,
    up: true,
    bridge: NO_LOOPS,
    ...ipv6Of(network),
  };
}

export function tunnelLink(network: DesiredNetwork): Link {
  return {
    name: TUNNEL,
    kind: 'vxlan',
    mac: tunnelMac(network.vni),
    mtu: network.mtu,
    up: true,
    ...ipv6Of(network),
    master: BRIDGE,
    vxlan: { vni: network.vni, ...network.tunnel, learning: false, proxy: true },
    port: isMulticast(network) ? MULTICAST.tunnel : TUNNEL_PORT,
  };
}

/** Whether the host is to have a way into it: for what its containers send out, or for itself. */
export function hasUplink({ internal, exposed }: Pick<DesiredNetwork, 'internal' | 'exposed'>): boolean {
  return !internal || exposed !== undefined;
}

export function uplinkInside(network: DesiredNetwork): Link {
  const { inside } = uplinkMacs(network.vni);
  return { name: UPLINK, kind: 'veth', mac: inside, mtu: network.mtu, up: true, ...ipv6Of(network) };
}

export function uplinkInHost(uplink: Uplink): Link {
  const { host } = uplinkMacs(uplink.vni);
  return { name: uplinkOf(uplink.vni), kind: 'veth', mac: host, mtu: uplink.mtu, up: true, ...ipv6Of(uplink) };
}

/** By port, which is never changed. */
const portLinks = new WeakMap<DesiredPort, Link>();

export function portLink(port: DesiredPort, network: DesiredNetwork): Link {
  const made = portLinks.get(port);
  const flags = isMulticast(network) ? MULTICAST.container : CONTAINER_PORT;
  if (made?.mtu === network.mtu && made.port === flags) return made;
  const link: Link = {
    name: port.link,
    kind: 'veth',
    mac: portMac(port.endpoint.record.id),
    mtu: network.mtu,
    up: true,
    master: BRIDGE,
    port: flags,
  };
  portLinks.set(port, link);
  return link;
}

export function containerLink(port: DesiredPort, network: DesiredNetwork): Link {
  const ipv6 = port.addresses.some(({ address }) => !isIpv4(address)) ? { ipv6: true as const } : {};
  return { name: port.endpoint.ifname, kind: 'veth', mac: port.mac, mtu: network.mtu, up: true, ...ipv6 };
}

export type Rows = Pick<NamespaceState, 'addresses' | 'routes' | 'neighbours' | 'fdb'>;

/** Where the host has an address of the network, that is what it calls the network from; else the one by which it is known. */
export function uplinkRows(
  uplink: Uplink,
): Pick<Rows, 'addresses' | 'routes'> & { readonly neighbours: readonly Neighbour[] } {
  const link = uplinkOf(uplink.vni);
  const { inside } = uplinkMacs(uplink.vni);
  const sourceOf = (gateway: string) => uplink.exposed.find((address) => isIpv4(address) === isIpv4(gateway));
  return {
    addresses: uplink.exposed.map((address) => ({ link, address, prefix: BITS[familyOfAddress(address)] })),
    routes: uplink.subnets.map(({ cidr, gateway }) => {
      const source = sourceOf(gateway);
      return { ...ours(cidr, insideOf(gateway), link), ...(source !== undefined && { source }) };
    }),
    neighbours: [...new Set(uplink.subnets.map(({ gateway }) => insideOf(gateway)))].map((address) => ({
      ...{ link, address, mac: inside },
    })),
  };
}

/** A gateway of IPv6 may not stand for a next hop where another link's route leads to it. */
function insideOf(gateway: string): string {
  return isIpv4(gateway) ? gateway : UPLINK_INSIDE;
}

/** Without one a link sends no solicitation of its own accord: to see whether a neighbour is still there, or for others. */
export function linkLocalAddress(link: string, mac: string): Address {
  return { link, address: linkLocalOf(mac), prefix: 64 };
}

/** No container has a row for it, so ARP for it is answered by the bridge alone. */
export function serviceAddressOf(link: string): Address {
  return { link, address: SERVICE_ADDRESS, prefix: 32 };
}

/**
 * Whoever asks a port where nothing listens is told so each time, not once a second: an engine's resolver goes on to its
 * next server at that word, and waits four seconds without it.
 */
export function everyUnreachable(at: Place): Op {
  return { kind: 'set-sysctl', at, key: 'net.ipv4.icmp_ratelimit', value: '0' };
}

export function ours(destination: string, gateway: string | undefined, link: string): Route {
  return { destination, gateway, link, protocol: ROUTE_PROTOCOL };
}
