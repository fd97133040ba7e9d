/** Addresses of links, of both families (`RTM_*ADDR`, rtnetlink(7), `linux/if_addr.h`). */
import { AF_OF } from '../native/socket.ts';
import { AttributeReader, PayloadWriter, parseAddress } from './attributes.ts';
import type { Message, Request } from './message.ts';
import * as nl from './uapi/if-addr.ts';
import { NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE } from './uapi/netlink.ts';
import { RTM_DELADDR, RTM_GETADDR, RTM_NEWADDR } from './uapi/rtnetlink.ts';

export interface AddressMessage {
  readonly family: number;
  /** Index of the link. */
  readonly link: number;
  /** Of the link's own end; empty when it is none of IP. */
  readonly address: string;
  readonly prefix: number;
  /** `RT_SCOPE_*`. */
  readonly scope: number;
  /** `IFA_F_*`. */
  readonly flags: number;
  /** Of IPv4, name of the link, unless somebody chose another; empty where there is none. */
  readonly label: string;
}

/** An address to be made or taken away. */
export type AddressSpec = Pick<AddressMessage, 'link' | 'address' | 'prefix' | 'scope'>;

/** Makes it, or changes the one that is there. One of IPv6 is of use at once: nobody is asked whether he has it. */
export function replaceAddress(address: AddressSpec): Request {
  return { type: RTM_NEWADDR, flags: NLM_F_CREATE | NLM_F_REPLACE, payload: encodeAddress(address) };
}

/** `EADDRNOTAVAIL` when there is none. */
export function deleteAddress(address: AddressSpec): Request {
  return { type: RTM_DELADDR, flags: 0, payload: encodeAddress(address) };
}

/** All of both families, or of one (`AF_*`). */
export function dumpAddresses(family = 0): Request {
  const writer = new PayloadWriter().header(nl.IFADDRMSG_BYTES, (view, at) => view.setUint8(at, family));
  return { type: RTM_GETADDR, flags: NLM_F_DUMP, payload: writer.payload() };
}

function encodeAddress({ link, address, prefix, scope }: AddressSpec): Uint8Array {
  const ip = parseAddress(address);
  const writer = new PayloadWriter().header(nl.IFADDRMSG_BYTES, (view, at) => {
    view.setUint8(at, AF_OF[ip.family]);
    view.setUint8(at + 1, prefix);
    if (ip.family === 6) view.setUint8(at + 2, nl.IFA_F_NODAD);
    view.setUint8(at + 3, scope);
    view.setUint32(at + 4, link, true);
  });
  return writer.ip(nl.IFA_LOCAL, ip).ip(nl.IFA_ADDRESS, ip).payload();
}

/** Of `RTM_NEWADDR` and `RTM_DELADDR`. */
export function decodeAddress({ view, start, end }: Message): AddressMessage {
  let address: string | undefined;
  let local: string | undefined;
  let label = '';
  let flags = view.getUint8(start + 2);
  const attributes = new AttributeReader(view, start + nl.IFADDRMSG_BYTES, end);
  while (attributes.next()) {
    if (attributes.type === nl.IFA_LOCAL) local = attributes.ip();
    else if (attributes.type === nl.IFA_ADDRESS) address = attributes.ip();
    else if (attributes.type === nl.IFA_LABEL) label = attributes.text();
    else if (attributes.type === nl.IFA_FLAGS) flags = attributes.u32();
  }
  return {
    family: view.getUint8(start),
    link: view.getUint32(start + 4, true),
    address: local ?? address ?? '',
    prefix: view.getUint8(start + 1),
    scope: view.getUint8(start + 3),
    flags,
    label,
  };
}

/** Not where somebody else has it (RFC 4862, 5.4), or that is still to be found out. */
export function isInUse({ flags }: Pick<AddressMessage, 'flags'>): boolean {
  return (flags & (nl.IFA_F_TENTATIVE | nl.IFA_F_DADFAILED)) === 0;
}
