/** Desired networks as the states of namespaces: what a namespace, the host and a container should hold for them. */
import {
  type Address,
  BRIDGE,
  type BridgeFlags,
  type Desired,
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
  UPLINK_NEXT_HOP,
  type Uplink,
} from '../host-state.ts';
import { ALL_ADDRESSES, macOf, requireIp } from '../ip.ts';
import { firstOfEachMac, RowWriter } from '../row-table.ts';
import { portMac, tunnelMac, uplinkMacs, uplinkOf } from './naming.ts';

/** Nothing of ours can be a loop, and no multicast goes to ports. */
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

/** The same on every host, so that a container that moves keeps its neighbour entry. */
export function gatewayMac(network: Pick<DesiredNetwork, 'subnets'>): string {
  return macOf(requireIp(network.subnets[0]?.gateway ?? ALL_ADDRESSES, 'gateway'));
}

export function bridgeLink(network: DesiredNetwork): Link {
  return { name: BRIDGE, kind: 'bridge', mac: gatewayMac(network), mtu: network.mtu, up: true, bridge: NO_LOOPS };
}

export function tunnelLink(network: DesiredNetwork, vtep: string, port: number): Link {
  return {
    name: TUNNEL,
    kind: 'vxlan',
    mac: tunnelMac(network.vni),
    mtu: network.mtu,
    up: true,
    master: BRIDGE,
    vxlan: { vni: network.vni, local: vtep, port, learning: false, proxy: true },
    port: TUNNEL_PORT,
  };
}

export function uplinkInside(network: DesiredNetwork): Link {
  return { name: UPLINK, kind: 'veth', mac: uplinkMacs(network.vni).inside, mtu: network.mtu, up: true };
}

export function uplinkInHost(uplink: Uplink): Link {
  return { name: uplinkOf(uplink.vni), kind: 'veth', mac: uplinkMacs(uplink.vni).host, mtu: uplink.mtu, up: true };
}

export function portLink(port: DesiredPort, network: DesiredNetwork): Link {
  return {
    name: port.link,
    kind: 'veth',
    mac: portMac(port.endpoint.record.id),
    mtu: network.mtu,
    up: true,
    master: BRIDGE,
    port: CONTAINER_PORT,
  };
}

export function containerLink(port: DesiredPort, network: DesiredNetwork): Link {
  return { name: port.endpoint.ifname, kind: 'veth', mac: port.mac, mtu: network.mtu, up: true };
}

export type Rows = Pick<NamespaceState, 'addresses' | 'routes' | 'neighbours' | 'fdb'>;

/**
 * Local endpoints have a neighbour row as remote ones do: all ARP is answered from the table. Of two endpoints with one MAC,
 * as older releases let them be, the first has the FDB row: a table holds one of each, and two would take turns for ever.
 */
export function networkRows(network: DesiredNetwork, ports: readonly DesiredPort[], desired: Desired): Rows {
  const { port, serviceAddress } = desired;
  const count = network.remotes.reduce((sum, { endpoints }) => sum + endpoints.length, ports.length);
  const neighbours = new RowWriter('neighbour', count + 1);
  const fdb = new RowWriter('fdb', count);
  for (const { address, mac, link } of ports) {
    neighbours.neighbour(TUNNEL, address, mac);
    fdb.fdb(link, mac, undefined, undefined);
  }
  for (const { endpoints, vtep, port: theirs } of network.remotes) {
    for (const { address, mac } of endpoints) {
      neighbours.neighbour(TUNNEL, address, mac);
      fdb.fdb(TUNNEL, mac, vtep, theirs === port ? undefined : theirs);
    }
  }
  if (!network.internal) neighbours.neighbour(UPLINK, UPLINK_NEXT_HOP, uplinkMacs(network.vni).host);
  return {
    addresses: [
      ...network.subnets.map(({ gateway, prefix }) => ({ link: BRIDGE, address: gateway, prefix })),
      ...(serviceAddress ? [serviceAddressOf(BRIDGE)] : []),
    ],
    routes: network.internal ? [] : [ours('default', UPLINK_NEXT_HOP, UPLINK)],
    neighbours: neighbours.table(),
    fdb: firstOfEachMac(fdb.table()),
  };
}

export function uplinkRows(uplink: Uplink): Pick<Rows, 'routes'> & { readonly neighbours: readonly Neighbour[] } {
  const link = uplinkOf(uplink.vni);
  const { inside } = uplinkMacs(uplink.vni);
  return {
    routes: uplink.subnets.map(({ cidr, gateway }) => ours(cidr, gateway, link)),
    neighbours: uplink.subnets.map(({ gateway }) => ({ link, address: gateway, mac: inside })),
  };
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
