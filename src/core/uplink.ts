/** What leads from the host into a network, and out of it. */
import type { PublishedPort } from './container.ts';

export interface Subnet {
  readonly cidr: string;
  readonly gateway: string;
  readonly prefix: number;
}

export interface Uplink {
  readonly vni: number;
  readonly subnets: readonly Subnet[];
  readonly mtu: number;
  /** CIDRs of those subnets whose containers leave with the host's address. */
  readonly masqueraded: readonly string[];
  /** At the containers' own addresses. */
  readonly opened: readonly (PublishedPort & { readonly address: string })[];
  /** Of the host itself on the network; empty: it has none there. */
  readonly exposed: readonly string[];
  /** For the host itself alone: nothing is forwarded into the network, nor out of it. */
  readonly sealed: boolean;
}
