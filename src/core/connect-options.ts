/** How a container is to be on a network: as a person says it to `connect`, and as the configuration of an instance says it. */
export interface ConnectOptions {
  /** Undefined: the container's own. */
  readonly name?: string | undefined;
  readonly aliases: readonly string[];
  readonly ip?: string | undefined;
  readonly ip6?: string | undefined;
  readonly mac?: string | undefined;
  readonly ifname?: string | undefined;
  readonly gwPriority?: number | undefined;
  /** As `--port` is written. */
  readonly ports?: readonly string[] | undefined;
}
