/** The host around the agent, and the containers on it. */
import type { ContainerRef } from '../core/container.ts';
import type { BindProblem, HostAddress, HostRoute, PortBinding, Underlay } from '../core/host-facts.ts';

export interface Containers {
  /** Throws `namespace-not-found`, `namespace-unusable` (the host's own namespace), `invalid-argument`. */
  resolve(text: string): Promise<ContainerRef>;
  /** False only on positive proof that the namespace instance is gone. */
  isAlive(ref: ContainerRef): Promise<boolean>;
  /**
   * Makes name resolution inside the container use these servers (`/etc/netns/NAME/resolv.conf` for `netns:NAME`);
   * an empty list restores what was there. Returns a warning for the user when a file of theirs was left alone.
   */
  configureResolver(ref: ContainerRef, servers: readonly string[]): Promise<string | undefined>;
  /** How that file differs from what would be written; undefined: it does not, or is none of ours. */
  resolverDrift(ref: ContainerRef, servers: readonly string[]): Promise<ResolverDrift | undefined>;
  /** Those `netns:NAME` that have such a file of ours, whether there is still a namespace of that name or not. */
  withResolver(): Promise<readonly ContainerRef[]>;
}

export interface ResolverDrift {
  readonly path: string;
  readonly state: 'missing' | 'wrong';
  /** In words. */
  readonly detail: string;
}

/** Facts of the host that the cluster needs to know. */
export interface HostFacts {
  bootId(): Promise<string>;
  hostname(): string;
  /** Global addresses with their interface, those too that a host cannot be known by. */
  addresses(): Promise<readonly HostAddress[]>;
  /** Names of all links. */
  links(): Promise<readonly string[]>;
  /** Main-table routes that are not ours, default routes (`0.0.0.0/0`, `::/0`) included; of IPv6 no link-local ones. */
  routes(): Promise<readonly HostRoute[]>;
  /**
   * Addresses of the name servers that this host asks, and of those that a stub of its own asks on its behalf; loopback
   * addresses, link-local ones of IPv6 and the service address left out.
   */
  nameServers(): Promise<readonly string[]>;
  /** Addresses of a host name, sorted; none when it does not resolve. */
  lookUp(hostName: string): Promise<readonly string[]>;
  /** Smallest MTU on the routes from `source` towards those of its family (of the source's link when there are none). */
  underlay(source: string, peers: readonly string[]): Promise<Underlay>;
  /** By which link this host sends to each, by whatever rule; `lo`: to itself. Those that it sends nowhere are left out. */
  linksTo(addresses: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /** Undefined when a socket can be bound there now; else what is in the way. */
  bindProblem(socket: PortBinding): Promise<BindProblem | undefined>;
}
