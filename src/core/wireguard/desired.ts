/**
 * The WireGuard devices and peers that this host should have: a function of what is known of the cluster, and of its own keys. All
 * members that offer a key are peers of each of its devices; devices are there only where the cluster uses them. Pure.
 */
import type { ClusterView } from '../cluster-view.ts';
import { formatHostPort } from '../host-port.ts';
import { type Family, isIpv4 } from '../ip.ts';
import { isEncrypted } from '../network-options.ts';
import type { NodeRecord, WireguardKey } from '../records.ts';
import { wireguardMtu } from '../underlay.ts';
import { controlOf, vtepOf } from './addresses.ts';
import { type ClaimedKey, comingKey, portOf } from './own-keys.ts';
import type { WantedWireguard, WireguardDevice, WireguardPeer } from './state.ts';

/** What keeps a NAT's mapping (RFC 4787 asks for two minutes, many hold 30 s). */
export const KEEPALIVE_SECONDS = 25;
/** Until a new key has shaken hands: WireGuard gives up after 90 s, and a keepalive begins again. */
const KNOCK_SECONDS = 5;

export interface WireguardInput {
  readonly view: Pick<ClusterView, 'nodes' | 'networks' | 'cluster' | 'keyNumbers'>;
  readonly selfId: string;
  /** Those that have a number, in the order of the file. */
  readonly keys: readonly ClaimedKey[];
  readonly basePort: number;
  /** Where this host, behind NAT, sends what is for a key of another one that is. Absent: nowhere, it calls. */
  readonly endpointTo?: ((ownKey: string, node: NodeRecord, key: WireguardKey) => string | undefined) | undefined;
}

/** A peer, and the member whose it is. */
export interface MemberPeer extends WireguardPeer {
  readonly nodeId: string;
  readonly number: number;
}

/** What is seen of a device is its public key. */
export interface OwnDevice extends WireguardDevice {
  readonly publicKey: string;
}

export interface WantedDevices extends WantedWireguard {
  readonly devices: readonly OwnDevice[];
}

/** Whether anything goes through tunnels. */
export function usesWireguard(view: Pick<ClusterView, 'nodes' | 'networks' | 'cluster'>): boolean {
  if (view.cluster()?.encryption !== undefined) return true;
  for (const network of view.networks()) if (isEncrypted(network)) return true;
  for (const { left, nat } of view.nodes()) if (!left && nat) return true;
  return false;
}

/** MTU of the devices, in bytes: what the narrowest underlay of any member leaves. */
export function tunnelMtu(nodes: Iterable<NodeRecord>): number {
  let least = Number.POSITIVE_INFINITY;
  let family: Family = 4;
  for (const { left, underlayMtu, vtep } of nodes) {
    if (left) continue;
    least = Math.min(least, underlayMtu);
    if (!isIpv4(vtep)) family = 6;
  }
  return wireguardMtu(Number.isFinite(least) ? least : 1_500, family);
}

/** Of all members that have not left, this one aside; a number of which the claim says that it is another's is left out. */
export function memberPeers({ view, selfId, keys: own }: WireguardInput): readonly MemberPeer[] {
  const numbers = view.keyNumbers();
  const known = new Set(own.map(({ publicKey }) => publicKey));
  const isNat = [...view.nodes()].some(({ id, nat }) => id === selfId && nat);
  const peers: MemberPeer[] = [];
  for (const node of view.nodes()) {
    if (node.left || node.id === selfId || !node.wireguard) continue;
    for (const key of node.wireguard.keys) {
      const holder = numbers.get(key.number);
      const isOthers = holder !== undefined && holder !== node.id;
      if (isOthers || known.has(key.publicKey) || own.some(({ number }) => number === key.number)) continue;
      known.add(key.publicKey);
      peers.push({
        nodeId: node.id,
        number: key.number,
        publicKey: key.publicKey,
        // Who is behind NAT calls.
        endpoint: node.nat ? undefined : formatHostPort(node.vtep, key.port),
        allowedIps: [`${vtepOf(key.number)}/32`, `${controlOf(key.number)}/32`],
        keepaliveSeconds: isNat ? KEEPALIVE_SECONDS : 0,
      });
    }
  }
  return peers;
}

export function wantedWireguard(input: WireguardInput): WantedDevices {
  const { basePort, keys, view } = input;
  if (keys.length === 0 || !usesWireguard(view)) return { devices: [], sendBy: undefined };
  const mtu = tunnelMtu(view.nodes());
  const members = memberPeers(input);
  const hidden = hiddenFrom(input);
  const coming = comingKey(keys);
  const peersOf = (own: ClaimedKey) =>
    members.map(({ nodeId, number, ...peer }): WireguardPeer => {
      const node = hidden.get(nodeId);
      const key = node?.wireguard?.keys.find((each) => each.number === number);
      return node && key ? { ...peer, endpoint: input.endpointTo?.(own.publicKey, node, key) } : peer;
    });
  const devices = keys.map((key) => ({
    name: key.device,
    privateKey: key.privateKey,
    publicKey: key.publicKey,
    port: portOf(key, basePort),
    mtu,
    address: vtepOf(key.number),
    peers: key === coming ? peersOf(key).map(knocking) : peersOf(key),
  }));
  return { devices, sendBy: keys[0]!.device };
}

function knocking(peer: WireguardPeer): WireguardPeer {
  return peer.endpoint === undefined ? peer : { ...peer, keepaliveSeconds: KNOCK_SECONDS };
}

/** By id, of others, where this host is behind NAT as well: these two call each other where they are seen. */
function hiddenFrom({ selfId, view }: WireguardInput): ReadonlyMap<string, NodeRecord> {
  const hidden = new Map([...view.nodes()].filter(({ left, nat }) => !left && nat).map((node) => [node.id, node]));
  return hidden.delete(selfId) ? hidden : new Map();
}
