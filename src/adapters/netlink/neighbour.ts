/**
 * Neighbours and FDB rows (`RTM_*NEIGH`, rtnetlink(7), `linux/neighbour.h`): an address and its MAC on a link; a MAC and where
 * a bridge (`NTF_MASTER`: it is asked by its port) or a VXLAN device (`NTF_SELF`) sends what is for it. One message for
 * both: the family tells which it is.
 */
import { ALL_ZEROS } from '../../core/row-table.ts';
import { AF, AF_OF } from '../native/socket.ts';
import { AttributeReader, PayloadWriter, parseAddress } from './attributes.ts';
import type { Message, Request } from './message.ts';
import * as nl from './uapi/neighbour.ts';
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE } from './uapi/netlink.ts';
import { RTM_DELNEIGH, RTM_GETNEIGH, RTM_NEWNEIGH } from './uapi/rtnetlink.ts';

/** States of FDB rows (`NUD_*`), as `bridge fdb` says "permanent" and "static": of a bridge's row the former would mean that the MAC is the bridge's own. */
export const TUNNEL_ROW = nl.NUD_NOARP | nl.NUD_PERMANENT;
export const BRIDGE_ROW = nl.NUD_NOARP | nl.NUD_REACHABLE;

/** A permanent neighbour. */
export interface NeighbourSpec {
  /** Index of the link. */
  readonly link: number;
  readonly address: string;
  readonly mac: string;
}

/** A row that somebody wrote: for ever, and not learnt. */
export interface FdbSpec {
  readonly link: number;
  readonly mac: string;
  /** Address of the tunnel end behind which it is: a row of a VXLAN device. Undefined: of the bridge that the link is in. */
  readonly vtep?: string | undefined;
  /** UDP port of the tunnel end; undefined: the device's. */
  readonly port?: number | undefined;
}

export interface NeighbourMessage {
  /** `AF_INET` (2), `AF_INET6` (10), or `AF.BRIDGE` (7): an FDB row. */
  readonly family: number;
  readonly link: number;
  /** `NUD_*`. */
  readonly state: number;
  /** `NTF_*`. */
  readonly flags: number;
  /** The neighbour's address, of an FDB row the tunnel end's; undefined: none. */
  readonly address: string | undefined;
  /** Empty where none is known. */
  readonly mac: string;
  /** UDP port of the tunnel end; undefined: the device's. */
  readonly port: number | undefined;
  /** Of a bridge's row, the bridge's index; 0: none. */
  readonly master: number;
  /** Of a bridge's row, the VLAN that it is for; 0: for what has no tag, and for all where the bridge knows no VLANs. */
  readonly vlan: number;
}

/** Makes it, or changes the one that is there. */
export function replaceNeighbour({ link, address, mac }: NeighbourSpec): Request {
  const ip = parseAddress(address);
  const header = { family: AF_OF[ip.family], link, state: nl.NUD_PERMANENT, flags: 0 };
  const payload = begin(header).ip(nl.NDA_DST, ip).mac(nl.NDA_LLADDR, mac).payload();
  return { type: RTM_NEWNEIGH, flags: NLM_F_CREATE | NLM_F_REPLACE, payload };
}

/** `ENOENT` when there is none. */
export function deleteNeighbour({ link, address }: Pick<NeighbourSpec, 'link' | 'address'>): Request {
  const ip = parseAddress(address);
  const payload = begin({ family: AF_OF[ip.family], link, state: 0, flags: 0 }).ip(nl.NDA_DST, ip).payload();
  return { type: RTM_DELNEIGH, flags: 0, payload };
}

/** Overwrites the one of its MAC; of {@link ALL_ZEROS} a device keeps a list, which it is added to. */
export function replaceFdb(row: FdbSpec): Request {
  const how = row.mac === ALL_ZEROS ? NLM_F_APPEND : NLM_F_REPLACE;
  return { type: RTM_NEWNEIGH, flags: NLM_F_CREATE | how, payload: encodeFdb(row) };
}

/** `ENOENT` when there is none. */
export function deleteFdb(row: FdbSpec): Request {
  return { type: RTM_DELNEIGH, flags: 0, payload: encodeFdb(row) };
}

/** Of both families; of one link, where its index is given. */
export function dumpNeighbours(link?: number): Request {
  const writer = begin({ family: 0, link: 0, state: 0, flags: 0 });
  if (link !== undefined) writer.u32(nl.NDA_IFINDEX, link);
  return { type: RTM_GETNEIGH, flags: NLM_F_DUMP, payload: writer.payload() };
}

/** Of all bridges and devices; of one port or device, where its index is given. */
export function dumpFdb(link = 0): Request {
  return {
    type: RTM_GETNEIGH,
    flags: NLM_F_DUMP,
    payload: begin({ family: AF.BRIDGE, link, state: 0, flags: 0 }).payload(),
  };
}

function encodeFdb({ link, mac, vtep, port }: FdbSpec): Uint8Array {
  const ofDevice = vtep !== undefined;
  const state = ofDevice ? TUNNEL_ROW : BRIDGE_ROW;
  const writer = begin({ family: AF.BRIDGE, link, state, flags: ofDevice ? nl.NTF_SELF : nl.NTF_MASTER });
  writer.mac(nl.NDA_LLADDR, mac);
  if (vtep !== undefined) writer.ip(nl.NDA_DST, parseAddress(vtep));
  if (port !== undefined) writer.be16(nl.NDA_PORT, port);
  return writer.payload();
}

/** `struct ndmsg`. */
interface Header {
  readonly family: number;
  readonly link: number;
  readonly state: number;
  readonly flags: number;
}

function begin({ family, link, state, flags }: Header): PayloadWriter {
  return new PayloadWriter().header(nl.NDMSG_BYTES, (view, at) => writeHeader(view, at, family, link, state, flags));
}

/** At a place in a buffer, `NDMSG_BYTES` long. */
export function writeHeader(
  view: DataView,
  at: number,
  family: number,
  link: number,
  state: number,
  flags: number,
): void {
  view.setUint32(at, family, true);
  view.setInt32(at + 4, link, true);
  view.setUint16(at + 8, state, true);
  view.setUint16(at + 10, flags, true);
}

/** Of `RTM_NEWNEIGH` and `RTM_DELNEIGH`. */
export function decodeNeighbour({ view, start, end }: Message): NeighbourMessage {
  let address: string | undefined;
  let mac = '';
  let port: number | undefined;
  let [master, vlan] = [0, 0];
  const attributes = new AttributeReader(view, start + nl.NDMSG_BYTES, end);
  while (attributes.next()) {
    switch (attributes.type) {
      case nl.NDA_DST:
        address = attributes.ip();
        break;
      case nl.NDA_LLADDR:
        mac = attributes.mac() ?? '';
        break;
      case nl.NDA_PORT:
        port = attributes.be16();
        break;
      case nl.NDA_MASTER:
        master = attributes.u32();
        break;
      case nl.NDA_VLAN:
        vlan = attributes.u16();
        break;
    }
  }
  return {
    family: view.getUint8(start),
    link: view.getInt32(start + 4, true),
    state: view.getUint16(start + 8, true),
    flags: view.getUint8(start + 10),
    address,
    mac,
    port,
    master,
    vlan,
  };
}
