/**
 * What a container engine asks its network driver and its IPAM driver (libnetwork's remote driver protocol), and what
 * it wants to hear. Every call may come twice: a handler whose work is done already answers as it did before.
 * Addresses of calls are CIDRs with the pool's prefix length where they say so, as the engine writes them.
 */

import type { PublishedPort } from '../container.ts';

/** The address spaces that our IPAM driver names: a network that has another one got its addresses from elsewhere. */
export const LOCAL_ADDRESS_SPACE = 'overlayd-local';
export const GLOBAL_ADDRESS_SPACE = 'overlayd-global';

// ---------------------------------------------------------------- network driver

export interface NetworkPool {
  readonly addressSpace: string;
  /** CIDR. */
  readonly pool: string;
  /** CIDR. */
  readonly gateway: string | undefined;
  /** CIDRs by name. */
  readonly auxAddresses: Readonly<Record<string, string>>;
}

export interface CreateNetworkCall {
  readonly networkId: string;
  readonly internal: boolean;
  /** False with the user's `--ipv4=false`. */
  readonly ipv4: boolean;
  /** The user's `-o key=value`. */
  readonly options: Readonly<Record<string, string>>;
  /** Empty with `--ipv4=false`. */
  readonly pools: readonly NetworkPool[];
  /** Not empty when the user wants IPv6. */
  readonly ipv6Pools: readonly NetworkPool[];
}

export interface DeleteNetworkCall {
  readonly networkId: string;
}

export interface CreateEndpointCall {
  readonly networkId: string;
  readonly endpointId: string;
  /** CIDR. One of both, or both. */
  readonly address: string | undefined;
  /** CIDR. */
  readonly ipv6Address: string | undefined;
  /** The user's, or a driver's that was asked before: it may not be answered with another one. */
  readonly mac: string | undefined;
  readonly publishesPorts: boolean;
  /** The user's `--dns`, or the engine's configuration; undefined where the engine does not tell: internal networks. */
  readonly dnsServers: readonly string[] | undefined;
  /** The user's `--driver-opt key=value`. */
  readonly options: Readonly<Record<string, string>>;
}

export interface CreateEndpointAnswer {
  /** Only when the call has none. */
  readonly mac?: string | undefined;
}

export interface JoinCall {
  readonly networkId: string;
  readonly endpointId: string;
  /** Path of the container's network namespace; the file may not exist yet. */
  readonly sandbox: string;
  readonly publishesPorts: boolean;
  /** Those of the container. */
  readonly ports?: readonly PublishedPort[] | undefined;
}

export interface JoinAnswer {
  /** The link in the engine's own namespace that it moves into the container. */
  readonly sourceName: string;
  /** The engine puts a number behind it. */
  readonly destinationPrefix: string;
  /** With neither of them the engine adds a link of its own for the way out, unless `disableGatewayService`. */
  readonly gateway?: string | undefined;
  readonly ipv6Gateway?: string | undefined;
  /** On-link where there is no `nextHop`. */
  readonly staticRoutes: readonly { readonly destination: string; readonly nextHop?: string | undefined }[];
  readonly disableGatewayService: boolean;
}

/** Of Leave, DeleteEndpoint. */
export interface EndpointCall {
  readonly networkId: string;
  readonly endpointId: string;
}

export interface ExternalConnectivityCall extends EndpointCall {
  readonly publishesPorts: boolean;
}

// ---------------------------------------------------------------- IPAM driver

/** One for each family that the network is to have: of IPv4 first. */
export interface RequestPoolCall {
  readonly addressSpace: string;
  /** CIDR: the user's `--subnet`. */
  readonly pool: string | undefined;
  /** CIDR: the user's `--ip-range`. */
  readonly subPool: string | undefined;
  /** The user's `--ipam-opt key=value`. */
  readonly options: Readonly<Record<string, string>>;
  readonly ipv6: boolean;
}

export interface RequestPoolAnswer {
  readonly poolId: string;
  /** CIDR. */
  readonly pool: string;
  /** CIDR: what the engine takes for the gateway when the user named none. */
  readonly gateway?: string | undefined;
}

export interface ReleasePoolCall {
  readonly poolId: string;
}

/**
 * For an endpoint on a network of both families there is one of each, of IPv4 first; nothing but the order says that they
 * belong together. Of one network object an engine makes one endpoint at a time.
 */
export interface RequestAddressCall {
  readonly poolId: string;
  /** Without prefix length; undefined: any. */
  readonly address: string | undefined;
  /** The address is to be the network's gateway. */
  readonly gateway: boolean;
  /** The container's name; told by Docker 29 and later. */
  readonly endpointName: string | undefined;
  /** Told only to drivers that require it. */
  readonly mac: string | undefined;
}

export interface RequestAddressAnswer {
  /** CIDR. */
  readonly address: string;
}

export interface ReleaseAddressCall {
  readonly poolId: string;
  /** Without prefix length. */
  readonly address: string;
}

// ---------------------------------------------------------------- both

/** The calls that need the agent. What is thrown reaches the engine's user. `Signal`: tells a call that it takes too long. */
export interface DriverCalls<Signal> {
  readonly createNetwork: (call: CreateNetworkCall, signal: Signal) => Promise<void>;
  readonly deleteNetwork: (call: DeleteNetworkCall, signal: Signal) => Promise<void>;
  readonly createEndpoint: (call: CreateEndpointCall, signal: Signal) => Promise<CreateEndpointAnswer>;
  readonly join: (call: JoinCall, signal: Signal) => Promise<JoinAnswer>;
  readonly leave: (call: EndpointCall, signal: Signal) => Promise<void>;
  readonly deleteEndpoint: (call: EndpointCall, signal: Signal) => Promise<void>;
  readonly programExternalConnectivity: (call: ExternalConnectivityCall, signal: Signal) => Promise<void>;
  readonly requestPool: (call: RequestPoolCall, signal: Signal) => Promise<RequestPoolAnswer>;
  readonly releasePool: (call: ReleasePoolCall, signal: Signal) => Promise<void>;
  readonly requestAddress: (call: RequestAddressCall, signal: Signal) => Promise<RequestAddressAnswer>;
  readonly releaseAddress: (call: ReleaseAddressCall, signal: Signal) => Promise<void>;
}

/** Since the agent's start. */
export interface DriverCounters {
  readonly requests: number;
  /** Answered with an error; those that took too long are among them. */
  readonly failed: number;
  readonly timedOut: number;
}
