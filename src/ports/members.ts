/** What members tell each other of their own hosts: `proto/overlayd/v1/members.proto`. */
import type { EventFilter } from '../core/events/event-filter.ts';
import type { Selected } from '../core/events/event-history.ts';
import type { Peer } from './peers.ts';

export interface EventQuery extends EventFilter {
  /** Those after this cursor; 0: all. */
  readonly after: number;
  /** The newest of them. */
  readonly limit: number;
  /** Goes on with what happens, until the caller goes. */
  readonly follow: boolean;
}

export interface MembersHandler {
  events(query: EventQuery, signal: AbortSignal): AsyncIterable<Selected>;
}

export interface MembersTransport {
  /**
   * Of that member. Throws `peer-unreachable` (retryable) when it cannot be reached, within two seconds, or is gone while it
   * tells; `version-mismatch` when its release does not know the question. Ends when the signal aborts.
   */
  events(peer: Peer, query: EventQuery, signal: AbortSignal): AsyncIterable<Selected>;
}
