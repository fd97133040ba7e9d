/** What a container engine tells of its networks and containers, as much as matters here. */
import type { EndpointPort, SubnetSpec } from '../records.ts';

/** The name under which the engine knows our network driver and our IPAM driver. */
export const DRIVER = 'overlayd';
/** The option, of IPAM or network, that says by name which network of the cluster a network of the engine is. */
export const NETWORK_OPTION = 'net';
/** The option, of network and IPAM, that only the agent gives: the id of the network that it offers to the engine. */
export const ID_OPTION = 'id';

export interface EngineNetwork {
  readonly id: string;
  readonly name: string;
  readonly driver: string;
  readonly labels: Readonly<Record<string, string>>;
  /** As given by `-o`. */
  readonly options: Readonly<Record<string, string>>;
  readonly ipamDriver: string;
  /** As given by `--ipam-opt`. */
  readonly ipamOptions: Readonly<Record<string, string>>;
  /** CIDRs, given or chosen, of both families. */
  readonly subnets: readonly string[];
}

/** What a network is made with; the engine asks our drivers about it while it makes it. */
export interface EngineNetworkSpec {
  readonly name: string;
  readonly driver: string;
  readonly internal: boolean;
  readonly labels: Readonly<Record<string, string>>;
  /** As by `-o`. */
  readonly options: Readonly<Record<string, string>>;
  readonly ipamOptions: Readonly<Record<string, string>>;
  readonly subnets: readonly SubnetSpec[];
}

/** A network's endpoints of containers that run or are just being started. */
export interface EngineNetworkMembers {
  /** The engine's name of the network. */
  readonly name: string;
  readonly members: readonly {
    readonly containerId: string;
    readonly containerName: string;
    readonly endpointId: string;
  }[];
}

/** How an engine is to connect a container: what the user asked for. */
export interface EngineConnection {
  readonly aliases: readonly string[];
  readonly ip: string | undefined;
  readonly ip6?: string | undefined;
  readonly gwPriority?: number | undefined;
  /** `--driver-opt`. */
  readonly options?: Readonly<Record<string, string>> | undefined;
}

export interface EngineContainer {
  readonly id: string;
  /** Without the leading slash. */
  readonly name: string;
  /** 0 when it does not run. */
  readonly pid: number;
  /** The engine is to start it again by itself. */
  readonly restarts: boolean;
  /** It has run before. */
  readonly ran: boolean;
  /** Why its last start failed, in the engine's words; empty when it did not. */
  readonly failure: string;
  readonly hostname: string;
  /** Its own check fails. */
  readonly unhealthy?: boolean | undefined;
  /** Exposed ones, and those that its labels name (`../endpoint-ports.ts`). */
  readonly ports: readonly EndpointPort[];
  /** It has aliases for other containers that are its alone (`--link`). */
  readonly linked?: boolean | undefined;
  /** The user's (`--dns`); none: those that the engine gives to all. */
  readonly nameServers?: readonly string[] | undefined;
  readonly networks: readonly {
    /** The engine's name of the network. */
    readonly network: string;
    /** Empty before the container was first started. */
    readonly networkId: string;
    /** Empty when it does not run. */
    readonly endpointId: string;
    /** The user's, and whatever else the engine lists there (short id, Compose service). */
    readonly aliases: readonly string[];
    /** Those that it has, of IPv4 first; none when it does not run. */
    readonly addresses: readonly string[];
    /** The addresses that its user asked for. */
    readonly ip?: string | undefined;
    readonly ip6?: string | undefined;
    readonly gwPriority?: number | undefined;
    /** `--driver-opt`. */
    readonly options?: Readonly<Record<string, string>> | undefined;
    /** The next hop of its way out through this network, of whatever family; empty or undefined: none. */
    readonly gateway?: string | undefined;
  }[];
}

export type EngineEvent =
  /** Comes first, and again whenever events may have been lost: look at everything. `version` e.g. `20.10.24`. */
  | { readonly kind: 'connected'; readonly version: string }
  /** The engine cannot be reached; the iterable goes on. */
  | { readonly kind: 'unreachable'; readonly reason: string }
  | { readonly kind: 'network'; readonly action: 'create' | 'destroy'; readonly id: string }
  /**
   * `connect`, `start` and `rename` change what the container's endpoints are called, `die` and `destroy` end them. `health`: what
   * its own check says is another thing than before.
   */
  | {
      readonly kind: 'container';
      readonly action: 'create' | 'start' | 'rename' | 'die' | 'destroy' | 'health';
      readonly id: string;
    }
  | {
      readonly kind: 'container';
      readonly action: 'connect' | 'disconnect';
      readonly id: string;
      readonly networkId: string;
    };
