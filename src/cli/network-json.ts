/** Networks and endpoints as JSON: `network inspect` has Docker's shape and order, with our fields after them. */
import { hasFamily } from '../core/subnets.ts';
import type { Endpoint, EndpointPort, Network, Subnet } from '../gen/overlayd/v1/control.ts';
import { timestamp } from './output.ts';

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
    State: network.state,
    Addresses: {
      Total: network.addresses?.total ?? 0,
      Used: network.addresses?.used ?? 0,
      Reserved: network.addresses?.reserved ?? 0,
      Quarantined: network.addresses?.quarantined ?? 0,
      Free: network.addresses?.free ?? 0,
    },
  };
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
    IPv4Address: `${endpoint.address}/${endpoint.prefix}`,
    IPv6Address: '',
    Aliases: endpoint.aliases,
    Node: endpoint.nodeName,
    Container: endpoint.container,
    State: endpoint.state,
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
    IPv4Address: `${endpoint.address}/${endpoint.prefix}`,
    Addresses: endpoint.addresses.map(({ subnet, address }) => ({ Subnet: subnet, Address: address })),
    MacAddress: endpoint.mac,
    State: endpoint.state,
    Container: endpoint.container,
    Interface: endpoint.ifname,
    GwPriority: endpoint.gwPriority,
    DriverOpts: endpoint.driverOpts,
    Ports: endpoint.ports.map(portJson),
    Labels: endpoint.labels,
    CreatedAt: timestamp(endpoint.createdAtMs),
  };
}
