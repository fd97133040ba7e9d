/** Whether a namespace forwards, and its links (`RTM_*NETCONF`, `linux/netconf.h`). */
import { AF } from '../native/socket.ts';
import { AttributeReader, PayloadWriter } from './attributes.ts';
import type { Message, Request } from './message.ts';
import * as nl from './uapi/netconf.ts';
import { RTM_GETNETCONF } from './uapi/rtnetlink.ts';

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
