/** Ids by which a namespace knows others (`RTM_*NSID`, `linux/net_namespace.h`). An id goes with the namespace that it names. */
import { AttributeReader, PayloadWriter } from './attributes.ts';
import type { Message, Request } from './message.ts';
import * as nl from './uapi/net-namespace.ts';
import { RTGENMSG_BYTES, RTM_GETNSID, RTM_NEWNSID } from './uapi/rtnetlink.ts';

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

function begin(): PayloadWriter {
  return new PayloadWriter().header(RTGENMSG_BYTES, () => undefined);
}

/** Of `RTM_NEWNSID` and `RTM_DELNSID`. */
export function decodeNsid({ view, start, end }: Message): number {
  const attributes = new AttributeReader(view, start + RTGENMSG_BYTES, end);
  while (attributes.next()) if (attributes.type === nl.NETNSA_NSID) return attributes.i32();
  return nl.NETNSA_NSID_NOT_ASSIGNED;
}
