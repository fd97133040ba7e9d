/**
 * What a host has of its own, for whoever runs on it: links, addresses, the routes of its main table, and the way that packets
 * take by whatever rule. One batch of look-ups, however many addresses are asked for.
 */
import { kindOf } from '../../core/cidr.ts';
import { AF } from '../native/socket.ts';
import { decodeAddress, dumpAddresses } from '../netlink/address.ts';
import { parseAddress } from '../netlink/attributes.ts';
import { decodeLink, dumpLinks } from '../netlink/link.ts';
import { decodeRoute, dumpRoutes, lookUpRoute, type RouteMessage } from '../netlink/route.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { RT_SCOPE_UNIVERSE, RT_TABLE_MAIN, RTM_F_CLONED } from '../netlink/uapi/rtnetlink.ts';

export interface RoutingQuestion {
  readonly addresses?: boolean;
  readonly routes?: boolean;
  /** `source`: an address of the host. */
  readonly ways?: readonly { readonly to: string; readonly source?: string | undefined }[];
}

/** Of what was not asked for, nothing; of links all, always. */
export interface RoutingAnswer {
  readonly links: readonly HostLink[];
  /** Global ones. */
  readonly addresses: readonly LinkAddress[];
  /** But for those to link-local and multicast addresses of IPv6, of which each link has one. */
  readonly routes: readonly MainRoute[];
  /** In the order of the question; undefined: nowhere. */
  readonly ways: readonly (Way | undefined)[];
}

export interface LinkAddress {
  readonly link: string;
  readonly address: string;
  readonly prefix: number;
  /** `IFA_F_*`. */
  readonly flags: number;
}

export interface HostLink {
  readonly name: string;
  readonly mtu: number;
  /** Of packets of IPv6, as a router may have told (RFC 4861, 4.6.4); undefined where there is no IPv6. */
  readonly mtu6?: number | undefined;
  /** The bridge that it is a port of. */
  readonly master?: string | undefined;
}

export interface MainRoute {
  readonly destination: string;
  readonly prefix: number;
  /** Of the first next hop; empty where packets end (`blackhole`). */
  readonly link: string;
  /** `RTPROT_*`. */
  readonly protocol: number;
  /** The route has one next hop or none, and that is no gateway. */
  readonly direct: boolean;
  /** Of all next hops. */
  readonly gateways: readonly string[];
}

export interface Way {
  readonly link: string;
  /** To the host itself, and the like, when it is not `RTN_UNICAST`. */
  readonly type: number;
  /** Undefined: the link's. */
  readonly mtu: number | undefined;
}

/** Asks in this thread, by a socket for each question. `namespace`: its path; undefined: where the thread is. */
export function askRouting(question: RoutingQuestion, namespace?: string): RoutingAnswer {
  const socket = new NetlinkSocket({ namespace });
  try {
    return answerRouting(socket, question);
  } finally {
    socket.close();
  }
}

/** Throws what the socket throws. Takes as long as the tables are: some 2 ms for a thousand routes. */
function answerRouting(socket: NetlinkSocket, question: RoutingQuestion): RoutingAnswer {
  const links = socket.dump(dumpLinks(), decodeLink);
  const nameOf = new Map(links.map(({ index, name }) => [index, name]));
  const link = (index: number) => nameOf.get(index) ?? '';
  const addresses = question.addresses ? socket.dump(dumpAddresses(), decodeAddress) : [];
  const routes = question.routes ? socket.dump(dumpRoutes(), decodeRoute).filter(isOfConcern) : [];
  return {
    links: links.map(({ name, mtu, inet6, master }) => ({ name, mtu, mtu6: inet6?.mtu, master: nameOf.get(master) })),
    addresses: addresses
      .filter(({ scope, address }) => scope === RT_SCOPE_UNIVERSE && address !== '')
      .map(({ address, prefix, flags, link: index }) => ({ link: link(index), address, prefix, flags })),
    routes: routes.map(({ destination, prefix, gateway, link: index, nextHops, protocol }) => ({
      ...{ destination, prefix, protocol },
      link: link(index || (nextHops[0]?.link ?? 0)),
      direct: gateway === undefined && nextHops.length === 0,
      gateways: [gateway, ...nextHops.map((hop) => hop.gateway)].filter((each) => each !== undefined),
    })),
    ways: lookUpWays(socket, question.ways ?? [], link),
  };
}

/** Of IPv4 and IPv6, and led to by a packet to somewhere else. */
function isOfConcern({ family, table, flags, destination }: RouteMessage): boolean {
  if (table !== RT_TABLE_MAIN || (flags & RTM_F_CLONED) !== 0) return false;
  if (family === AF.INET) return true;
  return family === AF.INET6 && !['link-local', 'multicast', 'loopback'].includes(kindOf(parseAddress(destination)));
}

function lookUpWays(
  socket: NetlinkSocket,
  questions: NonNullable<RoutingQuestion['ways']>,
  nameOf: (index: number) => string,
): (Way | undefined)[] {
  const ways: (Way | undefined)[] = questions.map(() => undefined);
  const requests = questions.map(({ to, source }) => lookUpRoute(to, source));
  socket.request(requests, (position, message) => {
    const { link, type, mtu } = decodeRoute(message);
    ways[position] = { link: nameOf(link), type, mtu };
  });
  return ways;
}
