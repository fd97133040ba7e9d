/**
 * Reads the kernel, in the kernel's thread: links, addresses, routes, rows and tables of namespaces, as `core/host-state.ts`
 * has them. Of a network's namespace is remembered what was told last, so that only what is different is told.
 */
import { closeSync, openSync, readdirSync } from 'node:fs';
import { threadId } from 'node:worker_threads';
import {
  DEFAULT,
  HOST,
  type Link,
  LOOPBACK,
  type Place,
  ROUTE_PROTOCOL,
  type Route,
  SERVICE_ADDRESS,
  TUNNEL,
} from '../../core/host-state.ts';
import { isNetworkNamespace, isUplink, namespaceOf } from '../../core/plan/naming.ts';
import { WIREGUARD_PLACE } from '../../core/wireguard/state.ts';
import { homeNamespace } from '../native/namespace.ts';
import { decodeAddress, dumpAddresses, isInUse } from '../netlink/address.ts';
import { decodeLink, dumpLinks, type Inet6Data, type LinkMessage } from '../netlink/link.ts';
import { decodeNsid, getNsid } from '../netlink/namespace-id.ts';
import { dumpFdb, dumpNeighbours } from '../netlink/neighbour.ts';
import { decodeNetconf, getNetconf } from '../netlink/netconf.ts';
import { decodeRoute, dumpRoutes, type RouteMessage } from '../netlink/route.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { IFF_UP } from '../netlink/uapi/if-link.ts';
import { NETNSA_NSID_NOT_ASSIGNED } from '../netlink/uapi/net-namespace.ts';
import { RTPROT_KERNEL } from '../netlink/uapi/rtnetlink.ts';
import { identifyContainers } from './container-ids.ts';
import type { BesidePart, HostPart, InsidePart, LookAnswer, LookRequest, NetworkPart, Seen, Uplink } from './jobs.ts';
import { isNoNamespace, pathOf } from './means.ts';
import { vniOfNamespaceId } from './namespace-ids.ts';
import { plainError } from './plain-error.ts';
import { nameOfProtocol } from './route-protocol.ts';
import { RowReader, sameRows } from './rows.ts';
import type { Tables } from './tables.ts';

const DIRECTORY = '/run/netns';

/** What was told of a network's namespace. */
interface Told {
  readonly number: number;
  readonly links: string;
  readonly addresses: string;
  readonly routes: string;
  readonly neighbours: Uint32Array;
  readonly fdb: Uint32Array;
  /** Of its tables. */
  readonly version: number;
  readonly servicesVersion: number;
}

