/**
 * Members behind different NATs that do not get through to each other: a member with a public address passes their packets on,
 * which it cannot read. Who does is the same for all that know the same members (rendezvous hashing); that it does, and at which
 * ports, it says in its node record. Pure.
 */
import { formatHostPort } from '../host-port.ts';
import type { NodeRecord, WireguardRelay } from '../records.ts';

/** Public keys of two members behind NAT, in order. */
export type Pair = readonly [first: string, second: string];

/** A pair, and whose keys they are. */
export interface RelayedPair {
  readonly keys: Pair;
  readonly nodeIds: readonly [string, string];
}

/** So many are ready to relay between two, of whom one does. */
const RELAYS = 2;
/** WireGuard's messages: one byte says which of four, three are 0; the shortest is an empty transport message (5.4). */
const LEAST_BYTES = 32;

export function pairOf(a: string, b: string): Pair {
  return a < b ? [a, b] : [b, a];
}

/**
 * Members that may relay between two of these keys, the first one first. `isReady`: whether a member is heard. One by which either
 * of both does not get through is none.
 */
export function relaysFor(
  [a, b]: Ends,
  nodes: readonly NodeRecord[],
  isReady: (nodeId: string) => boolean,
): readonly NodeRecord[] {
  const avoided = new Set([...avoidedBy(a, b, nodes), ...avoidedBy(b, a, nodes)]);
  const able = nodes.filter(
    ({ id, left, nat, wireguard }) => !left && !nat && wireguard && !avoided.has(id) && isReady(id),
  );
  const pair = pairOf(a.nodeId, b.nodeId).join(' ');
  const scored = able.map((node) => ({ node, score: scoreOf(`${pair} ${node.id}`) }));
  scored.sort((one, two) => two.score - one.score || (one.node.id < two.node.id ? -1 : 1));
  return scored.map(({ node }) => node);
}

function avoidedBy(one: KeyOfNode, other: KeyOfNode, nodes: readonly NodeRecord[]): readonly string[] {
  const avoided = nodes.find(({ id }) => id === one.nodeId)?.wireguard?.avoided ?? [];
  return avoided.filter(({ key }) => key === other.publicKey).map(({ relay }) => relay);
}

/**
 * What this host is to relay: between two of which one says that it does not reach the other, where this host comes first; or
 * second, so that there is another one at once when the first is lost.
 */
export function pairsToRelay(
  selfId: string,
  nodes: readonly NodeRecord[],
  isReady: (nodeId: string) => boolean,
): readonly RelayedPair[] {
  const owners = new Map<string, NodeRecord>();
  for (const node of nodes) {
    if (node.left || !node.nat) continue;
    for (const { publicKey } of node.wireguard?.keys ?? []) owners.set(publicKey, node);
  }
  const pairs = new Map<string, RelayedPair>();
  for (const [own, node] of owners) {
    for (const other of node.wireguard?.unreached ?? []) {
      const peer = owners.get(other);
      if (!peer || peer.id === node.id) continue;
      const ends = [
        { nodeId: node.id, publicKey: own },
        { nodeId: peer.id, publicKey: other },
      ] as const;
      const relays = relaysFor(ends, nodes, isReady).slice(0, RELAYS);
      if (!relays.some(({ id }) => id === selfId)) continue;
      const keys = pairOf(own, other);
      const nodeIds = keys[0] === own ? ([node.id, peer.id] as const) : ([peer.id, node.id] as const);
      pairs.set(keys.join(' '), { keys, nodeIds });
    }
  }
  return [...pairs.values()].sort((a, b) => (a.keys.join() < b.keys.join() ? -1 : 1));
}

/** Where the first of two sends what is for the other, and by whom; undefined: nobody relays yet. */
export function relayedWay(
  [own, other]: Ends,
  nodes: readonly NodeRecord[],
  isReady: (nodeId: string) => boolean,
): { readonly relay: NodeRecord; readonly endpoint: string } | undefined {
  const keys = pairOf(own.publicKey, other.publicKey);
  for (const relay of relaysFor([own, other], nodes, isReady)) {
    const found = relay.wireguard?.relays?.find((each) => isOf(each, keys));
    const port = found?.ports[keys[0] === own.publicKey ? 0 : 1];
    if (port !== undefined) return { relay, endpoint: formatHostPort(relay.vtep, port) };
  }
  return undefined;
}

export type Ends = readonly [KeyOfNode, KeyOfNode];

export interface KeyOfNode {
  readonly nodeId: string;
  readonly publicKey: string;
}

export function isOf({ between }: Pick<WireguardRelay, 'between'>, [first, second]: Pair): boolean {
  return between[0] === first && between[1] === second;
}

/** Whether it may be one of WireGuard's packets; nothing else is passed on. */
export function isWireguardPacket(packet: Uint8Array): boolean {
  const [kind = 0, ...zeros] = packet.subarray(0, 4);
  return packet.length >= LEAST_BYTES && kind >= 1 && kind <= 4 && zeros.every((byte) => byte === 0);
}

/** FNV-1a, 32 bits, with a last mix (murmur3's), so that texts that end alike are far apart. */
function scoreOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
