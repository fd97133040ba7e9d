/** What an engine is told when a container joins a network of ours. */
import { networkSettings } from '../network-options.ts';
import type { NetworkRecord } from '../records.ts';
import { subnetWith } from '../subnets.ts';
import type { JoinAnswer } from './driver-calls.ts';

export interface Joining {
  /** The link that waits in the engine's namespace. */
  readonly link: string;
  readonly network: Pick<NetworkRecord, 'internal' | 'options' | 'subnets'>;
  /** The endpoint's, in one of the network's subnets. */
  readonly address: string;
  readonly publishesPorts: boolean;
  /** CIDR: the container's way to the service address through this endpoint. */
  readonly serviceRoute: string | undefined;
}

/**
 * With our gateway the container has one interface and all of its traffic leaves through it. A container that publishes
 * ports gets none: the engine then gives it a second interface and publishes them there, as it does everywhere. What is
 * routed keeps its own address, so its ports are open there. The network's other subnets are on the link, too.
 */
export function joinAnswer({ link, network, address, publishesPorts, serviceRoute }: Joining): JoinAnswer {
  const { interfacePrefix, gatewayModes } = networkSettings(network);
  const own = subnetWith(network.subnets, address) ?? network.subnets[0]!;
  const others = network.subnets.filter((subnet) => subnet !== own);
  const routed = !network.internal && (!publishesPorts || gatewayModes[4] === 'routed');
  return {
    sourceName: link,
    destinationPrefix: interfacePrefix,
    ...(routed ? { gateway: own.gateway } : {}),
    staticRoutes: [...(serviceRoute === undefined ? [] : [serviceRoute]), ...others.map(({ cidr }) => cidr)].map(
      (destination) => ({ destination }),
    ),
    disableGatewayService: network.internal,
  };
}