export class Looker {
  readonly #tables: Tables;
  readonly #told = new Map<string, Told>();
  /** Another number for each answer, also of another thread: what one has told is nothing that the next one can know. */
  #answers = threadId * 2 ** 32;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  look({ host, networks, insides }: LookRequest): LookAnswer {
    const ids = insides.length > 0 ? identifyContainers(insides) : [];
    return {
      ids,
      host: host ? seen(() => this.#lookAtHost()) : undefined,
      networks: networks.map(({ name, known }) => {
        const part = seen(() => this.#lookAtNetwork(name, known));
        if (!part) this.#told.delete(name);
        return part;
      }),
      insides: insides.map((place) => seen(() => lookInside(pathOf(place)))),
    };
  }

  /** Throws what looking does. */
  lookBeside(place: Place): BesidePart | undefined {
    const inside = seen(() => ({ ...lookInside(pathOf(place)), ...this.#forwardingOf(place) }));
    if (inside && !inside.ok) throw Object.assign(new Error(inside.error.message), inside.error);
    return inside && { host: lookInside(undefined), inside: inside.value };
  }

  #forwardingOf(place: Place) {
    const socket = new NetlinkSocket({ namespace: pathOf(place) });
    try {
      return { forwarding: isForwarding(socket), filter: this.#tables.read(place, 'inet').filter };
    } finally {
      socket.close();
    }
  }

  /** Of a namespace that comes or goes. */
  forget(name: string): void {
    this.#told.delete(name);
  }

  #lookAtNetwork(name: string, known: number): NetworkPart {
    const socket = new NetlinkSocket({ namespace: pathOf(name) });
    try {
      const told = this.#told.get(name);
      const last = told?.number === known ? told : undefined;
      const messages = socket.dump(dumpLinks(), decodeLink);
      const tunnel = messages.find(({ name }) => name === TUNNEL);
      const reader = { neighbours: new RowReader(), fdb: new RowReader(tunnel?.index) };
      const names = namesOf(messages);
      const socketAt = tunnel?.vxlan && placeOfSocket(tunnel, socket, name);
      const links = messages.map((message) => linkOf(message, names, message === tunnel ? socketAt : undefined));
      const addresses = addressesOf(socket, names);
      const routes = routesOf(dumpMain(socket), names);
      const neighbours = socket.dump(dumpNeighbours(), reader.neighbours.neighbour).length;
      const fdb = socket.dump(dumpFdb(), reader.fdb.fdb).length;
      const table = this.#tables.read(name, 'bridge');
      const services = this.#tables.read(name, 'inet');
      this.#answers += 1;
      const now: Told = {
        number: this.#answers,
        links: JSON.stringify(links),
        addresses: JSON.stringify(addresses),
        routes: JSON.stringify(routes),
        neighbours: reader.neighbours.take('neighbour', neighbours),
        fdb: reader.fdb.take('fdb', fdb),
        version: table.version,
        servicesVersion: services.version,
      };
      this.#told.set(name, now);
      return {
        number: now.number,
        forwarding: isForwarding(socket),
        forwarding6: isForwarding6(messages),
        links: last?.links === now.links ? undefined : links,
        addresses: last?.addresses === now.addresses ? undefined : addresses,
        routes: last?.routes === now.routes ? undefined : routes,
        neighbours: sameRows(last?.neighbours, now.neighbours) ? undefined : now.neighbours,
        fdb: sameRows(last?.fdb, now.fdb) ? undefined : now.fdb,
        filter: last?.version === now.version ? undefined : (table.filter ?? null),
        services: last?.servicesVersion === now.servicesVersion ? undefined : (services.filter ?? null),
      };
    } finally {
      socket.close();
    }
  }

  /** Only what is ours. */
  #lookAtHost(): HostPart {
    const socket = new NetlinkSocket();
    try {
      const messages = socket.dump(dumpLinks(), decodeLink);
      const names = namesOf(messages);
      const reader = new RowReader();
      const addresses = addressesOf(socket, names);
      const routes = routesOf(dumpMain(socket, Number(ROUTE_PROTOCOL)), names);
      const uplinks = messages.filter(({ name, kind }) => kind === 'veth' && isUplink(name));
      const neighbours = socket.dump(dumpNeighbours(), reader.neighbour).length;
      return {
        links: uplinks.map((message) => linkOf(message, names)),
        addresses: addresses.filter(
          ({ link, address }) => isUplink(link) || (link === LOOPBACK && address === SERVICE_ADDRESS),
        ),
        routes: routes.filter(({ link }) => isUplink(link)),
        neighbours: reader.take('neighbour', neighbours),
        forwarding: isForwarding(socket),
        forwarding6: isForwarding6(messages),
        advertised: messages.filter(isAdvertised).map(({ name }) => name),
        filter: this.#tables.read(HOST, 'inet').filter,
        namespaces: namespacesOf(socket),
      };
    } finally {
      socket.close();
    }
  }
}

function seen<T>(look: () => T): Seen<T> | undefined {
  try {
    return { ok: true, value: look() };
  } catch (error) {
    if (isNoNamespace(error)) return undefined;
    return { ok: false, error: plainError(error) };
  }
}

/** The host's ends of networks' links. */
export function findUplinks(): Uplink[] {
  const socket = new NetlinkSocket();
  try {
    const links = socket.dump(dumpLinks('veth'), decodeLink);
    return links.flatMap(({ index, name }) => (isUplink(name) ? [{ index, name }] : []));
  } finally {
    socket.close();
  }
}

/** Of a container, or the host: everything that we may have put there. */
function lookInside(namespace: string | undefined): InsidePart {
  const socket = new NetlinkSocket({ namespace });
  try {
    const messages = socket.dump(dumpLinks(), decodeLink);
    const names = namesOf(messages);
    return {
      links: messages.map((message) => linkOf(message, names)),
      addresses: addressesOf(socket, names),
      routes: routesOf(dumpMain(socket), names),
    };
  } finally {
    socket.close();
  }
}

/**
 * Where the tunnel of a network has its UDP socket. Whoever removed the name of WireGuard's namespace alone did not end what
 * runs there: as long as no other one has the name, it is the one that is meant.
 */
function placeOfSocket({ linkNetnsid }: LinkMessage, socket: NetlinkSocket, name: string): Place | undefined {
  if (linkNetnsid === undefined) return name;
  if (socket.get(getNsid(homeNamespace()), decodeNsid) === linkNetnsid) return HOST;
  const id = idOf(socket, WIREGUARD_PLACE);
  return id === undefined || id === linkNetnsid ? WIREGUARD_PLACE : undefined;
}

type Names = ReadonlyMap<number, string>;

function namesOf(messages: readonly LinkMessage[]): Names {
  return new Map(messages.map(({ index, name }) => [index, name]));
}

function linkOf(message: LinkMessage, names: Names, socketAt?: Place): Link {
  const { name, kind, mac, mtu, flags, master, vxlan, bridge, port, index, link } = message;
  return {
    name,
    kind,
    mac,
    mtu,
    up: (flags & IFF_UP) !== 0,
    ipv6: hasIpv6(message) ? true : undefined,
    master: names.get(master),
    vxlan: vxlan && {
      vni: vxlan.vni,
      local: vxlan.local,
      port: vxlan.port,
      learning: vxlan.learning,
      proxy: vxlan.proxy,
      socketAt,
    },
    bridge,
    port,
    index,
    peerIndex: link,
  };
}

function hasIpv6({ inet6 }: LinkMessage): boolean {
  return inet6 !== undefined && !inet6.disabled && !believesRouters(inet6);
}

/** One that forwards takes itself for a router, and believes others when it is told to alone. */
function believesRouters({ acceptRa, forwarding }: Inet6Data): boolean {
  return acceptRa === 2 || (acceptRa === 1 && !forwarding);
}

/** A bridge's ports leave that to the bridge. */
function isAdvertised({ inet6, master, name }: LinkMessage): boolean {
  if (inet6 === undefined || inet6.disabled || name === LOOPBACK || isUplink(name)) return false;
  return master === 0 && inet6.acceptRa === 1 && !inet6.forwarding;
}

/** Of the namespace: to set it sets it for each link. */
function isForwarding6(messages: readonly LinkMessage[]): boolean {
  return messages.find(({ name }) => name === LOOPBACK)?.inet6?.forwarding === true;
}

/** Addresses of `lo` but one are left out: they are nobody's business here. */
function addressesOf(socket: NetlinkSocket, names: Names) {
  return socket
    .dump(dumpAddresses(), decodeAddress)
    .map((message) => {
      const { link, address, prefix } = message;
      return { link: names.get(link) ?? '', address, prefix, ...(!isInUse(message) && { unused: true as const }) };
    })
    .filter(({ link, address }) => link !== LOOPBACK || address === SERVICE_ADDRESS);
}

/** A table that never had a route in it does not exist. */
function dumpMain(socket: NetlinkSocket, protocol?: number): RouteMessage[] {
  return socket.dump(dumpRoutes(protocol === undefined ? {} : { protocol }), decodeRoute, ['ENOENT']);
}

/** Routes that the kernel made by itself are left out. */
function routesOf(messages: readonly RouteMessage[], names: Names): Route[] {
  return messages
    .filter(({ protocol }) => protocol !== RTPROT_KERNEL)
    .map(({ destination, prefix, gateway, link, protocol, preferredSource }) => ({
      destination: destinationOf(destination, prefix),
      gateway,
      link: names.get(link) ?? '',
      protocol: nameOfProtocol(protocol),
      ...(preferredSource !== undefined && { source: preferredSource }),
    }));
}

function destinationOf(address: string, prefix: number): string {
  const isIpv4 = !address.includes(':');
  if (isIpv4 && prefix === 0) return DEFAULT[4];
  return prefix === (isIpv4 ? 32 : 128) ? address : `${address}/${prefix}`;
}

function isForwarding(socket: NetlinkSocket): boolean {
  return socket.get(getNetconf(), decodeNetconf)?.forwarding === true;
}

/** Those with names of networks' namespaces, and whose ids they have. */
function namespacesOf(socket: NetlinkSocket): HostPart['namespaces'] {
  return namedNamespaces().map((name) => {
    const id = idOf(socket, name);
    if (id === undefined || id === NETNSA_NSID_NOT_ASSIGNED) return [name, 'none'];
    return [name, namespaceOf(vniOfNamespaceId(id)) === name ? 'ours' : 'foreign'];
  });
}

function namedNamespaces(): string[] {
  try {
    return readdirSync(DIRECTORY).filter(isNetworkNamespace);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Undefined: at the name is no namespace. */
function idOf(socket: NetlinkSocket, name: string): number | undefined {
  let fd: number;
  try {
    fd = openSync(`${DIRECTORY}/${name}`, 'r');
  } catch {
    return undefined;
  }
  try {
    return socket.get(getNsid(fd), decodeNsid, ['EINVAL']);
  } finally {
    closeSync(fd);
  }
}
