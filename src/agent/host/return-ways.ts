/**
 * Whether this host's own routing leads into the networks on which the host itself is, and those that have a way out through
 * it: what their containers send to the outside is answered to this host, which has to find the way back. The routes for that are the reconciler's; but a
 * route of the host's own that is narrower, or as wide and preferred, a rule that leads elsewhere, or an address of the
 * host's own inside the subnet stand before them. Such things come with a VPN, or by hand, long after the network.
 *
 * Looked at when the host's routes change, and when somebody asks: one batch of questions to the kernel, whatever there is.
 */
import { contains, parseCidr } from '../../core/cidr.ts';
import type { ClusterView } from '../../core/cluster-view.ts';
import { isOfHost } from '../../core/expose.ts';
import type { HostRoute } from '../../core/host-facts.ts';
import { requireIp } from '../../core/ip.ts';
import { uplinkOf } from '../../core/plan/naming.ts';
import type { NetworkRecord } from '../../core/records.ts';
import { subnetWith } from '../../core/subnets.ts';
import type { HostFacts } from '../../ports/host.ts';
import type { Logger } from '../../ports/runtime.ts';
import type { LocalEndpoints } from '../endpoints/local-endpoints.ts';
import type { Reconciler } from '../reconcile/reconcile.ts';

export interface ReturnWaysDeps {
  readonly view: ClusterView;
  readonly local: Pick<LocalEndpoints, 'all'>;
  readonly facts: Pick<HostFacts, 'linksTo' | 'routes'>;
  /** Before the kernel was brought to what is wanted of a network, the way is not there yet. */
  readonly made: Pick<Reconciler, 'isMade'>;
  readonly logger: Logger;
}

interface Astray {
  readonly network: NetworkRecord;
  readonly address: string;
  /** Where the host sends it; undefined: nowhere. */
  readonly link: string | undefined;
}

export class ReturnWays {
  readonly #deps: ReturnWaysDeps;
  /** What was logged, by network id. */
  #told: ReadonlyMap<string, string> = new Map();

  constructor(deps: ReturnWaysDeps) {
    this.#deps = deps;
  }

  /** In words, one for each network concerned; empty when all is well or the kernel does not tell. */
  async problems(): Promise<readonly string[]> {
    const astray = await this.#astray().catch(() => []);
    const byNetwork = Map.groupBy(astray, ({ network }) => network.id);
    const found = new Map<string, string>();
    const routes = astray.length > 0 ? await this.#deps.facts.routes().catch(() => []) : [];
    for (const [id, each] of byNetwork) found.set(id, describe(each[0]!, each.length, routes));
    for (const [id, problem] of found) {
      if (this.#told.get(id) !== problem)
        this.#deps.logger.warn({ problem }, 'answers do not find back into a network');
    }
    this.#told = found;
    return [...found.values()];
  }

  async #astray(): Promise<Astray[]> {
    const { facts, local, made, view } = this.#deps;
    const wanted = local.all().flatMap((endpoint) => {
      const { addresses, networkId } = endpoint.record;
      const network = view.network(networkId);
      const isHost = isOfHost(endpoint);
      if (!network || (network.internal && !isHost) || !made.isMade(networkId)) return [];
      if (isHost) return network.subnets.map(({ gateway: address }) => ({ network, address }));
      return addresses.map(({ ip: address }) => ({ network, address }));
    });
    if (wanted.length === 0) return [];
    const links = await facts.linksTo(wanted.map(({ address }) => address));
    return wanted
      .map(({ network, address }) => ({ network, address, link: links.get(address) }))
      .filter(({ network, link }) => link !== uplinkOf(network.vni));
  }
}

function describe({ network, address, link }: Astray, count: number, routes: readonly HostRoute[]): string {
  const of = count === 1 ? address : `${address} and ${count - 1} more`;
  const what = network.internal
    ? `this host, which has an address on network ${network.name}, does not reach it (${of})`
    : `what containers of network ${network.name} (${of}) send to the outside is not answered`;
  const other = 'or use a network with another subnet';
  if (link === 'lo') return `${what}: this host has the address ${address} itself; take it away, ${other}`;
  const ip = requireIp(address, 'address');
  const route = routes
    .filter((each) => each.link === (link ?? '') && contains(parseCidr(each.destination)!, ip))
    .sort((a, b) => parseCidr(b.destination)!.prefix - parseCidr(a.destination)!.prefix)[0];
  const cause = route
    ? `the route ${route.destination}${link === undefined ? '' : ` by ${link}`}`
    : `a rule or a table of this host's own${link === undefined ? '' : `, which leads to ${link}`}`;
  return `${what}: ${cause} stands before overlayd's (\`ip route get ${address}\`); take it away or make it wider than ${subnetWith(network.subnets, address)?.cidr ?? 'that'}, ${other}`;
}
