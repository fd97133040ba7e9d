/**
 * Networks that have nearly as many containers on this host as a network can have on one: told before the next one is refused. Scales
 * with the networks that are here.
 */
import type { ClusterView } from '../../core/cluster-view.ts';
import { type Found, found } from '../../core/finding.ts';
import { MOST_CONTAINERS } from '../../core/host-state.ts';
import type { LocalEndpoints } from '../endpoints/local-endpoints.ts';

const NEARLY = 0.9 * MOST_CONTAINERS;

/** One for each network concerned, by its name. */
export function fullNetworks(
  view: Pick<ClusterView, 'network'>,
  local: Pick<LocalEndpoints, 'networkIds' | 'countOn'>,
): Found[] {
  const counts = local.networkIds().map((id) => [id, local.countOn(id)] as const);
  const full = counts.filter(([, count]) => count >= NEARLY);
  return full.flatMap(([id, count]) => {
    const name = view.network(id)?.name ?? id.slice(0, 12);
    return found('network-full', [describe(name, count)], name);
  });
}

function describe(name: string, count: number): string {
  const most = MOST_CONTAINERS.toLocaleString('en');
  return `network ${name} has ${count.toLocaleString('en')} containers on this host, and can have ${most} on one (ports of a Linux bridge): connect further ones on other hosts, or to another network`;
}
