/**
 * WireGuard devices of the kernel's module (`linux/wireguard.h`), by generic netlink: asked and set in the namespace that the
 * device is in. What has many peers takes several messages, both ways. Keys are base64, endpoints `host:port`.
 */
import { formatCidr, requireCidr } from '../../core/cidr.ts';
import { formatHostPort, parseHostPort } from '../../core/host-port.ts';
import { parseIp } from '../../core/ip.ts';
import { AF, AF_OF, inetAddress } from '../native/socket.ts';
import type { AttributeReader, PayloadWriter } from './attributes.ts';
import { genericAttributes, genericPayload } from './generic.ts';
import { type NewLink, newLink } from './link.ts';
import type { Message, Request } from './message.ts';
import { NLA_F_NESTED, NLM_F_DUMP } from './uapi/netlink.ts';
import * as wg from './uapi/wireguard.ts';

/** What is to be otherwise; what is left out stays. */
export interface PeerChange {
  readonly publicKey: string;
  readonly remove?: boolean | undefined;
  readonly endpoint?: string | undefined;
  /** All that it has from then on, in canonical text; the device's other peers lose them. */
  readonly allowedIps?: readonly string[] | undefined;
  readonly keepaliveSeconds?: number | undefined;
}

export interface DeviceChange {
  readonly name: string;
  readonly privateKey?: string | undefined;
  readonly port?: number | undefined;
  /** No other peers stay. */
  readonly replacePeers?: boolean | undefined;
  readonly peers?: readonly PeerChange[] | undefined;
}

export interface PeerMessage {
  readonly publicKey: string;
  readonly endpoint: string | undefined;
  readonly allowedIps: readonly string[];
  readonly keepaliveSeconds: number;
  /** Of the wall clock; undefined: never. */
  readonly lastHandshakeMs: number | undefined;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  /** `WGPEER_F_*`, of requests. */
  readonly flags: number;
}

/** A device, or a part of one: of a peer that is the last of one message and the first of the next there is more in the latter. */
export interface DeviceMessage {
  readonly name: string;
  /** Undefined: not told, or there is none. */
  readonly privateKey: string | undefined;
  readonly publicKey: string | undefined;
  readonly port: number | undefined;
  /** `WGDEVICE_F_*`, of requests. */
  readonly flags: number;
  readonly peers: readonly PeerMessage[];
}

/** A message is ended when it has grown so long: far below what an attribute can be, and a socket takes. */
const FULL_BYTES = 16 * 1024;
const NO_KEY = Buffer.alloc(wg.WG_KEY_LEN).toString('base64');

// ---------------------------------------------------------------- requests

/** Its UDP sockets stay in the namespace of the socket that asks, wherever it goes. `EOPNOTSUPP` without the module. */
export function newWireguard(link: NewLink): Request {
  return newLink(link, 'wireguard');
}

/**
 * One request or, of many peers, several, to be sent in order. `family`: of `WG_GENL_NAME`. `ENODEV` where there is no such
 * device, `EADDRINUSE` where the port is taken and the device is up.
 */
export function setWireguard(family: number, device: DeviceChange): Request[] {
  const requests: Request[] = [];
  const peers = [...(device.peers ?? [])];
  /** Of the first peer, what was not written yet. */
  let rest: readonly string[] | undefined;
  do {
    const writer = genericPayload(wg.WG_CMD_SET_DEVICE, wg.WG_GENL_VERSION).text(wg.WGDEVICE_A_IFNAME, device.name);
    if (requests.length === 0) writeDevice(writer, device);
    if (peers.length > 0) {
      writer.nested(
        wg.WGDEVICE_A_PEERS,
        () => {
          while (peers.length > 0 && writer.length < FULL_BYTES) {
            rest = writePeer(writer, peers[0]!, rest);
            if (rest === undefined) peers.shift();
          }
        },
        NLA_F_NESTED,
      );
    }
    requests.push({ type: family, flags: 0, payload: writer.payload() });
  } while (peers.length > 0);
  return requests;
}

