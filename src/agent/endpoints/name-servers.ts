import { attachmentOf } from '../../core/attachment.ts';
import type { ClusterView } from '../../core/cluster-view.ts';
import type { ContainerRef } from '../../core/container.ts';
import { firstAddress } from '../../core/records.ts';
import { subnetWith } from '../../core/subnets.ts';
import type { LocalEndpoints } from './local-endpoints.ts';

/** The gateways of all networks of a container whose resolver's file we write, by the networks' names. */
export function serversFor(
  { text }: Pick<ContainerRef, 'text'>,
  local: Pick<LocalEndpoints, 'all'>,
  view: Pick<ClusterView, 'network'>,
): string[] {
  // By name, as the file is: a new container under the name of one that is gone keeps its own.
  const own = local.all().filter((each) => each.container.text === text && attachmentOf(each).names === 'file');
  return own
    .flatMap(({ record }) => {
      const network = view.network(record.networkId);
      if (!network) return [];
      const subnet = subnetWith(network.subnets, firstAddress(record)) ?? network.subnets[0]!;
      return { name: network.name, gateway: subnet.gateway };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ gateway }) => gateway);
}
