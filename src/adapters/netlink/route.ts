/** Routes of both families (`RTM_*ROUTE`, rtnetlink(7), `linux/rtnetlink.h`). */
import { BITS } from '../../core/ip.ts';
import { AF, AF_OF } from '../native/socket.ts';
import { AttributeReader, PayloadWriter, parseAddress } from './attributes.ts';
import type { Message, Request } from './message.ts';
import { NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE } from './uapi/netlink.ts';
import * as nl from './uapi/rtnetlink.ts';

/** A route to be made or taken away. */
export interface RouteSpec {
  /** First address, and length of the prefix: 0.0.0.0/0 and ::/0 are the default routes. */
  readonly destination: string;
  readonly prefix: number;
  readonly gateway?: string | undefined;
  /** Index of the link. */
  readonly link: number;
  /** `RTPROT_*`, or a number of one's own. */
  readonly protocol: number;
  /** The gateway need not lie in a subnet of the link. */
  readonly onlink?: boolean | undefined;
  /** The source of what goes this way, where nothing else is chosen. */
  readonly preferredSource?: string | undefined;
  /** The lower goes first; undefined: 0, of IPv6 1,024. */
  readonly metric?: number | undefined;
}

export interface RouteMessage {
  readonly family: number;
  readonly destination: string;
  readonly prefix: number;
  /** Undefined: none, or one of the other family (`RTA_VIA`). */
  readonly gateway: string | undefined;
  /** Index of the link; 0: none, or several next hops. */
  readonly link: number;
  readonly nextHops: readonly { readonly link: number; readonly gateway: string | undefined }[];
  readonly protocol: number;
  readonly metric: number;
  readonly table: number;
  /** `RTN_*`. */
  readonly type: number;
  /** `RT_SCOPE_*`. */
  readonly scope: number;
  /** `RTNH_F_*` and `RTM_F_*`. */
  readonly flags: number;
  /** The source that is chosen for what goes this way. */
  readonly preferredSource: string | undefined;
  /** `RTAX_MTU`; undefined: the link's. */
  readonly mtu: number | undefined;
}

/** Makes it, in place of one with the same destination and metric. */
export function replaceRoute(route: RouteSpec): Request {
  const scope = route.gateway === undefined ? nl.RT_SCOPE_LINK : nl.RT_SCOPE_UNIVERSE;
  const payload = encodeRoute(route, { scope, type: nl.RTN_UNICAST });
  return { type: nl.RTM_NEWROUTE, flags: NLM_F_CREATE | NLM_F_REPLACE, payload };
}

/** `ESRCH` when there is none that fits all that is given. */
export function deleteRoute(route: RouteSpec): Request {
  const payload = encodeRoute(route, { scope: nl.RT_SCOPE_NOWHERE, type: nl.RTN_UNSPEC });
  return { type: nl.RTM_DELROUTE, flags: 0, payload };
}

/** Of the main table, or of all (`RT_TABLE_UNSPEC`); of one protocol or family (`AF_*`), where one is given. */
export function dumpRoutes(
  filter: { readonly family?: number; readonly table?: number; readonly protocol?: number } = {},
): Request {
  const writer = new PayloadWriter().header(nl.RTMSG_BYTES, (view, at) => {
    view.setUint8(at, filter.family ?? 0);
    view.setUint8(at + 4, filter.table ?? nl.RT_TABLE_MAIN);
    view.setUint8(at + 5, filter.protocol ?? nl.RTPROT_UNSPEC);
  });
  return { type: nl.RTM_GETROUTE, flags: NLM_F_DUMP, payload: writer.payload() };
}

/**
 * The way that a packet to this address takes, as `ip route get`; from that address of the host, where one is given.
 * `ENETUNREACH` and the like when there is none.
 */
export function lookUpRoute(address: string, source?: string): Request {
  const ip = parseAddress(address);
  const bits = BITS[ip.family];
  const writer = new PayloadWriter().header(nl.RTMSG_BYTES, (view, at) => {
    view.setUint8(at, AF_OF[ip.family]);
    view.setUint8(at + 1, bits);
    view.setUint8(at + 2, source === undefined ? 0 : bits);
    // Of IPv6 the table is always told.
    if (ip.family === 4) view.setUint32(at + 8, nl.RTM_F_LOOKUP_TABLE, true);
  });
  writer.ip(nl.RTA_DST, ip);
  if (source !== undefined) writer.ip(nl.RTA_SRC, parseAddress(source));
  return { type: nl.RTM_GETROUTE, flags: 0, payload: writer.payload() };
}

