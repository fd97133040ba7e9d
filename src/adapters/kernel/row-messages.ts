/**
 * Rows of a table (`core/row-table.ts`) as payloads of `RTM_*NEIGH`, from their words straight into a buffer: of thousands
 * nobody wants to make objects. The same bytes as of `netlink/neighbour.ts`.
 */
import { FDB, isIpv4, NEIGHBOUR, OF_DEVICE } from '../../core/row-table.ts';
import { AF } from '../native/socket.ts';
import { BRIDGE_ROW, TUNNEL_ROW, writeHeader } from '../netlink/neighbour.ts';
import * as nl from '../netlink/uapi/neighbour.ts';
import { NLA_HDRLEN } from '../netlink/uapi/netlink.ts';

/** Bytes of what {@link writeNeighbour} and {@link writeFdb} write, at most. */
export const MOST_ROW_BYTES = nl.NDMSG_BYTES + 20 + 12 + 8;

/** As the payload of `replaceNeighbour`. `row`: where it begins among the words. Returns where the payload ends. */
export function writeNeighbour(view: DataView, at: number, link: number, words: Uint32Array, row: number): number {
  const address = row + NEIGHBOUR.address;
  const family = isIpv4(words, address) ? AF.INET : AF.INET6;
  writeHeader(view, at, family, link, nl.NUD_PERMANENT, 0);
  return writeMac(view, writeAddress(view, at + nl.NDMSG_BYTES, words, address), words, row + NEIGHBOUR.mac);
}

/** In the same way as that of `replaceFdb`, but for flood rows, or `deleteFdb`. */
export function writeFdb(view: DataView, at: number, link: number, words: Uint32Array, row: number): number {
  const ofDevice = words[row + FDB.owner] === OF_DEVICE;
  if (ofDevice) writeHeader(view, at, AF.BRIDGE, link, TUNNEL_ROW, nl.NTF_SELF);
  else writeHeader(view, at, AF.BRIDGE, link, BRIDGE_ROW, nl.NTF_MASTER);
  const behindMac = writeMac(view, at + nl.NDMSG_BYTES, words, row + FDB.mac);
  if (!ofDevice) return behindMac;
  const end = writeAddress(view, behindMac, words, row + FDB.vtep);
  const port = words[row + FDB.port]!;
  // The device's own.
  if (port === 0) return end;
  writeAttribute(view, end, nl.NDA_PORT, 2);
  view.setUint32(end + NLA_HDRLEN, 0);
  view.setUint16(end + NLA_HDRLEN, port);
  return end + NLA_HDRLEN + 4;
}

function writeAddress(view: DataView, at: number, words: Uint32Array, address: number): number {
  // The last word of IPv4, all four of IPv6.
  const first = isIpv4(words, address) ? 3 : 0;
  writeAttribute(view, at, nl.NDA_DST, 4 * (4 - first));
  let end = at + NLA_HDRLEN;
  for (let word = first; word < 4; word++, end += 4) view.setUint32(end, words[address + word]!);
  return end;
}

function writeMac(view: DataView, at: number, words: Uint32Array, mac: number): number {
  writeAttribute(view, at, nl.NDA_LLADDR, 6);
  view.setUint16(at + NLA_HDRLEN, words[mac]!);
  view.setUint32(at + NLA_HDRLEN + 2, words[mac + 1]!);
  view.setUint16(at + NLA_HDRLEN + 6, 0);
  return at + NLA_HDRLEN + 8;
}

function writeAttribute(view: DataView, at: number, type: number, bytes: number): void {
  view.setUint16(at, NLA_HDRLEN + bytes, true);
  view.setUint16(at + 2, type, true);
}
