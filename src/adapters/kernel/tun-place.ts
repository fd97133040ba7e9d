/**
 * Where the tun of a `wireguard-go` is (docs/adr/0020): in a namespace of its own, `ovl-wg0`, with a veth pair into WireGuard's place,
 * where the end that has the tun's name stands for it. On their way VXLAN's packets are put together to UDP segments, which
 * `wireguard-go` reads and writes at once, 45 and more at a time. The kernel does that where a packet comes in, and only
 * where no VXLAN device has its socket: it would be taken apart for that one.
 */
import { closeSync, openSync } from 'node:fs';
import { formatCidr, parseCidr } from '../../core/cidr.ts';
import { HOST, ROUTE_PROTOCOL } from '../../core/host-state.ts';
import { controlOf, numberOfVtep } from '../../core/wireguard/addresses.ts';
import { WIREGUARD_PLACE, WIREGUARD_POOL } from '../../core/wireguard/state.ts';
import { addNamespace } from '../native/namespace.ts';
import { AF } from '../native/socket.ts';
import { decodeAddress, dumpAddresses } from '../netlink/address.ts';
import { lookUpFamily } from '../netlink/generic.ts';
import { decodeLink, dumpLinks, getLink, type LinkMessage, newVeth, setLink } from '../netlink/link.ts';
import { setFeatures, setNoArp } from '../netlink/link-features.ts';
import type { Request } from '../netlink/message.ts';
import { decodeRoute, deleteRoute, dumpRoutes, replaceRoute } from '../netlink/route.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { ETHTOOL_GENL_NAME } from '../netlink/uapi/ethtool.ts';
import { IFF_UP } from '../netlink/uapi/if-link.ts';
import { NETLINK_GENERIC } from '../netlink/uapi/netlink.ts';
import { isNoNamespace, pathOf } from './means.ts';
import { removeNamespace } from './named-namespaces.ts';
import { setSysctl } from './sysctl.ts';

const PLACE = pathOf(WIREGUARD_PLACE);
/** The other end of the pair. */
const PEER = 'place';
/** Of both ends: there is no ARP between them. */
const MAC = '02:42:00:00:00:01';
const [POOL, POOL_PREFIX] = splitCidr(WIREGUARD_POOL);
const SYSCTLS = [
  ...['all', 'default'].flatMap((which) => [
    [`net.ipv4.conf.${which}.rp_filter`, '0'] as const,
    [`net.ipv4.conf.${which}.forwarding`, '1'] as const,
    [`net.ipv6.conf.${which}.disable_ipv6`, '1'] as const,
  ]),
];
/** The kernel cuts VXLAN's packets before they cross, with their checksums: what is still to be cut or summed is left as it is. */
const CUT = { 'tx-checksum-ip-generic': false };
const PUT_TOGETHER = { 'rx-gro': true, 'rx-udp-gro-forwarding': true };

/** `ovl-wg0` of `ovlwg0`. */
function placeOf(name: string): string {
  return name.replace(/^ovl/, 'ovl-');
}

/** Moves the tun out of the host's namespace. Throws as system calls and requests do. */
export function moveTun(name: string): void {
  const [path, namespace] = [pathOf(placeOf(name))!, placeOf(name)];
  removeTunPlace(name);
  addNamespace(path);
  for (const [key, value] of SYSCTLS) setSysctl(path, key, value);
  const file = openSync(path, 'r');
  try {
    const tun = within(pathOf(HOST), (socket) => {
      const link = linkOf(socket, name);
      send(socket, [setLink({ name }, { namespaceFd: file })]);
      return link;
    });
    const peer = { name: PEER, mac: MAC, mtu: tun.mtu, namespaceFd: file };
    ask(PLACE, [newVeth({ name, mac: MAC, mtu: tun.mtu }, peer), setNoArp(name)]);
    ask(pathOf(namespace), [setNoArp(PEER)]);
    setOffloads(PLACE, name, CUT);
    setOffloads(path, PEER, PUT_TOGETHER);
  } finally {
    closeSync(file);
  }
}

/** Has the tun follow the end that stands for it: MTU, addresses, up. Nothing is done where no end stands for one. */
export function followPlace(name: string): void {
  const stand = within(PLACE, (socket) => lookAtEnd(socket, name));
  if (stand === undefined) return;
  const { mtu, isUp, addresses } = stand;
  within(pathOf(placeOf(name)), (socket) => {
    const change = { mtu, up: isUp };
    send(socket, [setLink({ name }, change), setLink({ name: PEER }, change)]);
    if (!isUp) return;
    const wanted = routesOf(addresses, linkOf(socket, name).index, linkOf(socket, PEER).index);
    const others = routes(socket).filter((route) => !wanted.some((each) => isSame(each, route)));
    send(socket, [...wanted.map(replaceRoute), ...others.map(deleteRoute)]);
  });
}

