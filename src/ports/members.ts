/** What members tell each other of their own hosts: `proto/overlayd/v1/members.proto`. */
import type { DriftReport } from '../core/drift/drift.ts';
import type { EventFilter } from '../core/events/event-filter.ts';
import type { Selected } from '../core/events/event-history.ts';
import type { Look, Seen } from '../core/look.ts';
import type { Peer } from './peers.ts';

export interface EventQuery extends EventFilter {
  /** Those after this cursor; 0: all. */
  readonly after: number;
  /** The newest of them. */
  readonly limit: number;
  /** Goes on with what happens, until the caller goes. */
  readonly follow: boolean;
}

export interface DriftQuery {
  /** Id of the network; empty: all, and the host's own part. */
  readonly network: string;
  /** Puts right what differs, then tells what does still. */
  readonly repair: boolean;
}

export interface MembersHandler {
  events(query: EventQuery, signal: AbortSignal): AsyncIterable<Selected>;
  /** Of this host. Throws what looking throws. */
  drift(query: DriftQuery, signal: AbortSignal): Promise<DriftReport>;
  look(look: Look, signal: AbortSignal): Promise<Seen>;
}

export interface MembersTransport {
  /**
   * Of that member. Throws `peer-unreachable` (retryable) when it cannot be reached, within two seconds, or is gone while it
   * tells; `version-mismatch` when its release does not know the question. Ends when the signal aborts.
   */
  events(peer: Peer, query: EventQuery, signal: AbortSignal): AsyncIterable<Selected>;
  /** The same of what differs there. */
  drift(peer: Peer, query: DriftQuery, signal: AbortSignal): Promise<DriftReport>;
  look(peer: Peer, look: Look, signal: AbortSignal): Promise<Seen>;
}
