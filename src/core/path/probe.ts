/**
 * Packets that members send each other through the data path to see whether it carries them: UDP inside of VXLAN with a VNI of its
 * own, which no network can have, and which agents that do not know it drop. One asks; the other sends as much back. Pure.
 */
import { DEFAULT, type FdbRow, type Neighbour, type Op, type Place, ROUTE_PROTOCOL, TUNNEL } from '../host-state.ts';
import { BITS, type Family, familyOfAddress } from '../ip.ts';
import type { NodeRecord } from '../records.ts';
import type { Backend, TunnelEnd } from '../underlay.ts';
import { vtepOf } from '../wireguard/addresses.ts';

/** The one that no network may choose: a device stays in the kernel when the agent ends, and two cannot have the same. */
export const PROBE_VNI = 0;
/** Namespaces, by what the packets go through; by their names none of a network's. */
export const PROBE_PLACES: Readonly<Record<Backend, Place>> = {
  plain: 'overlayd-path',
  wireguard: 'overlayd-path-wg',
};
/** UDP, inside, where nobody else is. */
export const PROBE_PORT = 7_946;

const MAGIC = 0x4f56_4c50;
const VERSION = 1;
const KINDS = ['ask', 'answer'] as const;
/** Magic, version, kind, two of nothing, number, time, node id. */
export const LEAST_BYTES = 4 + 1 + 1 + 2 + 4 + 8 + 16;
/** IP and UDP of the inner packet. */
const HEADER_BYTES = { 4: 28, 6: 48 } as const;

export interface Probe {
  readonly kind: (typeof KINDS)[number];
  /** Of the question, chosen by the one who asks. */
  readonly number: number;
  /** Of the sender. */
  readonly nodeId: string;
  /** By the sender's wall clock. */
  readonly now: number;
  /** Of the UDP payload; the rest is padding. */
  readonly bytes: number;
}

export function encodeProbe({ kind, number, nodeId, now, bytes }: Probe): Uint8Array {
  const data = new Uint8Array(Math.max(LEAST_BYTES, bytes));
  const view = new DataView(data.buffer);
  view.setUint32(0, MAGIC);
  view.setUint8(4, VERSION);
  view.setUint8(5, KINDS.indexOf(kind));
  view.setUint32(8, number);
  view.setBigUint64(12, BigInt(Math.max(0, Math.floor(now))));
  for (let at = 0; at < 16; at++) data[20 + at] = Number.parseInt(nodeId.slice(2 * at, 2 * at + 2), 16) || 0;
  return data;
}

/** Undefined: it is none, or of a version that this agent does not know. */
export function decodeProbe(data: Uint8Array): Probe | undefined {
  if (data.length < LEAST_BYTES) return undefined;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const kind = KINDS[view.getUint8(5)];
  if (view.getUint32(0) !== MAGIC || view.getUint8(4) !== VERSION || kind === undefined) return undefined;
  const id = Array.from(data.subarray(20, 36), (byte) => byte.toString(16).padStart(2, '0')).join('');
  return { kind, number: view.getUint32(8), nodeId: id, now: Number(view.getBigUint64(12)), bytes: data.length };
}

/** Of the payload, so that the packet inside is as large as that MTU. */
export function payloadOf(mtu: number, family: Family): number {
  return Math.max(LEAST_BYTES, mtu - HEADER_BYTES[family]);
}

/** The inner packet's bytes. */
export function packetOf(payload: number, family: Family): number {
  return payload + HEADER_BYTES[family];
}

/** Locally administered; 40 bits of the node's id. */
export function probeMac(nodeId: string): string {
  return `0e:${nodeId.slice(0, 10).match(/../g)?.join(':') ?? ''}`;
}

/**
 * By which a member is asked inside of the tunnel: its VTEP, which behind NAT others may have as well, or where it is within WireGuard.
 * Undefined: it offers no key.
 */
export function probeAddressOf(
  backend: Backend,
  { vtep, wireguard }: Pick<NodeRecord, 'vtep' | 'wireguard'>,
): string | undefined {
  if (backend === 'plain') return vtep;
  const key = wireguard?.keys[0];
  return key && vtepOf(key.number);
}

/** What makes the place anew, one stage after another: a namespace with the device, which has the address. */
export function placeOps(
  at: Place,
  self: { readonly id: string; readonly address: string },
  end: TunnelEnd,
  mtu: number,
): readonly (readonly Op[])[] {
  const family = familyOfAddress(self.address);
  return [
    [{ kind: 'add-namespace', name: at, id: PROBE_VNI }],
    [
      { kind: 'set-sysctl', at, key: 'net.ipv6.conf.all.disable_ipv6', value: family === 6 ? '0' : '1' },
      {
        ...{ kind: 'add-vxlan', at, name: TUNNEL, mac: probeMac(self.id), mtu },
        vxlan: { ...end, vni: PROBE_VNI, learning: false, proxy: false },
      },
    ],
    [
      { kind: 'set-link', at, name: TUNNEL, set: { noLinkLocal: true, ...(family === 6 && { ipv6: true }) } },
      { kind: 'set-link', at, name: TUNNEL, set: { up: true } },
      { kind: 'add-address', at, address: { link: TUNNEL, address: self.address, prefix: BITS[family] } },
      {
        ...{ kind: 'set-route', at },
        route: { destination: DEFAULT[family], gateway: undefined, link: TUNNEL, protocol: ROUTE_PROTOCOL },
      },
    ],
  ];
}

/** The device by itself: with the namespace alone it would go a moment later. */
export function removalOps(at: Place): readonly (readonly Op[])[] {
  return [[{ kind: 'delete-link', at, name: TUNNEL }], [{ kind: 'delete-namespace', name: at }]];
}

/** To a member: by which address it is asked, and where the packets are sent. */
export interface ProbeWay {
  readonly id: string;
  readonly address: string;
  readonly remote: string;
  /** UDP. */
  readonly port: number;
}

/** The way to a member, or no way any more. */
export function wayOps(at: Place, { id, port, remote, address }: ProbeWay, isThere: boolean): readonly Op[] {
  const mac = probeMac(id);
  const row: FdbRow = { link: TUNNEL, mac, vtep: remote, port };
  const neighbour: Neighbour = { link: TUNNEL, address, mac };
  return isThere
    ? [
        { kind: 'set-fdb', at, row },
        { kind: 'set-neighbour', at, neighbour },
      ]
    : [
        { kind: 'delete-neighbour', at, neighbour },
        { kind: 'delete-fdb', at, row },
      ];
}
