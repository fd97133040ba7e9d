import { isPlumbedByEngine } from '../../core/attachment.ts';
import { type ContainerRef, isHandedOver, type LocalEndpoint } from '../../core/container.ts';
import type {
  Desired,
  DesiredNetwork,
  DesiredPort,
  NamespaceState,
  Observed,
  Obstacle,
} from '../../core/host-state.ts';

import { isIpv4 } from '../../core/ip.ts';

/**
 * Which containers have been found right inside, and for what: there are many, and what is inside changes by the container's
 * own doing only. What an engine set up inside is never looked at, but for the MTU of its interface, the ways to the
 * network's other subnets and that out of IPv6: a link is made with what the network has, and is looked at when that is
 * something else.
 */
export class SettledContainers {
  /** What was found right; an endpoint is never changed, only replaced. */
  readonly #keys = new WeakMap<LocalEndpoint, string>();
  /** The port that the endpoint was last, with the network's MTU, and what is to be found right for it. */
  readonly #keysMade = new WeakMap<DesiredPort, { readonly mtu: number; readonly key: string }>();
  /** Counts doubts: one that comes while a pass runs is not ended by what that pass saw before. */
  #moment = 0;
  readonly #doubted = new WeakMap<LocalEndpoint, number>();
  /** What an engine's interfaces have, as {@link madeOf} says it, by namespace of the network and id of the endpoint. */
  #made = new Map<string, ReadonlyMap<string, string>>();

  /** For a pass that begins. */
  get moment(): number {
    return this.#moment;
  }

  /** Containers to look into. */
  unsettled(wanted: Desired): ContainerRef[] {
    const containers = new Map<string, ContainerRef>();
    for (const network of wanted.networks) {
      for (const port of network.ports) {
        const { container } = port.endpoint;
        const isRight = isPlumbedByEngine(port.endpoint)
          ? isHandedOver(container) || this.#madeFor(port, network) === madeOf(port, network)
          : this.#keys.get(port.endpoint) === this.#keyOf(port, network);
        if (!isRight) containers.set(container.identity, container);
      }
    }
    return [...containers.values()];
  }

  /** After a pass that began at `moment`: those that were looked into, and of which nothing failed, are right now. */
  settle(
    wanted: Desired,
    observed: Observed,
    { obstacles, moment, provesAbsence }: { obstacles: readonly Obstacle[]; moment: number; provesAbsence: boolean },
  ): void {
    const failed = new Set(obstacles.map(({ endpointId }) => endpointId));
    // For one that stands in the way of the whole network nothing was planned for its containers.
    const blocked = new Set(obstacles.filter(({ endpointId }) => !endpointId).map(({ network }) => network));
    for (const namespace of this.#made.keys()) if (!wanted.namespaces.has(namespace)) this.#made.delete(namespace);
    for (const network of wanted.networks) {
      if (blocked.has(network.namespace)) continue;
      const made = new Map<string, string>();
      for (const port of network.ports) {
        const { endpoint } = port;
        const { container, engine, record } = endpoint;
        const inside = observed.containers.get(container.identity);
        const failing = failed.has(record.id);
        // While the view is not whole, an MTU is not raised.
        const isLow = !provesAbsence && isBelow(inside, port, network);
        if (engine) {
          const looked = inside !== undefined && inside !== 'gone' && !failing && !isLow;
          // Which ways its engine was told of when it joined is not known.
          const isNew = isHandedOver(container) && waysOf(port).length === 0;
          const has = looked || isNew ? madeOf(port, network) : this.#madeFor(port, network);
          if (has !== undefined) made.set(record.id, has);
          continue;
        }
        const doubted = (this.#doubted.get(endpoint) ?? 0) > moment;
        if (inside === 'gone' || doubted || failing || isLow) this.#keys.delete(endpoint);
        else if (inside !== undefined) this.#keys.set(endpoint, this.#keyOf(port, network));
      }
      this.#made.set(network.namespace, made);
    }
  }

  #keyOf(port: DesiredPort, network: DesiredNetwork): string {
    const made = this.#keysMade.get(port);
    if (made?.mtu === network.mtu) return made.key;
    const key = keyOf(port, network);
    this.#keysMade.set(port, { mtu: network.mtu, key });
    return key;
  }

  #madeFor({ endpoint }: DesiredPort, { namespace }: DesiredNetwork): string | undefined {
    return this.#made.get(namespace)?.get(endpoint.record.id);
  }

  /** Looks inside again with the next pass. */
  doubt(endpoint: LocalEndpoint): void {
    this.#keys.delete(endpoint);
    this.#moment += 1;
    this.#doubted.set(endpoint, this.#moment);
  }

  /** The same of the container whose namespace has that path, or of all. Returns ids of the networks that it is on. */
  doubtAt(path: string | undefined, local: readonly LocalEndpoint[]): string[] {
    const isThere = (each: LocalEndpoint) =>
      !isPlumbedByEngine(each) && (path ?? each.container.path) === each.container.path;
    const there = local.filter(isThere);
    for (const endpoint of there) this.doubt(endpoint);
    return [...new Set(there.map(({ record }) => record.networkId))];
  }
}

function isBelow(inside: NamespaceState | 'gone' | undefined, port: DesiredPort, network: DesiredNetwork): boolean {
  const link = inside === 'gone' ? undefined : inside?.links.get(port.endpoint.ifname);
  return link !== undefined && link.mtu < network.mtu;
}

function madeOf(port: DesiredPort, { mtu }: DesiredNetwork): string {
  return [mtu, ...waysOf(port)].join();
}

function waysOf({ defaultGateways, onLink }: DesiredPort): string[] {
  return [...onLink, ...defaultGateways.filter((gateway) => !isIpv4(gateway))];
}

function keyOf(port: DesiredPort, network: DesiredNetwork): string {
  const { container, ifname } = port.endpoint;
  const { mac, defaultGateways, onLink } = port;
  const addresses = port.addresses.map(({ address, prefix }) => `${address}/${prefix}`).join();
  return [container.identity, ifname, addresses, mac, network.mtu, defaultGateways.join(), onLink.join()].join('\n');
}
