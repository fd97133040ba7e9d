import type { Owner } from './attachment.ts';
import type { Options } from './network-options.ts';
import type { PortMapping } from './publish.ts';
import type { EndpointRecord } from './records.ts';

/**
 * What a person names as CONTAINER: `netns:NAME`, `netns:/path`, `pid:N`, `docker:NAME`, `machine:NAME`, `lxc:NAME` or `incus:NAME`, and which namespace that was.
 * The identity tells a namespace from a later one under the same name or process id.
 */
export interface ContainerRef {
  /** As given, normalised: `netns:c1`, `netns:/run/x`, `pid:42`, `docker:api`. */
  readonly text: string;
  /** Path of the network namespace file, e.g. `/run/netns/c1`, `/proc/42/ns/net`. */
  readonly path: string;
  /** Opaque; equal for the same namespace instance only. */
  readonly identity: string;
}

/** An endpoint of this host: what etcd holds of it, and what only this host knows. Kept in the state file. */
export interface LocalEndpoint {
  readonly record: EndpointRecord;
  readonly container: ContainerRef;
  /** Interface name inside the container (15 characters at most). */
  readonly ifname: string;
  /** Of the container's ways out, that of the highest is the default route. Absent: 0. */
  readonly gwPriority?: number | undefined;
  /** As given by `--driver-opt`; an engine keeps its containers' itself. */
  readonly options?: Options | undefined;
  /**
   * Set when a container engine asked for the endpoint: the engine moves the link into the container and sets it up
   * there. Until the agent learns which process that is, `container` is {@link handedOver}.
   */
  readonly engine?: EngineAttachment | undefined;
  /** Set when another container tool asked for it. */
  readonly owner?: Owner | undefined;
  /** Ports of the host that its tool wants to lead here. */
  readonly published?: readonly PortMapping[] | undefined;
}

export const PROTOCOLS = ['tcp', 'udp', 'sctp'] as const;

/** A port of a container that its engine was told to publish. */
export interface PublishedPort {
  readonly protocol: (typeof PROTOCOLS)[number];
  readonly port: number;
}

/** How a container engine knows an endpoint of ours. */
export interface EngineAttachment {
  /** The engine's own ids of the endpoint and of its network, 64 hex characters. */
  readonly endpointId: string;
  readonly networkId: string;
  /** What the engine calls the container's namespace, e.g. `/run/docker/netns/1a2b3c4d5e6f`; the file may not exist yet. */
  readonly sandbox?: string | undefined;
  readonly containerId?: string | undefined;
  /** CIDR: the container's way to the service address through this endpoint, see `engine/service-route.ts`. */
  readonly serviceRoute?: string | undefined;
  /** Where all such blocks are the container's other endpoints': metric of a route that we set ourselves once it runs. */
  readonly serviceMetric?: number | undefined;
  /** Open to everybody at the container's own addresses; of networks that are routed. */
  readonly ports?: readonly PublishedPort[] | undefined;
  /** The container has a way out, through whatever network of the engine. */
  readonly wayOut?: boolean | undefined;
  /** It was told name servers that are not ours, by its user or for all containers. */
  readonly otherServers?: true | undefined;
  /** It knows names for the container that we do not, or name servers. Undefined: not known yet. */
  readonly engineKnows?: boolean | undefined;
}

const HANDED_OVER = 'engine:';

/**
 * Stands for a container that only the engine knows so far: its link waits in the host's own namespace (path empty).
 * Endpoints of one sandbox have equal identities. It is never proved gone.
 */
export function handedOver({ endpointId, sandbox }: Pick<EngineAttachment, 'endpointId' | 'sandbox'>): ContainerRef {
  return { text: `docker:${endpointId.slice(0, 12)}`, path: '', identity: `${HANDED_OVER}${sandbox ?? endpointId}` };
}

export function isHandedOver({ identity }: Pick<ContainerRef, 'identity'>): boolean {
  return identity.startsWith(HANDED_OVER);
}
