/** IPv4 addresses of links (`RTM_*ADDR`, rtnetlink(7), `linux/if_addr.h`). */
import { AF } from '../native/socket.ts';
import { AttributeReader, PayloadWriter } from './attributes.ts';
import type { Message, Request } from './message.ts';
import * as nl from './uapi/if-addr.ts';
import { NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE } from './uapi/netlink.ts';
import { RTM_DELADDR, RTM_GETADDR, RTM_NEWADDR } from './uapi/rtnetlink.ts';

export interface AddressMessage {
  readonly family: number;
  /** Index of the link. */
  readonly link: number;
  /** Of the link's own end; empty when it is not IPv4. */
  readonly address: string;
  readonly prefix: number;
  /** `RT_SCOPE_*`. */
  readonly scope: number;
  /** Name of the link, unless somebody chose another; empty where there is none. */
  readonly label: string;
}

/** An address to be made or taken away. */
export type AddressSpec = Pick<AddressMessage, 'link' | 'address' | 'prefix' | 'scope'>;

/** Makes it, or changes the one that is there. */
export function replaceAddress(address: AddressSpec): Request {
  return { type: RTM_NEWADDR, flags: NLM_F_CREATE | NLM_F_REPLACE, payload: encodeAddress(address) };
}

/** `EADDRNOTAVAIL` when there is none. */
export function deleteAddress(address: AddressSpec): Request {
  return { type: RTM_DELADDR, flags: 0, payload: encodeAddress(address) };
}

/** All of IPv4. */
export function dumpAddresses(): Request {
  const writer = new PayloadWriter().header(nl.IFADDRMSG_BYTES, (view, at) => view.setUint8(at, AF.INET));
  return { type: RTM_GETADDR, flags: NLM_F_DUMP, payload: writer.payload() };
}

function encodeAddress({ link, address, prefix, scope }: AddressSpec): Uint8Array {
  const writer = new PayloadWriter().header(nl.IFADDRMSG_BYTES, (view, at) => {
    view.setUint8(at, AF.INET);
    view.setUint8(at + 1, prefix);
    view.setUint8(at + 3, scope);
    view.setUint32(at + 4, link, true);
  });
  return writer.ipv4(nl.IFA_LOCAL, address).ipv4(nl.IFA_ADDRESS, address).payload();
}

/** Of `RTM_NEWADDR` and `RTM_DELADDR`. */
export function decodeAddress({ view, start, end }: Message): AddressMessage {
  let address: string | undefined;
  let local: string | undefined;
  let label = '';
  const attributes = new AttributeReader(view, start + nl.IFADDRMSG_BYTES, end);
  while (attributes.next()) {
    if (attributes.type === nl.IFA_LOCAL) local = attributes.ipv4();
    else if (attributes.type === nl.IFA_ADDRESS) address = attributes.ipv4();
    else if (attributes.type === nl.IFA_LABEL) label = attributes.text();
  }
  return {
    family: view.getUint8(start),
    link: view.getUint32(start + 4, true),
    address: local ?? address ?? '',
    prefix: view.getUint8(start + 1),
    scope: view.getUint8(start + 3),
    label,
  };
}
