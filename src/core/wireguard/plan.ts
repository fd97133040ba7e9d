/**
 * The changes from the WireGuard that is seen to the one that is wanted. A second plan over what the first one made is empty.
 * A new peer is knocked at: a handshake that begins before the other side knows the key is lost and repeated after 5 s only,
 * so whoever is told last must begin. Pure.
 */
import { KEEPALIVE_SECONDS, type OwnDevice, type WantedDevices } from './desired.ts';
import type { SeenDevice, SeenPeer, SeenWireguard, WireguardOp, WireguardPeer } from './state.ts';

export interface PlanContext {
  /** Nothing is removed, and no MTU raised, on the word of a view that is not whole. */
  readonly mayRemove: boolean;
  /** Whether the endpoint of the record is to be set over the one that is seen. */
  readonly isEndpointDue: (device: SeenDevice, peer: SeenPeer, wanted: string | undefined) => boolean;
}

export function planWireguard(wanted: WantedDevices, seen: SeenWireguard, context: PlanContext): WireguardOp[] {
  const there = new Map(seen.devices.map((device) => [device.name, device]));
  const ops = wanted.devices.flatMap((device) => {
    const found = there.get(device.name);
    return found ? changesOf(device, found, context) : additionOf(device);
  });
  const sender = wanted.devices.find(({ name }) => name === wanted.sendBy);
  if (sender) {
    const isMoved = there.get(sender.name)?.address !== sender.address;
    if (isMoved || seen.sendBy !== sender.name) {
      ops.push({ kind: 'send-by', name: sender.name, address: sender.address });
    }
  }
  if (!context.mayRemove) return ops;
  const surplus = seen.devices.filter(({ name }) => !wanted.devices.some((device) => device.name === name));
  for (const { name } of surplus) ops.push({ kind: 'delete-device', name });
  if (wanted.devices.length === 0 && surplus.length > 0) ops.push({ kind: 'delete-place' });
  return ops;
}

function additionOf(device: OwnDevice): WireguardOp[] {
  const { publicKey: _, ...plain } = device;
  // Those with a keepalive begin by themselves.
  const silent = device.peers.filter(({ keepaliveSeconds }) => keepaliveSeconds === 0);
  return [
    { kind: 'add-device', device: plain },
    ...silent.flatMap((peer) => knockAt(device, { ...peer, endpoint: undefined }, 0, peer.endpoint !== undefined)),
  ];
}

function changesOf(device: OwnDevice, seen: SeenDevice, context: PlanContext): WireguardOp[] {
  const { name, address, mtu, port, privateKey } = device;
  const set = {
    ...(seen.publicKey !== device.publicKey && { privateKey }),
    ...(seen.port !== port && { port }),
    // A member may be missing in the view that needs the smaller one.
    ...((mtu < seen.mtu || (context.mayRemove && mtu !== seen.mtu)) && { mtu }),
    ...(seen.address !== address && { address }),
  };
  const ops: WireguardOp[] = [];
  if (Object.keys(set).length > 0 || !seen.up) ops.push({ kind: 'set-device', name, set });
  const there = new Map(seen.peers.map((peer) => [peer.publicKey, peer]));
  if (context.mayRemove) {
    const wanted = new Set(device.peers.map(({ publicKey }) => publicKey));
    for (const { publicKey } of seen.peers)
      if (!wanted.has(publicKey)) ops.push({ kind: 'remove-peer', name, publicKey });
  }
  for (const peer of device.peers) ops.push(...peerChanges(device, peer, there.get(peer.publicKey), seen, context));
  return ops;
}

function peerChanges(
  device: OwnDevice,
  peer: WireguardPeer,
  found: SeenPeer | undefined,
  seen: SeenDevice,
  context: PlanContext,
): WireguardOp[] {
  const hasEndpoint = peer.endpoint !== undefined;
  if (!found) return hasEndpoint ? knockAt(device, peer, 0, true) : [{ kind: 'set-peer', name: device.name, peer }];
  if (context.isEndpointDue(seen, found, peer.endpoint)) return knockAt(device, peer, found.keepaliveSeconds, true);
  const isSame = sameSet(found.allowedIps, peer.allowedIps) && found.keepaliveSeconds === peer.keepaliveSeconds;
  return isSame ? [] : [{ kind: 'set-peer', name: device.name, peer: { ...peer, endpoint: undefined } }];
}

/**
 * Sets the peer so that a handshake begins: from no keepalive to some, one is sent at once. `before`: the keepalive that it has.
 */
function knockAt({ name }: OwnDevice, peer: WireguardPeer, before: number, isReachable: boolean): WireguardOp[] {
  if (!isReachable) return [];
  const { keepaliveSeconds } = peer;
  const steps = [...(before > 0 ? [0] : []), keepaliveSeconds || KEEPALIVE_SECONDS, ...(keepaliveSeconds ? [] : [0])];
  return steps.map((seconds, at) => ({
    kind: 'set-peer',
    name,
    peer: { ...peer, ...(at > 0 && { endpoint: undefined }), keepaliveSeconds: seconds },
  }));
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((each) => b.includes(each));
}
