/** What an engine is told when a container joins a network of ours. */
import { type Family, familyOf } from '../ip.ts';
import { networkSettings } from '../network-options.ts';
import type { NetworkRecord } from '../records.ts';
import { subnetWith } from '../subnets.ts';
import type { JoinAnswer } from './driver-calls.ts';

export interface Joining {
  /** The link that waits in the engine's namespace. */
  readonly link: string;
  readonly network: Pick<NetworkRecord, 'internal' | 'options' | 'subnets'>;
  /** The endpoint's, each in one of the network's subnets. */
  readonly addresses: readonly string[];
  readonly publishesPorts: boolean;
  /** CIDR: the container's way to the service address through this endpoint. */
  readonly serviceRoute: string | undefined;
}

/**
 * With our gateways the container has one interface and all of its traffic leaves through it. A container that publishes
 * ports gets none, of neither family: the engine then gives it a second interface and publishes them there, as it does
 * everywhere, and the way out of IPv6 is made by us once it runs (`plan/container.ts`). What is routed keeps its own address,
 * so its ports are open there. The network's other subnets are on the link, too.
 */
export function joinAnswer({ link, network, addresses, publishesPorts, serviceRoute }: Joining): JoinAnswer {
  const { interfacePrefix } = networkSettings(network);
  const own = addresses.flatMap((address) => subnetWith(network.subnets, address) ?? []);
  const families = new Set(addresses.map(familyOf));
  const others = network.subnets.filter((subnet) => !own.includes(subnet) && families.has(familyOf(subnet.gateway)));
  const gatewayOf = (family: Family) => own.find(({ gateway }) => familyOf(gateway) === family)?.gateway;
  const isOurs = !network.internal && (!publishesPorts || isRouted(network, addresses));
  const [gateway, ipv6Gateway] = isOurs ? [gatewayOf(4), gatewayOf(6)] : [];
  return {
    sourceName: link,
    destinationPrefix: interfacePrefix,
    ...(gateway === undefined ? {} : { gateway }),
    ...(ipv6Gateway === undefined ? {} : { ipv6Gateway }),
    staticRoutes: [...(serviceRoute === undefined ? [] : [serviceRoute]), ...others.map(({ cidr }) => cidr)].map(
      (destination) => ({ destination }),
    ),
    disableGatewayService: network.internal,
  };
}

/**
 * Whether the ports of a container with these addresses are open there and nowhere else. Where it has both families IPv4
 * decides: an engine publishes the ports of both, or of none.
 */
export function isRouted(network: Pick<NetworkRecord, 'internal' | 'options'>, addresses: readonly string[]): boolean {
  const family = addresses.some((address) => familyOf(address) === 4) ? 4 : 6;
  return !network.internal && networkSettings(network).gatewayModes[family] === 'routed';
}