/** What is to be told of the end: that of the tun; undefined: not both are there, or not as they should be. */
export function tunBehind(
  { name, mtu }: LinkMessage,
  addresses: readonly string[],
): { readonly isUp: boolean } | undefined {
  try {
    return within(pathOf(placeOf(name)), (socket) => {
      const links = socket.dump(dumpLinks(), decodeLink);
      const [tun, peer] = [name, PEER].map((each) => links.find((link) => link.name === each));
      if (tun?.kind !== 'tun' || tun.mtu !== mtu || !peer) return undefined;
      const isUp = (tun.flags & peer.flags & IFF_UP) !== 0;
      const there = isUp ? routes(socket) : [];
      const isWhole = routesOf(addresses, tun.index, peer.index).every((each) =>
        there.some((route) => isSame(each, route)),
      );
      return { isUp: isUp && isWhole };
    });
  } catch (error) {
    if (isNoNamespace(error)) return undefined;
    throw error;
  }
}

/** With the tun that is in it, and the pair. Unless it is gone. */
export function removeTunPlace(name: string): void {
  removeNamespace(placeOf(name));
}

// ---------------------------------------------------------------- requests

interface Route {
  readonly destination: string;
  readonly prefix: number;
  readonly link: number;
  readonly protocol: number;
}

/** To the host's own addresses by the pair, to all others by the tun. */
function routesOf(addresses: readonly string[], tun: number, peer: number): readonly Route[] {
  const protocol = Number(ROUTE_PROTOCOL);
  const own = addresses.flatMap((address) => {
    const number = numberOfVtep(address);
    return number === undefined ? [address] : [address, controlOf(number)];
  });
  return [
    { destination: POOL, prefix: POOL_PREFIX, link: tun, protocol },
    ...own.map((destination) => ({ destination, prefix: 32, link: peer, protocol })),
  ];
}

function routes(socket: NetlinkSocket): readonly Route[] {
  // There is no table before the first route.
  return socket
    .dump(dumpRoutes({ family: AF.INET, protocol: Number(ROUTE_PROTOCOL) }), decodeRoute, ['ENOENT'])
    .map(({ destination, prefix, link, protocol }) => ({ destination, prefix, link, protocol }));
}

function isSame(one: Route, other: Route): boolean {
  return one.destination === other.destination && one.prefix === other.prefix && one.link === other.link;
}

function lookAtEnd(socket: NetlinkSocket, name: string) {
  const link = socket.get(getLink({ name }), decodeLink, ['ENODEV']);
  if (link?.kind !== 'veth') return undefined;
  const own = socket.dump(dumpAddresses(AF.INET), decodeAddress).filter((each) => each.link === link.index);
  return { mtu: link.mtu, isUp: (link.flags & IFF_UP) !== 0, addresses: own.map(({ address }) => address) };
}

/** It is for speed alone: a kernel that does not know of it goes without. */
function setOffloads(path: string | undefined, name: string, features: Readonly<Record<string, boolean>>): void {
  const socket = new NetlinkSocket({ namespace: path, protocol: NETLINK_GENERIC });
  try {
    const family = lookUpFamily(socket, ETHTOOL_GENL_NAME);
    if (family !== undefined) socket.request([setFeatures(family, name, features)]);
  } finally {
    socket.close();
  }
}

function linkOf(socket: NetlinkSocket, name: string): LinkMessage {
  const link = socket.get(getLink({ name }), decodeLink, ['ENODEV']);
  if (!link) throw Object.assign(new Error(`there is no link ${name}`), { code: 'ENODEV' });
  return link;
}

function ask(path: string | undefined, requests: readonly Request[]): void {
  within(path, (socket) => send(socket, requests));
}

function send(socket: NetlinkSocket, requests: readonly Request[]): void {
  for (const { ok, ...refused } of socket.request(requests)) {
    if (!ok)
      throw Object.assign(new Error('text' in refused ? refused.text : ''), {
        code: 'code' in refused ? refused.code : '',
      });
  }
}

function within<T>(path: string | undefined, task: (socket: NetlinkSocket) => T): T {
  const socket = new NetlinkSocket({ namespace: path });
  try {
    return task(socket);
  } finally {
    socket.close();
  }
}

function splitCidr(text: string): readonly [string, number] {
  const { prefix } = parseCidr(text)!;
  return [formatCidr(parseCidr(text)!).split('/')[0]!, prefix];
}