function writeDevice(writer: PayloadWriter, { privateKey, port, replacePeers }: DeviceChange): void {
  if (privateKey !== undefined) writer.bytes(wg.WGDEVICE_A_PRIVATE_KEY, Buffer.from(privateKey, 'base64'));
  if (replacePeers) writer.u32(wg.WGDEVICE_A_FLAGS, wg.WGDEVICE_F_REPLACE_PEERS);
  if (port !== undefined) writer.u16(wg.WGDEVICE_A_LISTEN_PORT, port);
}

/** `rest`: of one that was begun, the AllowedIPs that are left. Returns those that found no room; undefined: all did. */
function writePeer(writer: PayloadWriter, peer: PeerChange, rest?: readonly string[]): readonly string[] | undefined {
  let left = rest ?? peer.allowedIps;
  const peerFlags =
    (peer.remove ? wg.WGPEER_F_REMOVE_ME : 0) |
    (rest === undefined && peer.allowedIps ? wg.WGPEER_F_REPLACE_ALLOWEDIPS : 0);
  const fill = () => {
    writer.bytes(wg.WGPEER_A_PUBLIC_KEY, Buffer.from(peer.publicKey, 'base64'));
    if (peerFlags !== 0) writer.u32(wg.WGPEER_A_FLAGS, peerFlags);
    if (rest === undefined) {
      const { endpoint, keepaliveSeconds } = peer;
      if (endpoint !== undefined) writer.bytes(wg.WGPEER_A_ENDPOINT, endpointBytes(endpoint));
      if (keepaliveSeconds !== undefined) writer.u16(wg.WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, keepaliveSeconds);
    }
    if (!left || left.length === 0) return;
    writer.nested(
      wg.WGPEER_A_ALLOWEDIPS,
      () => {
        let count = 0;
        for (; count < left!.length && (count === 0 || writer.length < FULL_BYTES); count++)
          writeAllowedIp(writer, left![count]!);
        left = left!.slice(count);
      },
      NLA_F_NESTED,
    );
  };
  writer.nested(0, fill, NLA_F_NESTED);
  return left && left.length > 0 ? left : undefined;
}

function writeAllowedIp(writer: PayloadWriter, text: string): void {
  const { ip, prefix } = requireCidr(text, 'AllowedIP');
  const fill = () => {
    writer.u16(wg.WGALLOWEDIP_A_FAMILY, AF_OF[ip.family]).ip(wg.WGALLOWEDIP_A_IPADDR, ip);
    writer.u8(wg.WGALLOWEDIP_A_CIDR_MASK, prefix);
  };
  writer.nested(0, fill, NLA_F_NESTED);
}

function endpointBytes(endpoint: string): Uint8Array {
  const { host = '', port = 0 } = parseHostPort(endpoint) ?? {};
  return inetAddress(host, port);
}

/** Everything of one device, by a dump. `ENODEV`, `EOPNOTSUPP` where there is none. */
export function getWireguard(family: number, name: string): Request {
  const writer = genericPayload(wg.WG_CMD_GET_DEVICE, wg.WG_GENL_VERSION).text(wg.WGDEVICE_A_IFNAME, name);
  return { type: family, flags: NLM_F_DUMP, payload: writer.payload() };
}

// ---------------------------------------------------------------- answers

/** Of `WG_CMD_GET_DEVICE` and `WG_CMD_SET_DEVICE`. */
export function decodeWireguard(message: Message): DeviceMessage {
  let name = '';
  let [privateKey, publicKey]: (string | undefined)[] = [];
  let port: number | undefined;
  let flags = 0;
  const peers: PeerMessage[] = [];
  const attributes = genericAttributes(message);
  while (attributes.next()) {
    if (attributes.type === wg.WGDEVICE_A_IFNAME) name = attributes.text();
    else if (attributes.type === wg.WGDEVICE_A_PRIVATE_KEY) privateKey = readKey(attributes);
    else if (attributes.type === wg.WGDEVICE_A_PUBLIC_KEY) publicKey = readKey(attributes);
    else if (attributes.type === wg.WGDEVICE_A_LISTEN_PORT) port = attributes.u16();
    else if (attributes.type === wg.WGDEVICE_A_FLAGS) flags = attributes.u32();
    else if (attributes.type === wg.WGDEVICE_A_PEERS) {
      const each = attributes.nested();
      while (each.next()) peers.push(readPeer(each.nested()));
    }
  }
  return { name, privateKey, publicKey, port, flags, peers };
}

