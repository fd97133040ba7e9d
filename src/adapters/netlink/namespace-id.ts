/**
 * Ids by which a namespace knows others (`RTM_*NSID`, `linux/net_namespace.h`), and whether it forwards (`RTM_GETNETCONF`,
 * `linux/netconf.h`). An id goes with the namespace that it names.
 */
import { AF } from '../native/socket.ts';
import { AttributeReader, PayloadWriter } from './attributes.ts';
import type { Message, Request } from './message.ts';
import * as nl from './uapi/net-namespace.ts';
import { NLM_F_DUMP } from './uapi/netlink.ts';
import { RTM_GETNETCONF, RTM_GETNSID, RTM_NEWNSID } from './uapi/rtnetlink.ts';

/** Leaves the choice of an id to the kernel, which begins at 0. */
export const ANY_NSID = -1;

/**
 * Gives the namespace an id in the socket's. `EEXIST` when it has one, and when another has this one: {@link getNsid}
 * tells which.
 */
export function newNsid(namespaceFd: number, nsid: number): Request {
  const payload = begin().i32(nl.NETNSA_NSID, nsid).u32(nl.NETNSA_FD, namespaceFd).payload();
  return { type: RTM_NEWNSID, flags: 0, payload };
}

/** Its id: `NETNSA_NSID_NOT_ASSIGNED` (-1) when it has none. */
export function getNsid(namespaceFd: number): Request {
  return { type: RTM_GETNSID, flags: 0, payload: begin().u32(nl.NETNSA_FD, namespaceFd).payload() };
}

/** All ids that are assigned. */
export function dumpNsids(): Request {
  return { type: RTM_GETNSID, flags: NLM_F_DUMP, payload: begin().payload() };
}

function begin(): PayloadWriter {
  return new PayloadWriter().header(nl.RTGENMSG_BYTES, () => undefined);
}

/** Of `RTM_NEWNSID` and `RTM_DELNSID`. */
export function decodeNsid({ view, start, end }: Message): number {
  const attributes = new AttributeReader(view, start + nl.RTGENMSG_BYTES, end);
  while (attributes.next()) if (attributes.type === nl.NETNSA_NSID) return attributes.i32();
  return nl.NETNSA_NSID_NOT_ASSIGNED;
}

/** `net.ipv4.conf`, or `net.ipv6.conf`. */
export interface NetconfMessage {
  readonly family: number;
  /** `NETCONFA_IFINDEX_ALL` (-1), `…_DEFAULT` (-2), or a link's. */
  readonly index: number;
  /** Undefined where it is not told. */
  readonly forwarding: boolean | undefined;
}

/** Whether IPv4 is forwarded, or what is of that family (`AF_*`). */
export function getNetconf(family: number = AF.INET): Request {
  const writer = new PayloadWriter().header(nl.NETCONFMSG_BYTES, (view, at) => view.setUint8(at, family));
  const payload = writer.i32(nl.NETCONFA_IFINDEX, nl.NETCONFA_IFINDEX_ALL).payload();
  return { type: RTM_GETNETCONF, flags: 0, payload };
}

/** Of `RTM_NEWNETCONF`. */
export function decodeNetconf({ view, start, end }: Message): NetconfMessage {
  let index = 0;
  let forwarding: boolean | undefined;
  const attributes = new AttributeReader(view, start + nl.NETCONFMSG_BYTES, end);
  while (attributes.next()) {
    if (attributes.type === nl.NETCONFA_IFINDEX) index = attributes.i32();
    else if (attributes.type === nl.NETCONFA_FORWARDING) forwarding = attributes.i32() !== 0;
  }
  return { family: view.getUint8(start), index, forwarding };
}