function encodeRoute(route: RouteSpec, { scope, type }: { scope: number; type: number }): Uint8Array {
  const destination = parseAddress(route.destination);
  const writer = new PayloadWriter().header(nl.RTMSG_BYTES, (view, at) => {
    view.setUint8(at, AF_OF[destination.family]);
    view.setUint8(at + 1, route.prefix);
    view.setUint8(at + 4, nl.RT_TABLE_MAIN);
    view.setUint8(at + 5, route.protocol);
    view.setUint8(at + 6, scope);
    view.setUint8(at + 7, type);
    view.setUint32(at + 8, route.onlink ? nl.RTNH_F_ONLINK : 0, true);
  });
  if (route.prefix > 0) writer.ip(nl.RTA_DST, destination);
  if (route.gateway !== undefined) writer.ip(nl.RTA_GATEWAY, parseAddress(route.gateway));
  writer.u32(nl.RTA_OIF, route.link);
  if (route.preferredSource !== undefined) writer.ip(nl.RTA_PREFSRC, parseAddress(route.preferredSource));
  if (route.metric !== undefined) writer.u32(nl.RTA_PRIORITY, route.metric);
  return writer.payload();
}

/** Of `RTM_NEWROUTE` and `RTM_DELROUTE`. */
export function decodeRoute({ view, start, end }: Message): RouteMessage {
  let destination: string | undefined;
  let gateway: string | undefined;
  let preferredSource: string | undefined;
  let mtu: number | undefined;
  let [link, metric, table] = [0, 0, view.getUint8(start + 4)];
  let nextHops: RouteMessage['nextHops'] = [];
  const attributes = new AttributeReader(view, start + nl.RTMSG_BYTES, end);
  while (attributes.next()) {
    switch (attributes.type) {
      case nl.RTA_DST:
        destination = attributes.ip();
        break;
      case nl.RTA_GATEWAY:
        gateway = attributes.ip();
        break;
      case nl.RTA_OIF:
        link = attributes.u32();
        break;
      case nl.RTA_PRIORITY:
        metric = attributes.u32();
        break;
      case nl.RTA_TABLE:
        table = attributes.u32();
        break;
      case nl.RTA_PREFSRC:
        preferredSource = attributes.ip();
        break;
      case nl.RTA_METRICS:
        mtu = readMtu(attributes.nested());
        break;
      case nl.RTA_MULTIPATH:
        nextHops = readNextHops(attributes);
        break;
    }
  }
  const family = view.getUint8(start);
  return {
    family,
    destination: destination ?? (family === AF.INET6 ? '::' : '0.0.0.0'),
    prefix: view.getUint8(start + 1),
    gateway,
    link,
    nextHops,
    protocol: view.getUint8(start + 5),
    metric,
    table,
    type: view.getUint8(start + 7),
    scope: view.getUint8(start + 6),
    flags: view.getUint32(start + 8, true),
    preferredSource,
    mtu,
  };
}

function readMtu(metrics: AttributeReader): number | undefined {
  while (metrics.next()) if (metrics.type === nl.RTAX_MTU) return metrics.u32();
  return undefined;
}

/** `struct rtnexthop`, one after another, each with attributes of its own. */
function readNextHops({ view, at: start, length }: AttributeReader): RouteMessage['nextHops'] {
  const hops: { link: number; gateway: string | undefined }[] = [];
  const end = start + length;
  for (let at = start; at + nl.RTNEXTHOP_BYTES <= end; ) {
    const bytes = view.getUint16(at, true);
    if (bytes < nl.RTNEXTHOP_BYTES || at + bytes > end) break;
    let gateway: string | undefined;
    const attributes = new AttributeReader(view, at + nl.RTNEXTHOP_BYTES, at + bytes);
    while (attributes.next()) if (attributes.type === nl.RTA_GATEWAY) gateway = attributes.ip();
    hops.push({ link: view.getInt32(at + 4, true), gateway });
    at += (bytes + 3) & ~3;
  }
  return hops;
}