/** Puts the parts of one device together; undefined when there is none. */
export function joinWireguard(parts: readonly DeviceMessage[]): DeviceMessage | undefined {
  const [first] = parts;
  if (!first) return undefined;
  const peers: PeerMessage[] = [];
  for (const peer of parts.flatMap((part) => part.peers)) {
    const last = peers.at(-1);
    if (last?.publicKey !== peer.publicKey) peers.push(peer);
    else peers[peers.length - 1] = { ...last, allowedIps: [...last.allowedIps, ...peer.allowedIps] };
  }
  return { ...first, peers };
}

function readKey(attributes: AttributeReader): string | undefined {
  const key = Buffer.from(attributes.bytes()).toString('base64');
  return key === NO_KEY ? undefined : key;
}

function readPeer(attributes: AttributeReader): PeerMessage {
  const seen = { publicKey: '', keepaliveSeconds: 0, receivedBytes: 0, sentBytes: 0, flags: 0 };
  let endpoint: string | undefined;
  let lastHandshakeMs: number | undefined;
  const allowedIps: string[] = [];
  while (attributes.next()) {
    switch (attributes.type) {
      case wg.WGPEER_A_PUBLIC_KEY:
        seen.publicKey = Buffer.from(attributes.bytes()).toString('base64');
        break;
      case wg.WGPEER_A_FLAGS:
        seen.flags = attributes.u32();
        break;
      case wg.WGPEER_A_ENDPOINT:
        endpoint = readEndpoint(attributes);
        break;
      case wg.WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL:
        seen.keepaliveSeconds = attributes.u16();
        break;
      case wg.WGPEER_A_LAST_HANDSHAKE_TIME:
        lastHandshakeMs = readTime(attributes);
        break;
      case wg.WGPEER_A_RX_BYTES:
        seen.receivedBytes = attributes.u64();
        break;
      case wg.WGPEER_A_TX_BYTES:
        seen.sentBytes = attributes.u64();
        break;
      case wg.WGPEER_A_ALLOWEDIPS: {
        const each = attributes.nested();
        while (each.next()) allowedIps.push(...readAllowedIp(each.nested()));
        break;
      }
    }
  }
  return { ...seen, endpoint, allowedIps, lastHandshakeMs };
}

function readTime(attributes: AttributeReader): number | undefined {
  const ms = attributes.u64() * 1_000 + Math.floor(attributes.u64At(8) / 1e6);
  return ms === 0 ? undefined : ms;
}

/** `struct sockaddr_in`: family, port, address. `struct sockaddr_in6`: the flow label stands between. */
function readEndpoint(attributes: AttributeReader): string | undefined {
  const family = attributes.u16();
  const port = attributes.view.getUint16(attributes.at + 2);
  if (family !== AF.INET && family !== AF.INET6) return undefined;
  const address = family === AF.INET ? attributes.ipAt(4, 4) : attributes.ipAt(8, 16);
  return address === undefined ? undefined : formatHostPort(address, port);
}

function readAllowedIp(attributes: AttributeReader): string[] {
  let address: string | undefined;
  let prefix = 0;
  while (attributes.next()) {
    if (attributes.type === wg.WGALLOWEDIP_A_IPADDR) address = attributes.ip();
    else if (attributes.type === wg.WGALLOWEDIP_A_CIDR_MASK) prefix = attributes.u8();
  }
  const ip = address === undefined ? undefined : parseIp(address);
  return ip ? [formatCidr({ ip, prefix })] : [];
}
