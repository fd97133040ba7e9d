/** TCP sockets of a namespace (`NETLINK_SOCK_DIAG`, sock_diag(7)): who listens, connections, and their end (`SOCK_DESTROY`, Linux 4.5 and newer). */
import { type Family, formatIp, ipOfBytes } from '../../core/ip.ts';
import { AF, AF_OF } from '../native/socket.ts';
import { AttributeReader, PayloadWriter } from './attributes.ts';
import type { Message, Request } from './message.ts';
import { IPPROTO_TCP } from './uapi/in.ts';
import { NLM_F_DUMP } from './uapi/netlink.ts';
import * as diag from './uapi/sock-diag.ts';

export interface TcpConnection {
  /** `AF_INET` or `AF_INET6`: of the socket, which may be of IPv6 while the peer has an address of IPv4. */
  readonly family: number;
  readonly localPort: number;
  readonly remotePort: number;
  /** The peer's address, of IPv4 where that is what it is. */
  readonly remote: string;
  /** Since something came from there last, data or an acknowledgement, in milliseconds. */
  readonly silentMs: number;
  /** What the kernel knows the socket by (`struct inet_diag_sockid`). */
  readonly id: Uint8Array;
}

/** A socket that listens. */
export interface TcpListener {
  /** In the order of the network, 4 bytes or 16. */
  readonly address: Uint8Array;
  /** As `/proc/PID/fd` shows it: `socket:[inode]`. */
  readonly inode: number;
}

const LISTENING = 1 << diag.TCP_LISTEN;
const STANDING = (1 << diag.TCP_ESTABLISHED) | (1 << diag.TCP_CLOSE_WAIT);
/** Before an address of IPv4 that a socket of IPv6 talks to (RFC 4291, 2.5.5.2). */
const MAPPED = Buffer.from('00000000000000000000ffff', 'hex');

/** Of which sockets the kernel tells; 0: whatever port it is. */
export interface WantedPorts {
  readonly local: number;
  readonly remote: number;
}

/** Of sockets of one family; those that only listen are left out. */
export function dumpConnections(family: Family, { local, remote }: WantedPorts): Request {
  return dump(family, STANDING, [local, remote]);
}

/** Of sockets of one family that listen at the port: the kernel looks through these alone, however many connections there are. */
export function dumpListeners(family: Family, port: number): Request {
  return dump(family, LISTENING, [port]);
}

export function decodeListener({ type, view, start, end }: Message): TcpListener | undefined {
  if (type !== diag.SOCK_DIAG_BY_FAMILY || start + diag.DIAG_MESSAGE_BYTES > end) return undefined;
  const source = view.byteOffset + start + diag.DIAG_ID_AT + 4;
  const address = new Uint8Array(view.buffer, source, view.getUint8(start) === AF.INET ? 4 : 16).slice();
  return { address, inode: view.getUint32(start + diag.DIAG_INODE_AT, true) };
}

/** Ends it, for both sides: who reads from it gets an error. */
export function destroyConnection({ family, id }: TcpConnection): Request {
  return { type: diag.SOCK_DESTROY, flags: 0, payload: request(family, STANDING, id) };
}

export function decodeConnection({ type, view, start, end }: Message): TcpConnection | undefined {
  const at = start + diag.DIAG_ID_AT;
  if (type !== diag.SOCK_DIAG_BY_FAMILY || start + diag.DIAG_MESSAGE_BYTES > end) return undefined;
  const family = view.getUint8(start);
  const id = new Uint8Array(view.buffer, view.byteOffset + at, diag.SOCKID_BYTES).slice();
  const [localPort, remotePort] = [view.getUint16(at), view.getUint16(at + 2)];
  let silentMs = 0;
  for (const info = new AttributeReader(view, start + diag.DIAG_MESSAGE_BYTES, end); info.next(); ) {
    if (info.type !== diag.INET_DIAG_INFO) continue;
    silentMs = Math.min(info.u32At(diag.TCPI_LAST_DATA_RECV_AT), info.u32At(diag.TCPI_LAST_ACK_RECV_AT));
  }
  return { family, localPort, remotePort, remote: addressOf(family, id.subarray(20, 36)), silentMs, id };
}

function addressOf(family: number, bytes: Uint8Array): string {
  if (family === AF.INET) return formatIp(ipOfBytes(bytes.subarray(0, 4))!);
  const isMapped = MAPPED.equals(bytes.subarray(0, MAPPED.length));
  return formatIp(ipOfBytes(isMapped ? bytes.subarray(MAPPED.length) : bytes)!);
}

function dump(family: Family, states: number, ports: readonly number[]): Request {
  const wanted = ports.flatMap((port) => [port >> 8, port & 255]);
  return { type: diag.SOCK_DIAG_BY_FAMILY, flags: NLM_F_DUMP, payload: request(AF_OF[family], states, wanted) };
}

function request(family: number, states: number, id: Iterable<number>): Uint8Array {
  return new PayloadWriter()
    .header(diag.DIAG_REQUEST_BYTES, (view, at) => {
      view.setUint8(at, family);
      view.setUint8(at + 1, IPPROTO_TCP);
      view.setUint8(at + 2, 1 << (diag.INET_DIAG_INFO - 1));
      view.setUint32(at + 4, states, true);
      for (const [nth, byte] of [...id].entries()) view.setUint8(at + 8 + nth, byte);
    })
    .payload();
}
