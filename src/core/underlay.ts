/**
 * The underlay: the path from this host to another member, by which the packets of a network's tunnels go. A network says which
 * backend it has, all else follows: where rows point, what fits inside, where a VXLAN device has its socket.
 */
import { OverlaydError } from './errors.ts';
import { HOST, type Place } from './host-state.ts';
import type { Family } from './ip.ts';
import type { NetworkSettings } from './network-options.ts';
import type { NodeRecord } from './records.ts';
import { vtepOf } from './wireguard/addresses.ts';
import { WIREGUARD_PLACE } from './wireguard/state.ts';

/** `plain`: between the members' VTEPs. `wireguard`: between their addresses inside of WireGuard's tunnels. */
export type Backend = 'plain' | 'wireguard';

export interface Path {
  readonly backend: Backend;
  /** Tunnel addresses: what VXLAN's packets come from and go to. `local` undefined: that of the route, the only one there. */
  readonly local: string | undefined;
  readonly remote: string;
  /** UDP, of the other member's VXLAN devices. */
  readonly port: number;
}

/** What a network's VXLAN device is bound to. */
export interface TunnelEnd {
  /** As of {@link Path}. */
  readonly local: string | undefined;
  /** UDP. */
  readonly port: number;
  /** Where its UDP socket is, and so where its packets come in and leave. */
  readonly socketAt: Place;
}

type Member = Pick<NodeRecord, 'vtep' | 'dataPathPort' | 'wireguard' | 'nat'>;

/** VXLAN's bytes by the family of its packets: IP 20 or 40, UDP 8, VXLAN 8, inner Ethernet 14 (RFC 7348, section 5). */
const VXLAN_BYTES = { 4: 50, 6: 70 } as const;
/** WireGuard's: IP 20 or 40, UDP 8, header 16, tag 16 (its whitepaper, section 5.4.6). */
const WIREGUARD_BYTES = { 4: 60, 6: 80 } as const;
/**
 * A packet is padded to 16 bytes, but no further than to the MTU. That of its device wireguard-go does not know once it is in
 * another namespace: it goes on with this one, and pads what is left of a larger packet beyond multiples of it.
 */
const PADDING = { bytes: 16, within: 1_420 } as const;
/** What any path takes at least. */
export const LEAST_OVERHEAD_BYTES = VXLAN_BYTES[4];
/** Of 65,507 that UDP takes: 45 segments of the usual underlay, or 52 of the smallest, have 50 bytes each besides. */
const GSO_MAX_BYTES = 60_000;
/** UDP, of VXLAN within WireGuard, where nobody else is (RFC 7348, section 5). */
const INNER_PORT = 4_789;

export function backendOf({ encrypted }: Pick<NetworkSettings, 'encrypted'>): Backend {
  return encrypted ? 'wireguard' : 'plain';
}

/** The largest packet that WireGuard carries in one piece over an underlay of that MTU, padded as it may be; bytes. */
export function wireguardMtu(underlay: number, family: Family): number {
  const room = underlay - WIREGUARD_BYTES[family];
  return room - ((room % PADDING.within) % PADDING.bytes);
}

/** What is left for containers' packets of an underlay's MTU; bytes. Inside of WireGuard all is of IPv4. */
export function insideOf(backend: Backend, underlay: number, family: Family): number {
  return backend === 'plain' ? underlay - VXLAN_BYTES[family] : wireguardMtu(underlay, family) - VXLAN_BYTES[4];
}

/** Undefined: there is none. What is plain does not pass NAT, and WireGuard is for those who offer it. */
export function pathTo(backend: Backend, self: Member, member: Member): Path | undefined {
  if (backend === 'plain') {
    if (self.nat || member.nat) return undefined;
    return { backend, local: self.vtep, remote: member.vtep, port: member.dataPathPort };
  }
  const key = member.wireguard?.keys[0];
  return key && { backend, local: undefined, remote: vtepOf(key.number), port: INNER_PORT };
}

export function tunnelEndOf(backend: Backend, { vtep, dataPathPort }: Member): TunnelEnd {
  return backend === 'plain'
    ? { local: vtep, port: dataPathPort, socketAt: HOST }
    : { local: undefined, port: INNER_PORT, socketAt: WIREGUARD_PLACE };
}

/**
 * `wireguard-go` is given up to 64 KB in one piece, VXLAN's headers included: what a container hands over has to leave room for
 * those of its segments, or the rest comes behind as a small piece of its own.
 */
export function gsoMaxBytesOf(backend: Backend, { wireguard }: Member): number | undefined {
  return backend === 'wireguard' && wireguard?.backend === 'wireguard-go' ? GSO_MAX_BYTES : undefined;
}

/** Throws `invalid-argument` where this host cannot take part in a network of that backend, whoever else does. */
export function refuseUnreachable(backend: Backend, self: Pick<NodeRecord, 'name' | 'nat'>, network: string): void {
  if (backend === 'wireguard' || !self.nat) return;
  throw new OverlaydError(
    'invalid-argument',
    `network ${network} is not encrypted, and ${self.name} is behind NAT, where other hosts reach it through WireGuard alone; use a network that was made with \`--opt encrypted\``,
  );
}
