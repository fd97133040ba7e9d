/**
 * What a host has of its own, for whoever runs on it: links, addresses, the routes of its main table, and the way that packets
 * take by whatever rule. One batch of look-ups, however many addresses are asked for.
 */
import { AF } from '../native/socket.ts';
import { decodeAddress, dumpAddresses } from './address.ts';
import { decodeLink, dumpLinks } from './link.ts';
import { decodeRoute, dumpRoutes, lookUpRoute } from './route.ts';
import { NetlinkSocket } from './socket.ts';
import { RT_SCOPE_UNIVERSE } from './uapi/rtnetlink.ts';

export interface RoutingQuestion {
  readonly addresses?: boolean;
  readonly routes?: boolean;
  /** `source`: an address of the host. */
  readonly ways?: readonly { readonly to: string; readonly source?: string | undefined }[];
}

/** Of what was not asked for, nothing; of links all, always. */
export interface RoutingAnswer {
  readonly links: readonly HostLink[];
  /** Global ones of IPv4. */
  readonly addresses: readonly { readonly link: string; readonly address: string; readonly prefix: number }[];
  /** Of IPv4. */
  readonly routes: readonly MainRoute[];
  /** In the order of the question; undefined: nowhere. */
  readonly ways: readonly (Way | undefined)[];
}

export interface HostLink {
  readonly name: string;
  readonly mtu: number;
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
  /** IPv4 gateways of all next hops. */
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
  const addresses = question.addresses ? socket.dump(dumpAddresses(AF.INET), decodeAddress) : [];
  const routes = question.routes ? socket.dump(dumpRoutes({ family: AF.INET }), decodeRoute) : [];
  return {
    links: links.map(({ name, mtu, master }) => ({ name, mtu, master: nameOf.get(master) })),
    addresses: addresses
      .filter(({ scope, address }) => scope === RT_SCOPE_UNIVERSE && address !== '')
      .map(({ address, prefix, link: index }) => ({ link: link(index), address, prefix })),
    routes: routes.map(({ destination, prefix, gateway, link: index, nextHops, protocol }) => ({
      ...{ destination, prefix, protocol },
      link: link(index || (nextHops[0]?.link ?? 0)),
      direct: gateway === undefined,
      gateways: [gateway, ...nextHops.map((hop) => hop.gateway)].filter((each) => each !== undefined),
    })),
    ways: lookUpWays(socket, question.ways ?? [], link),
  };
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
