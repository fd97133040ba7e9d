/**
 * For an agent whose state file cannot be read: which endpoints this host has is found out from the ports in the kernel and
 * the claims that name this node. Before both are known nothing is taken away, and nothing is written over the file.
 * Which containers they are is not known: an engine's are found by their address when the engine is looked at; others keep
 * what they have until they are disconnected by name.
 */
import type { ClusterView } from '../../core/cluster-view.ts';
import { handedOver, type LocalEndpoint } from '../../core/container.ts';
import { asHost, HOST_AS_OWNER } from '../../core/expose.ts';
import { handoverLinkOf, namespaceOf, portLinkOf } from '../../core/plan/naming.ts';
import type { EndpointRecord } from '../../core/records.ts';
import type { Kernel } from '../../ports/kernel.ts';
import type { Logger } from '../../ports/runtime.ts';
import type { LocalEndpoints } from './local-endpoints.ts';

const LISTED = 10;

export interface AdoptionDeps {
  readonly local: LocalEndpoints;
  readonly kernel: Kernel;
  readonly view: ClusterView;
  readonly logger: Logger;
}

export class Adoption {
  readonly #deps: AdoptionDeps;
  readonly #selfId: string;
  /** `<namespace> <link>` of what the kernel had at the start; undefined when the file says what this host has. */
  #links: ReadonlySet<string> | undefined;

  constructor(deps: AdoptionDeps, options: { readonly selfId: string }) {
    this.#deps = deps;
    this.#selfId = options.selfId;
  }

  /** When the file was read. Throws what `observe` throws. */
  async begin(): Promise<void> {
    const { kernel, local, logger } = this.#deps;
    if (local.unreadable === undefined) return;
    logger.error({ reason: local.unreadable }, 'the endpoints of this host are looked for in the kernel and in etcd');
    const nothing = { networks: [], containers: [], ports: [] };
    const { namespaces } = await kernel.observe({ ...nothing, host: true });
    const { networks } = await kernel.observe({ ...nothing, host: false, networks: [...(namespaces?.keys() ?? [])] });
    const links = [...networks].flatMap(([name, state]) => [...state.links.keys()].map((link) => `${name} ${link}`));
    this.#links = new Set(links);
  }

  /** When the view has become whole, and before anything is compared with it. */
  finish(): void {
    const { local, logger, view } = this.#deps;
    const links = this.#links;
    if (!links) return;
    this.#links = undefined;
    const found = [...view.endpointsOf(this.#selfId).values()].flatMap((record) => {
      const network = view.network(record.networkId);
      if (network && record.tool === HOST_AS_OWNER.tool) return [asHost(record, network.vni)];
      return network && links.has(`${namespaceOf(network.vni)} ${portLinkOf(record.id)}`) ? [adopted(record)] : [];
    });
    logger.warn({ endpoints: found.length }, 'the endpoints of this host were found again');
    void local.adopt(found).catch(() => undefined);
  }
}

const UNKNOWN = 'unknown:';

function adopted(record: EndpointRecord): LocalEndpoint {
  const container = { ...handedOver({ endpointId: record.id }), text: `${UNKNOWN}${record.id.slice(0, 12)}` };
  return { record, container, ifname: handoverLinkOf(record.id) };
}

/** In words, of which endpoints it is not known yet whose they are. */
export function unknownContainers(local: Pick<LocalEndpoints, 'all'>, view: Pick<ClusterView, 'network'>): string[] {
  const unknown = local.all().filter(({ container, engine }) => !engine && container.text.startsWith(UNKNOWN));
  if (unknown.length === 0) return [];
  const listed = unknown.slice(0, LISTED).map(({ record: { name, networkId } }) => {
    return `${name} on network ${view.network(networkId)?.name ?? networkId}`;
  });
  const more = unknown.length > LISTED ? ` and ${unknown.length - LISTED} more` : '';
  return [
    `the state file was damaged, and which containers these endpoints belong to is not known since: ${listed.join(', ')}${more}. They go on; when a container is gone, or is to be connected anew, disconnect its endpoint by name (overlayd network disconnect NETWORK NAME)`,
  ];
}
