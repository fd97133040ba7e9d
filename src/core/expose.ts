/**
 * The host itself as an endpoint of a network (docs/adr/0036-the-host-is-an-endpoint.md): an address of the network, claimed as
 * any, which the host's end of the network's uplink has. The network's namespace gives what the host sends the MAC of that
 * endpoint, and hands what comes for that MAC to the host; no link has it.
 */
import type { Owner } from './attachment.ts';
import { contains, overlaps, parseCidr } from './cidr.ts';
import type { ContainerRef, LocalEndpoint } from './container.ts';
import type { HostAddress, HostRoute } from './host-facts.ts';
import { parseIp } from './ip.ts';
import { isEverything } from './ipam/host-holders.ts';
import { MUCH_WIDER_BITS } from './ipam/subnet.ts';
import { uplinkOf } from './plan/naming.ts';
import type { EndpointRecord, SubnetSpec } from './records.ts';

/** Stands for the host's own namespace, where nothing is looked into as into a container, and which never ends. */
export const HOST_CONTAINER: ContainerRef = { text: 'host', path: '', identity: 'host' };

export const HOST_AS_OWNER: Owner = { tool: 'host', key: 'host', names: 'told' };

/** As a network's namespace and the host need it. */
export interface Exposure {
  readonly mac: string;
  /** IPv4 first. */
  readonly addresses: readonly string[];
}

export function isOfHost({ container }: Pick<LocalEndpoint, 'container'>): boolean {
  return container.identity === HOST_CONTAINER.identity;
}

/** An endpoint of this host's own, as its state file has it. */
export function asHost(record: EndpointRecord, vni: number): LocalEndpoint {
  return { record, container: HOST_CONTAINER, ifname: uplinkOf(vni), owner: HOST_AS_OWNER };
}

/** What of the host stands before a way into the subnet, in words. Undefined: nothing. */
export function inTheWay(
  { cidr }: Pick<SubnetSpec, 'cidr'>,
  addresses: readonly HostAddress[],
  routes: readonly HostRoute[],
): string | undefined {
  const block = parseCidr(cidr);
  if (!block) return undefined;
  const address = addresses.find(({ address: text }) => {
    const ip = parseIp(text);
    return ip !== undefined && contains(block, ip);
  });
  if (address) return `this host has the address ${address.address} (${address.link}) in it`;
  const route = routes.find(({ destination, onLink }) => {
    const way = parseCidr(destination);
    if (!way || isEverything(way) || !overlaps(way, block)) return false;
    return onLink || block.prefix - way.prefix < MUCH_WIDER_BITS;
  });
  return route && `this host has a route to ${route.destination} by ${route.link}`;
}
