/**
 * Networks that have nearly as many containers on this host as a network can have on one: told before the next one is
 * refused, in the status, and once in the log. Asked for at each change of the cluster: scales with the networks that are here.
 */
import type { ClusterView } from '../../core/cluster-view.ts';
import { MOST_CONTAINERS } from '../../core/host-state.ts';
import type { Logger } from '../../ports/runtime.ts';
import type { LocalEndpoints } from '../endpoints/local-endpoints.ts';

export interface FullNetworksDeps {
  readonly view: Pick<ClusterView, 'network'>;
  readonly local: Pick<LocalEndpoints, 'networkIds' | 'countOn'>;
  readonly logger: Pick<Logger, 'warn'>;
}

const NEARLY = 0.9 * MOST_CONTAINERS;

export class FullNetworks {
  readonly #deps: FullNetworksDeps;
  /** Ids of those that the log has told of. */
  #told: ReadonlySet<string> = new Set();

  constructor(deps: FullNetworksDeps) {
    this.#deps = deps;
  }

  /** In words, with what to do; one for each network concerned. */
  problems(): string[] {
    const { local, logger, view } = this.#deps;
    const counts = local.networkIds().map((id) => [id, local.countOn(id)] as const);
    const full = counts.filter(([, count]) => count >= NEARLY);
    const problems = full.map(([id, count]) => describe(view.network(id)?.name ?? id.slice(0, 12), count));
    const ids = full.map(([id]) => id);
    if (ids.some((id) => !this.#told.has(id))) logger.warn({ problems }, 'a network is nearly full on this host');
    this.#told = new Set(ids);
    return problems;
  }
}

function describe(name: string, count: number): string {
  const most = MOST_CONTAINERS.toLocaleString('en');
  return `network ${name} has ${count.toLocaleString('en')} containers on this host, and can have ${most} on one (ports of a Linux bridge): connect further ones on other hosts, or to another network`;
}
