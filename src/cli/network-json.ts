/** Networks and endpoints as JSON: `network inspect` has Docker's shape and order, with our fields after them. */
import { type Family, isIpv4 } from '../core/ip.ts';
import { hasFamily } from '../core/subnets.ts';
import type {
  AddressCounts,
  Endpoint,
  EndpointAddress,
  EndpointPort,
  Kept,
  Network,
  Subnet,
} from '../gen/overlayd/v1/control.ts';
import { timestamp } from './output.ts';
import { tunnelJson } from './tunnel.ts';

export const DRIVER = 'overlayd';
export const SCOPE = 'global';

export function networkRow(network: Network) {
  return {
    ID: network.id,
    Name: network.name,
    Driver: DRIVER,
    Scope: SCOPE,
    Subnets: network.subnets.map(({ cidr }) => cidr),
    Vni: network.vni,
    Mtu: network.mtu,
    State: network.state,
    Endpoints: network.endpointCount,
    Internal: network.internal,
    Attachable: network.attachable,
    IPv4: hasFamily(network, 4),
    IPv6: hasFamily(network, 6),
    Encrypted: network.encrypted,
    CreatedAt: timestamp(network.createdAtMs),
    Labels: network.labels,
    Options: network.options,
  };
}

export function networkInspection(network: Network) {
  return {
    Name: network.name,
    Id: network.id,
    Created: timestamp(network.createdAtMs),
    Scope: SCOPE,
    Driver: DRIVER,
    EnableIPv4: hasFamily(network, 4),
    EnableIPv6: hasFamily(network, 6),
    IPAM: { Driver: DRIVER, Options: {}, Config: network.subnets.map(subnetConfig) },
    Internal: network.internal,
    Attachable: network.attachable,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: Object.fromEntries(network.endpoints.map((endpoint) => [endpoint.id, containerEntry(endpoint)])),
    Options: network.options,
    Labels: network.labels,
    Vni: network.vni,
    Mtu: network.mtu,
    MtuLimitedBy: network.mtuLimitedBy,
    Encrypted: network.encrypted,
    ...(network.encrypted ? { Tunnels: network.tunnels.map(tunnelJson) } : {}),
    State: network.state,
    Addresses: countsJson(network.addresses),
    AddressesIPv6: countsJson(network.addressesIpv6),
    Kept: network.kept.map(keptJson),
  };
}

/** Of a family without a subnet nothing but zeros. */
function countsJson(counts: AddressCounts | undefined) {
  return {
    Total: counts?.total ?? 0,
    Used: counts?.used ?? 0,
    Reserved: counts?.reserved ?? 0,
    Quarantined: counts?.quarantined ?? 0,
    Kept: counts?.kept ?? 0,
    Free: counts?.free ?? 0,
  };
}

/** Addresses of no endpoint that stay with a name. */
function keptJson({ name, addresses, releasedAtMs, releasedBy }: Kept) {
  return { Name: name, Addresses: addresses, ReleasedAt: timestamp(releasedAtMs), ReleasedBy: releasedBy };
}

/** Docker leaves out what is empty. */
function subnetConfig(subnet: Subnet) {
  return {
    Subnet: subnet.cidr,
    ...(subnet.ipRange === '' ? {} : { IPRange: subnet.ipRange }),
    Gateway: subnet.gateway,
    ...(Object.keys(subnet.auxAddresses).length === 0 ? {} : { AuxiliaryAddresses: subnet.auxAddresses }),
  };
}

function containerEntry(endpoint: Endpoint) {
  return {
    Name: endpoint.name,
    EndpointID: endpoint.id,
    MacAddress: endpoint.mac,
    IPv4Address: withPrefix(addressOf(endpoint, 4)),
    IPv6Address: withPrefix(addressOf(endpoint, 6)),
    Aliases: endpoint.aliases,
    Node: endpoint.nodeName,
    Tool: endpoint.tool,
    Container: endpoint.container,
    State: endpoint.state,
    Health: endpoint.health,
    GwPriority: endpoint.gwPriority,
    DriverOpts: endpoint.driverOpts,
    Ports: endpoint.ports.map(portJson),
    Labels: endpoint.labels,
  };
}

/** A port without a name has none. */
function portJson({ name, port, protocol }: EndpointPort) {
  return { ...(name === '' ? {} : { Name: name }), Port: port, Protocol: protocol };
}

export function endpointJson(endpoint: Endpoint) {
  return {
    ID: endpoint.id,
    Name: endpoint.name,
    Aliases: endpoint.aliases,
    NetworkID: endpoint.networkId,
    Network: endpoint.networkName,
    NodeID: endpoint.nodeId,
    Node: endpoint.nodeName,
    IPv4Address: withPrefix(addressOf(endpoint, 4)),
    IPv6Address: withPrefix(addressOf(endpoint, 6)),
    Addresses: endpoint.addresses.map(({ subnet, address }) => ({ Subnet: subnet, Address: address })),
    MacAddress: endpoint.mac,
    State: endpoint.state,
    Health: endpoint.health,
    Tool: endpoint.tool,
    Container: endpoint.container,
    Interface: endpoint.ifname,
    GwPriority: endpoint.gwPriority,
    DriverOpts: endpoint.driverOpts,
    Ports: endpoint.ports.map(portJson),
    Labels: endpoint.labels,
    CreatedAt: timestamp(endpoint.createdAtMs),
  };
}

/** The first of that family; undefined: the network has none of it. */
function addressOf({ addresses }: Endpoint, family: Family): EndpointAddress | undefined {
  return addresses.find(({ address }) => isIpv4(address) === (family === 4));
}

/** As Docker writes it, with the length of its subnet's prefix; empty: there is none. */
function withPrefix(of: EndpointAddress | undefined): string {
  return of ? `${of.address}${of.subnet.slice(of.subnet.indexOf('/'))}` : '';
}

/** All of them, IPv4 first. */
export function addressTexts({ addresses }: Endpoint): string[] {
  return addresses.map(withPrefix);
}
