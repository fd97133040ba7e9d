/** VXLAN that no tunnel's device sends: in clear, with whatever VNI, source and inner frame. */
import { bytesOf, requireIp } from '../../src/core/ip.ts';
import { SEND_FRAMES } from './frames.ts';
import type { Host } from './host.ts';

const VXLAN_PORT = 4789;
const UDP = 17;

export interface Outer {
  /** MACs of the link by which it is sent. */
  readonly sender: string;
  readonly receiver: string;
  readonly from: string;
  readonly to: string;
}

export interface Inner {
  readonly vni: number;
  /** Of two containers of that network. */
  readonly from: string;
  readonly to: string;
  readonly words: string;
}

/** What the container at `to` would take for a datagram of the one at `from`. Hexadecimal digits. */
export function vxlanFrame({ sender, receiver, from, to }: Outer, { vni, words, ...inner }: Inner): string {
  const said = ipv4Packet(inner.from, inner.to, datagram(9, Buffer.from(words)));
  const frame = Buffer.concat([hex(`${macAt(inner.to)}${macAt(inner.from)}0800`), said]);
  // RFC 7348, section 5.
  const header = hex(`08000000${vni.toString(16).padStart(6, '0')}00`);
  const packet = ipv4Packet(from, to, datagram(VXLAN_PORT, Buffer.concat([header, frame])));
  return `${digitsOf(receiver)}${digitsOf(sender)}0800${packet.toString('hex')}`;
}

/** Sends the frames by a link of the host, or of a container of it, as they are: no filter of theirs for IP is in the way. */
export async function sendFrames(place: Place, frames: readonly string[]): Promise<void> {
  const { host, container, link } = place;
  const argv = ['perl', '-e', SEND_FRAMES, link, ...frames];
  if (container === undefined) await host.must(argv);
  else await host.mustExec(container, argv);
}

export interface Place {
  readonly host: Host;
  /** Undefined: the host itself. */
  readonly container?: string;
  readonly link: string;
}

export async function macOf({ host, container, link }: Place): Promise<string> {
  const argv = ['cat', `/sys/class/net/${link}/address`];
  return (await (container === undefined ? host.must(argv) : host.mustExec(container, argv))).trim();
}

/** Of the endpoint or gateway that has the address (docs/datapath.md). */
export function macAt(address: string): string {
  return `0242${Buffer.from(bytesOf(requireIp(address, 'address'))).toString('hex')}`;
}

/** RFC 768, without a checksum, as VXLAN has it. */
function datagram(port: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(8);
  for (const [at, value] of [port, port, 8 + payload.length].entries()) header.writeUInt16BE(value, 2 * at);
  return Buffer.concat([header, payload]);
}

/** RFC 791. */
function ipv4Packet(from: string, to: string, payload: Buffer): Buffer {
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(20 + payload.length, 2);
  header[8] = 64;
  header[9] = UDP;
  header.set(bytesOf(requireIp(from, 'address')), 12);
  header.set(bytesOf(requireIp(to, 'address')), 16);
  let sum = 0;
  for (let at = 0; at < 20; at += 2) sum += header.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  header.writeUInt16BE(0xffff - sum, 10);
  return Buffer.concat([header, payload]);
}

function digitsOf(mac: string): string {
  return mac.replaceAll(':', '');
}

function hex(digits: string): Buffer {
  return Buffer.from(digits, 'hex');
}
