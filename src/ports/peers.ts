/** The way to other members. */
import type { GossipMessage } from '../core/gossip/message.ts';

export interface Peer {
  readonly nodeId: string;
  /** `host:port` of its gossip listener. */
  readonly address: string;
}

/** Carries gossip messages between members, encoded as `proto/overlayd/v1/gossip.proto` says. */
export interface PeerTransport {
  /** One request, one reply. Rejects with `peer-unreachable` after `timeoutMs` or when the peer is not who it should be. */
  request(peer: Peer, message: GossipMessage, timeoutMs: number): Promise<GossipMessage>;
  /**
   * Whether anything at that address takes a connection or refuses one within `timeoutMs`: a host of which only the agent is away
   * does. Says nothing of who it is. Never rejects.
   */
  isThere(peer: Peer, timeoutMs: number): Promise<boolean>;
  /** Starts answering. `from` is the node id that the sender's certificate proves. */
  serve(handle: (from: string, message: GossipMessage) => Promise<GossipMessage>, signal: AbortSignal): Promise<void>;
  /** These are the members now: what is open to others is closed. */
  retain(nodeIds: ReadonlySet<string>): void;
}
