import type { ContainerRef, LocalEndpoint } from '../core/container.ts';
import type { Desired, DesiredNetwork, DesiredPort, Observed, Obstacle } from '../core/host-state.ts';

/**
 * Which containers have been found right inside, and for what: there are many, and what is inside changes by the container's
 * own doing only. What an engine set up inside is never looked at.
 */
export class SettledContainers {
  /** What was found right; an endpoint is never changed, only replaced. */
  readonly #keys = new WeakMap<LocalEndpoint, string>();
  /** Counts doubts: one that comes while a pass runs is not ended by what that pass saw before. */
  #moment = 0;
  readonly #doubted = new WeakMap<LocalEndpoint, number>();

  /** For a pass that begins. */
  get moment(): number {
    return this.#moment;
  }

  /** Containers to look into. */
  unsettled(wanted: Desired): ContainerRef[] {
    const containers = new Map<string, ContainerRef>();
    for (const network of wanted.networks) {
      for (const port of network.ports) {
        const { container, engine } = port.endpoint;
        if (engine) continue;
        if (this.#keys.get(port.endpoint) !== keyOf(port, network)) containers.set(container.identity, container);
      }
    }
    return [...containers.values()];
  }

  /** After a pass that began at `moment`: those that were looked into, and of which nothing failed, are right now. */
  settle(wanted: Desired, observed: Observed, obstacles: readonly Obstacle[], moment: number): void {
    const failed = new Set(obstacles.map(({ endpointId }) => endpointId));
    // For one that stands in the way of the whole network nothing was planned for its containers.
    const blocked = new Set(obstacles.filter(({ endpointId }) => !endpointId).map(({ network }) => network));
    for (const network of wanted.networks) {
      if (blocked.has(network.namespace)) continue;
      for (const port of network.ports) {
        const { endpoint } = port;
        if (endpoint.engine) continue;
        const inside = observed.containers.get(endpoint.container.identity);
        const doubted = (this.#doubted.get(endpoint) ?? 0) > moment;
        if (inside === 'gone' || doubted || failed.has(endpoint.record.id)) this.#keys.delete(endpoint);
        else if (inside !== undefined) this.#keys.set(endpoint, keyOf(port, network));
      }
    }
  }

  /** Looks inside again with the next pass. */
  doubt(endpoint: LocalEndpoint): void {
    this.#keys.delete(endpoint);
    this.#moment += 1;
    this.#doubted.set(endpoint, this.#moment);
  }

  /** The same of the container whose namespace has that path, or of all. Returns ids of the networks that it is on. */
  doubtAt(path: string | undefined, local: readonly LocalEndpoint[]): string[] {
    const isThere = ({ container, engine }: LocalEndpoint) => !engine && (path ?? container.path) === container.path;
    const there = local.filter(isThere);
    for (const endpoint of there) this.doubt(endpoint);
    return [...new Set(there.map(({ record }) => record.networkId))];
  }
}

function keyOf(port: DesiredPort, network: DesiredNetwork): string {
  const { container, ifname } = port.endpoint;
  const { mac, defaultGateways } = port;
  const addresses = port.addresses.map(({ address, prefix }) => `${address}/${prefix}`).join();
  return [container.identity, ifname, addresses, mac, network.mtu, defaultGateways.join()].join('\n');
}
