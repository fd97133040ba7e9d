/** Whose etcd's members are, and where the store is asked. Pure. */
import { formatHttpUrl, parseHttpUrl } from './host-port.ts';
import type { NodeRecord } from './records.ts';
import { storeAddresses } from './wireguard/reach.ts';

/** TCP, of the bundled etcd: clients, and members among themselves. */
export const CLIENT_PORT = 2379;
export const PEER_PORT = 2380;

type Located = Pick<NodeRecord, 'advertiseAddress'>;

export function clientUrlOf({ advertiseAddress: host }: Located): string {
  return formatHttpUrl({ scheme: 'https', host, port: CLIENT_PORT });
}

export function peerUrlOf({ advertiseAddress: host }: Located): string {
  return formatHttpUrl({ scheme: 'https', host, port: PEER_PORT });
}

/** As etcd has it. `name`: the node's id, once its etcd has started. */
export interface NamedMember {
  readonly name: string;
  readonly peerUrls: readonly string[];
}

const NODE_ID = /^[0-9a-f]{32}$/;

/**
 * Undefined: it is none of the cluster's, or its host has left. One that has not started yet, or is of before there were
 * several, has no node's name, and is known by its address; of two hosts that had one address after each other it is the
 * former's, if that is its name.
 */
export function nodeOfMember({ name, peerUrls }: NamedMember, nodes: Iterable<NodeRecord>): NodeRecord | undefined {
  const all = [...nodes].filter(({ left }) => !left);
  const named = all.find(({ id }) => id === name);
  if (named || NODE_ID.test(name)) return named;
  const hosts = peerUrls.map((url) => parseHttpUrl(url)?.host);
  return all.find(({ advertiseAddress, nat }) => !nat && hosts.includes(advertiseAddress));
}

/**
 * Where a node asks the store: at its own host first, then at the other keepers' in an order of its own, so that not all
 * members ask the same one. Undefined: nobody says who keeps it. `own`: where this node is now, whatever its record says yet: it
 * could not write a new address into a store that it asks at the old one.
 */
export function storeEndpoints(
  { id: selfId, advertiseAddress }: Pick<NodeRecord, 'id' | 'advertiseAddress'>,
  keepers: readonly string[] | undefined,
  nodes: Iterable<NodeRecord>,
): readonly string[] | undefined {
  const all = [...nodes].map((node) => (node.id === selfId ? { ...node, advertiseAddress } : node));
  const self = all.find(({ id }) => id === selfId);
  const kept = all.filter(({ id, left }) => !left && keepers?.includes(id));
  if (kept.length === 0) return undefined;
  const distance = ({ id }: NodeRecord) =>
    id === selfId ? -1 : (Number.parseInt(id.slice(0, 8), 16) ^ hashOf(selfId)) >>> 0;
  return kept
    .map((node) => ({ node, distance: distance(node) }))
    .sort((a, b) => a.distance - b.distance || (a.node.id < b.node.id ? -1 : 1))
    .flatMap(({ node }) => storeAddresses(self, node))
    .map((advertiseAddress) => clientUrlOf({ advertiseAddress }));
}

/** Spreads, no more: 32 bits of an id. */
function hashOf(id: string): number {
  return Number.parseInt(id.slice(8, 16), 16);
}
