/**
 * Packets that members send each other with a network's own number, to see whether what is between the hosts lets that number pass:
 * the packets of `probe.ts` have another one. They take the way of a container's: through the network's VXLAN device, by the row of an
 * endpoint of the other host. There the network's filter hands them to the host's end of the bridge before any port
 * (`plan/filter.ts`), so that no container gets them; and none can send them, since its source is none that a container may have.
 *
 * One asks, and the other sends as much back by the same network. Where nothing comes back, a notice follows by the path without the
 * network, and the receipt for it says whether the question came in: so it is known which direction is lost. Pure.
 */
import { PROBE_PORT, probeMac } from './probe.ts';

const MAGIC = 0x4f56_4c4e;
const VERSION = 1;
/** By the network's number: `ask`, `answer`; without: `notice`, `receipt`. */
const KINDS = ['ask', 'answer', 'notice', 'receipt'] as const;
/** Magic, version, kind, what is said, nothing, number, VNI, node id. */
const BYTES = 4 + 4 + 4 + 4 + 16;
const SAID = { listens: 1, heard: 2 } as const;

export interface NetworkProbe {
  readonly kind: (typeof KINDS)[number];
  /** Of the question, chosen by the one who asks. */
  readonly number: number;
  readonly vni: number;
  /** Of the sender. */
  readonly nodeId: string;
  /** Of a receipt: this host has a place where such questions come in, and that one did. */
  readonly listens: boolean;
  readonly heard: boolean;
  /** Of the UDP payload; the rest is padding. */
  readonly bytes: number;
}

export function encodeNetworkProbe(probe: NetworkProbe): Uint8Array {
  const data = new Uint8Array(Math.max(BYTES, probe.bytes));
  const view = new DataView(data.buffer);
  view.setUint32(0, MAGIC);
  view.setUint8(4, VERSION);
  view.setUint8(5, KINDS.indexOf(probe.kind));
  view.setUint8(6, (probe.listens ? SAID.listens : 0) | (probe.heard ? SAID.heard : 0));
  view.setUint32(8, probe.number);
  view.setUint32(12, probe.vni);
  for (let at = 0; at < 16; at++) data[16 + at] = Number.parseInt(probe.nodeId.slice(2 * at, 2 * at + 2), 16) || 0;
  return data;
}

/** Undefined: it is none, or of a version that this agent does not know. */
export function decodeNetworkProbe(data: Uint8Array): NetworkProbe | undefined {
  if (data.length < BYTES) return undefined;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const kind = KINDS[view.getUint8(5)];
  if (view.getUint32(0) !== MAGIC || view.getUint8(4) !== VERSION || kind === undefined) return undefined;
  const said = view.getUint8(6);
  return {
    ...{ kind, number: view.getUint32(8), vni: view.getUint32(12), bytes: data.length },
    nodeId: Array.from(data.subarray(16, BYTES), (byte) => byte.toString(16).padStart(2, '0')).join(''),
    ...{ listens: (said & SAID.listens) !== 0, heard: (said & SAID.heard) !== 0 },
  };
}

// ---------------------------------------------------------------- the frame

const ETHERNET_BYTES = 14;
const IPV4_BYTES = 20;
const UDP_BYTES = 8;
/** As of one who has no address yet, to all: the host's end of a bridge takes it whatever addresses the network has (RFC 1122, section 3.2.1.3). */
export const PROBE_SOURCE = '0.0.0.0';
export const PROBE_TARGET = '255.255.255.255';

/** Of the payload, so that the packet is as large as that MTU. */
export function networkPayloadOf(mtu: number): number {
  return Math.max(BYTES, mtu - IPV4_BYTES - UDP_BYTES);
}

/** `to`: MAC of an endpoint of the other host. UDP without a checksum (RFC 768). */
export function encodeFrame(to: string, fromNodeId: string, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(ETHERNET_BYTES + IPV4_BYTES + UDP_BYTES + payload.length);
  const view = new DataView(frame.buffer);
  frame.set(macBytes(to), 0);
  frame.set(macBytes(probeMac(fromNodeId)), 6);
  view.setUint16(12, 0x0800);
  const ip = ETHERNET_BYTES;
  view.setUint8(ip, 0x45);
  view.setUint16(ip + 2, frame.length - ETHERNET_BYTES);
  view.setUint16(ip + 6, 0x4000);
  view.setUint8(ip + 8, 64);
  view.setUint8(ip + 9, 17);
  // The source is nothing but zeros.
  view.setUint32(ip + 16, 0xffff_ffff);
  view.setUint16(ip + 10, checksumOf(view, ip));
  const udp = ip + IPV4_BYTES;
  view.setUint16(udp, PROBE_PORT);
  view.setUint16(udp + 2, PROBE_PORT);
  view.setUint16(udp + 4, UDP_BYTES + payload.length);
  frame.set(payload, udp + UDP_BYTES);
  return frame;
}

/** RFC 791, section 3.1. */
function checksumOf(view: DataView, header: number): number {
  let sum = 0;
  for (let at = 0; at < IPV4_BYTES; at += 2) sum += view.getUint16(header + at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function macBytes(mac: string): number[] {
  return mac.split(':').map((part) => Number.parseInt(part, 16));
}

/** The rule of a network's filter that hands them to the host's end. `toBridge`: what does so, as nft says it. */
export function probeRule(tunnel: string, toBridge: string): string {
  return `iifname "${tunnel}" ip saddr ${PROBE_SOURCE} ip daddr ${PROBE_TARGET} udp dport ${PROBE_PORT} ${toBridge} accept`;
}
