/** What the process that answers names works with, besides clock, chance and log. */
import type { InsideAsker } from '../core/dns/names-protocol.ts';

export interface DnsClient {
  /** Empty when the host itself was asked, by a container of none of our networks. */
  readonly networkId: string;
  /** Source address of the question. */
  readonly address: string;
  readonly transport: 'udp' | 'tcp';
  /** Where it was asked inside of a container, in the place of its engine's name server. */
  readonly inside?: Pick<InsideAsker, 'key' | 'engineKnows'> | undefined;
}

type DnsReply = Uint8Array | undefined;
/** Answers one DNS message; undefined drops it. A plain value where no upstream is needed: the hot path has no promise. */
export type DnsHandler = (query: Uint8Array, client: DnsClient) => DnsReply | Promise<DnsReply>;

/** Asks upstream DNS servers, from the host's own network namespace. */
export interface DnsForwarder {
  /**
   * `query`: a whole DNS message; its id is replaced by an unpredictable one. Resolves with a reply that answers this
   * very question, or undefined when no server gave one within the budget (below a client's 5 s). Never rejects.
   * `servers` as `core/dns/upstreams.ts` writes them; none: those of the host.
   */
  ask(query: Uint8Array, servers: readonly string[]): Promise<Uint8Array | undefined>;
}

/** Sockets on port 53 (UDP and TCP) of given addresses, inside a network's namespace or the host's. */
export interface DnsListeners {
  /**
   * Idempotent; binds anew when the path leads to another namespace or the addresses changed. `namespacePath` e.g.
   * `/run/netns/ovl-4096`. Throws `data-path-failed` (retryable) when an address is not there.
   */
  ensure(listener: { networkId: string; namespacePath: string; addresses: readonly string[] }): Promise<void>;
  /** Idempotent. To be called before the namespace is removed: an open socket keeps it alive. */
  close(networkId: string): Promise<void>;
  /** Closes those of all other networks. */
  keep(networkIds: ReadonlySet<string>): Promise<void>;
  /** Closes those in the namespace at that path, whichever network's they are. */
  release(namespacePath: string): Promise<void>;
}

/**
 * Sockets inside of containers of an engine, which get the questions for its name server. The engine's own goes on beside
 * them, and is asked again as soon as they are closed: also by the end of this process, or of the container.
 */
export interface DnsInside {
  /** Idempotent. Throws `data-path-failed` (retryable) where the namespace is gone or the kernel refuses. */
  serve(container: InsideAsker): Promise<void>;
  /** Idempotent. */
  leave(key: string): Promise<void>;
  /** Leaves all others. */
  keep(keys: ReadonlySet<string>): Promise<void>;
  /** Asks the engine's name server as the container would. As {@link DnsForwarder.ask}. */
  ask(key: string, query: Uint8Array): Promise<Uint8Array | undefined>;
}
