/**
 * WireGuard as overlayd speaks of it: the devices that a host should have, those it has, the single changes in between. All
 * are in the namespace {@link WIREGUARD_PLACE}, their UDP sockets in the host's (docs/adr/0020). Keys are base64 of 32 bytes (Curve25519,
 * as `wg` prints them); endpoints `host:port`, of IPv6 `[host]:port`; addresses canonical text.
 */
import type { Place } from '../host-state.ts';

export const WIREGUARD_PLACE = 'ovl-wg' satisfies Place;
/** One key each; the second is there while a key is exchanged. */
export const WIREGUARD_DEVICES = ['ovlwg0', 'ovlwg1'] as const;
/** Where all members' VTEPs and control addresses are inside of the tunnels (RFC 2544, appendix C.2.2). */
export const WIREGUARD_POOL = '198.18.0.0/15';
/** The second half of it: control addresses. */
export const CONTROL_POOL = '198.19.0.0/16';
/** The host's end of the way to the tunnels. */
export const CONTROL_LINK = 'ovlwg';
/** Numbers of keys: the last two bytes of their addresses. */
export const WIREGUARD_NUMBERS = [1, 65_534] as const;

export type WireguardBackend = 'kernel' | 'wireguard-go';
export type WireguardDeviceName = (typeof WIREGUARD_DEVICES)[number];

export interface WireguardPeer {
  readonly publicKey: string;
  /** Undefined: it calls. */
  readonly endpoint: string | undefined;
  /** CIDRs. */
  readonly allowedIps: readonly string[];
  /** 0: none. One that was 0, or of a peer that is new, begins with a packet, and so with a handshake, at once. */
  readonly keepaliveSeconds: number;
}

export interface WireguardDevice {
  readonly name: WireguardDeviceName;
  readonly privateKey: string;
  /** UDP, in the host. */
  readonly port: number;
  readonly mtu: number;
  /** Of this host inside of the tunnels, for this key. */
  readonly address: string;
  readonly peers: readonly WireguardPeer[];
}

export interface WantedWireguard {
  readonly devices: readonly WireguardDevice[];
  /** By which device, and so from whose address, this host sends; undefined: no device is wanted. */
  readonly sendBy: WireguardDeviceName | undefined;
}

export interface SeenPeer extends WireguardPeer {
  /** By the wall clock; undefined: never. */
  readonly lastHandshakeMs: number | undefined;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface SeenDevice extends Omit<WireguardDevice, 'privateKey' | 'address' | 'peers'> {
  readonly backend: WireguardBackend;
  /** Undefined: it has no key. */
  readonly publicKey: string | undefined;
  readonly up: boolean;
  /** Undefined: it has none, or not as a /32. */
  readonly address: string | undefined;
  readonly peers: readonly SeenPeer[];
}

export interface SeenWireguard {
  readonly devices: readonly SeenDevice[];
  /** The device and source of the route to {@link WIREGUARD_POOL}. */
  readonly sendBy: WireguardDeviceName | undefined;
}

export type WireguardOp =
  /**
   * With the namespace where that is missing, address, peers, and up. What has the name without being whole goes first; a
   * device that {@link SeenWireguard} has is refused. What fails leaves nothing of the device.
   */
  | { readonly kind: 'add-device'; readonly device: WireguardDevice }
  /** As all that takes away, it is done where there is nothing. */
  | { readonly kind: 'delete-device'; readonly name: WireguardDeviceName }
  /** What is given is set, and the device is up. The route follows a new address; a port that is taken leaves the old one. */
  | {
      readonly kind: 'set-device';
      readonly name: WireguardDeviceName;
      readonly set: Partial<Omit<WireguardDevice, 'name' | 'peers'>>;
    }
  /** Made or changed; without an endpoint it keeps the one it has. Its AllowedIPs are taken from every other peer. */
  | { readonly kind: 'set-peer'; readonly name: WireguardDeviceName; readonly peer: WireguardPeer }
  | { readonly kind: 'remove-peer'; readonly name: WireguardDeviceName; readonly publicKey: string }
  /** The route to {@link WIREGUARD_POOL}, replaced in one message. */
  | { readonly kind: 'send-by'; readonly name: WireguardDeviceName; readonly address: string }
  /** The last device is gone: so are namespace and processes. */
  | { readonly kind: 'delete-place' };

export interface WireguardFailure {
  readonly op: WireguardOp;
  readonly error: Error;
}
