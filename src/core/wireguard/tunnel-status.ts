/** The tunnels as they are shown: one for each member, by the device and the key that are sent by and to. Pure. */
import type { MemberPeer, WantedDevices } from './desired.ts';
import type { SeenDevice, SeenPeer, SeenWireguard, WireguardBackend, WireguardDeviceName } from './state.ts';

export interface TunnelStatus {
  readonly nodeId: string;
  /** What runs the device on this host. */
  readonly backend: WireguardBackend;
  readonly device: WireguardDeviceName;
  /** Of the device, in bytes: what goes through the tunnel in one piece. */
  readonly mtu: number;
  /** `host:port`, where it was heard last or is looked for; undefined: it has not called yet. */
  readonly endpoint: string | undefined;
  /** By the wall clock, milliseconds; undefined: never. */
  readonly lastHandshakeMs: number | undefined;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  /** Name of the member that passes its packets on. */
  readonly relayedBy: string | undefined;
  /** In words, what is wrong with it. */
  readonly problem: string | undefined;
}

export interface TunnelFacts {
  readonly isSilent: (device: SeenDevice, peer: SeenPeer) => boolean;
  readonly relayedBy: (nodeId: string) => string | undefined;
}

export function tunnelStatus(
  wanted: WantedDevices,
  seen: SeenWireguard,
  peers: readonly MemberPeer[],
  { isSilent, relayedBy }: TunnelFacts,
): readonly TunnelStatus[] {
  const device = seen.devices.find(({ name }) => name === (seen.sendBy ?? wanted.sendBy));
  if (!device) return [];
  const found = new Map(device.peers.map((peer) => [peer.publicKey, peer]));
  const status = new Map<string, TunnelStatus>();
  for (const { nodeId, publicKey } of peers) {
    const peer = found.get(publicKey);
    // The first of its keys is the one that is sent to.
    if (!peer || status.has(nodeId)) continue;
    const { endpoint, lastHandshakeMs, receivedBytes, sentBytes } = peer;
    status.set(nodeId, {
      ...{ nodeId, backend: device.backend, device: device.name, mtu: device.mtu },
      ...{ endpoint, lastHandshakeMs, receivedBytes, sentBytes },
      relayedBy: relayedBy(nodeId),
      problem: isSilent(device, peer) ? silenceOf(peer) : undefined,
    });
  }
  return [...status.values()];
}

export function tunnelProblems(
  tunnels: readonly TunnelStatus[],
  nameOf: (nodeId: string) => string,
): readonly string[] {
  return tunnels.flatMap(({ nodeId, problem }) =>
    problem === undefined ? [] : [`the tunnel to ${nameOf(nodeId)}: ${problem}`],
  );
}

function silenceOf({ endpoint, lastHandshakeMs }: SeenPeer): string {
  const where = endpoint === undefined ? 'it' : `UDP ${endpoint}`;
  const causes = `${where} may be closed by a firewall on the way, it may have another key by now, or its clock may have gone back`;
  return lastHandshakeMs === undefined
    ? `no handshake though packets are sent: ${causes}`
    : `nothing comes back though packets are sent: ${causes}`;
}
