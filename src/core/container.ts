import type { EndpointRecord } from './records.ts';

/**
 * What a person names as CONTAINER: `netns:NAME`, `netns:/path` or `pid:N`, and which namespace that was.
 * The identity tells a namespace from a later one under the same name or process id.
 */
export interface ContainerRef {
  /** As given, normalised: `netns:c1`, `netns:/run/x`, `pid:42`. */
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
}
