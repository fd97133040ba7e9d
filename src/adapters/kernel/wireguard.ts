/** WireGuard's place in the kernel, in the kernel's thread: looked at, and changed step by step. */
import { closeSync, openSync } from 'node:fs';
import { blockOf, formatCidr, parseCidr } from '../../core/cidr.ts';
import { HOST, ROUTE_PROTOCOL } from '../../core/host-state.ts';
import { requireIp } from '../../core/ip.ts';
import { WIREGUARD_DEVICES, WIREGUARD_PLACE, WIREGUARD_POOL } from '../../core/wireguard/state.ts';
import { AF } from '../native/socket.ts';
import { decodeAddress, deleteAddress, dumpAddresses, replaceAddress } from '../netlink/address.ts';
import { lookUpFamily } from '../netlink/generic.ts';
import { decodeLink, dumpLinks, getLink, setLink } from '../netlink/link.ts';
import type { Request } from '../netlink/message.ts';
import { decodeNsid, getNsid } from '../netlink/namespace-id.ts';
import { decodeRoute, dumpRoutes, replaceRoute } from '../netlink/route.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { IFF_UP } from '../netlink/uapi/if-link.ts';
import { NETNSA_NSID_NOT_ASSIGNED } from '../netlink/uapi/net-namespace.ts';
import { NETLINK_GENERIC } from '../netlink/uapi/netlink.ts';
import { RT_SCOPE_UNIVERSE } from '../netlink/uapi/rtnetlink.ts';
import { WG_GENL_NAME } from '../netlink/uapi/wireguard.ts';
import { decodeWireguard, getWireguard, joinWireguard, newWireguard, setWireguard } from '../netlink/wireguard.ts';
import { isNoNamespace, pathOf } from './means.ts';
import { makeNamespace, removeNamespace } from './named-namespaces.ts';
import { plainError } from './plain-error.ts';
import { removeLinks } from './removal.ts';
import { setSysctl } from './sysctl.ts';
import { followPlace, moveTun, removeTunPlace, tunBehind } from './tun-place.ts';
import type { PlaceLink, PlaceSeen, PlaceStep, StepRefusal } from './wireguard-place.ts';

/** Beyond all VNIs: events are none of a network's. */
const PLACE_ID = 2 ** 24;
const PATH = pathOf(WIREGUARD_PLACE);
const NAMES: readonly string[] = WIREGUARD_DEVICES;
const POOL = parseCidr(WIREGUARD_POOL)!;
/** Kinds of links that are made there. */
const OF_THE_PLACE: readonly string[] = ['wireguard', 'tun', 'veth'];

/**
 * Before there is any link, which takes them over. Rows of the second device's peers come in by a device that the route does
 * not lead to; nothing is passed on; and of IPv6, which would speak up by itself, there is none.
 */
const SYSCTLS = [
  ...['all', 'default'].flatMap((which) => [
    [`net.ipv4.conf.${which}.rp_filter`, '0'] as const,
    [`net.ipv4.conf.${which}.forwarding`, '0'] as const,
    [`net.ipv6.conf.${which}.disable_ipv6`, '1'] as const,
  ]),
];

/** Whether the kernel has WireGuard; it loads the module, where there is one. */
export function hasWireguardModule(): boolean {
  return within(undefined, NETLINK_GENERIC, (socket) => lookUpFamily(socket, WG_GENL_NAME) !== undefined);
}

// ---------------------------------------------------------------- looking

/** Undefined: there is no such place. Throws `data-path-failed`. */
export function lookAtWireguard(): PlaceSeen | undefined {
  try {
    return within(PATH, undefined, look);
  } catch (error) {
    if (isNoNamespace(error)) return undefined;
    throw error;
  }
}

function look(socket: NetlinkSocket): PlaceSeen {
  const links = socket.dump(dumpLinks(), decodeLink);
  const addresses = socket.dump(dumpAddresses(AF.INET), decodeAddress);
  const route = poolRoute(socket);
  const name = links.find(({ index }) => index === route?.link)?.name ?? '';
  const seen = links.map((each): PlaceLink => {
    const { name, index, mtu, flags } = each;
    const own = addresses.filter(({ link }) => link === index);
    const isUp = (flags & IFF_UP) !== 0;
    const isEnd = each.kind === 'veth' && NAMES.includes(name);
    const tun = isEnd
      ? tunBehind(
          each,
          own.map(({ address }) => address),
        )
      : undefined;
    const kind = tun ? 'tun' : each.kind;
    return {
      ...{ name, index, kind, mtu, up: isUp && tun?.isUp !== false },
      addresses: own.map(({ address, prefix }) => formatCidr({ ip: requireIp(address, 'address'), prefix })),
      device: kind === 'wireguard' ? readDevice(name) : undefined,
    };
  });
  return { nsid: readNsid(), links: seen, route: route && { link: name, source: route.preferredSource } };
}

function poolRoute(socket: NetlinkSocket) {
  const pool = formatCidr(POOL);
  // There is no table before the first route.
  return socket
    .dump(dumpRoutes({ family: AF.INET }), decodeRoute, ['ENOENT'])
    .find(({ destination, prefix, metric }) => `${destination}/${prefix}` === pool && metric === 0);
}

function readDevice(name: string) {
  return within(PATH, NETLINK_GENERIC, (socket) => {
    const family = lookUpFamily(socket, WG_GENL_NAME);
    if (family === undefined) return undefined;
    // It may have gone since it was listed.
    return joinWireguard(socket.dump(getWireguard(family, name), decodeWireguard, ['ENODEV', 'EOPNOTSUPP']));
  });
}

function readNsid(): number | undefined {
  const file = openSync(PATH!, 'r');
  try {
    const id = within(undefined, undefined, (socket) => socket.get(getNsid(file), decodeNsid));
    return id === NETNSA_NSID_NOT_ASSIGNED ? undefined : id;
  } finally {
    closeSync(file);
  }
}

// ---------------------------------------------------------------- writing

/** In order, up to the first that is refused. */
export async function carryOutWireguard(steps: readonly PlaceStep[]): Promise<StepRefusal | undefined> {
  for (const [step, each] of steps.entries()) {
    try {
      await carryOut(each);
    } catch (error) {
      return { step, ...plainError(error) };
    }
  }
  return undefined;
}

async function carryOut(step: PlaceStep): Promise<void> {
  switch (step.kind) {
    case 'make-place':
      makePlace();
      break;
    case 'delete-place':
      removeNamespace(WIREGUARD_PLACE);
      NAMES.forEach(removeTunPlace);
      break;
    case 'make-link':
      inPlace((namespaceFd) => ask(undefined, [newWireguard({ name: step.name, mtu: step.mtu, namespaceFd })]));
      break;
    case 'move-link':
      moveTun(step.name);
      break;
    case 'delete-link':
      for (const place of [HOST, WIREGUARD_PLACE]) await removeLink(place, step.name);
      removeTunPlace(step.name);
      break;
    case 'set-link': {
      const { name, mtu } = step;
      ask(PATH, [setLink({ name }, { mtu })]);
      followPlace(name);
      break;
    }
    case 'set-up':
      ask(PATH, [setLink({ name: step.name }, { up: true })]);
      followPlace(step.name);
      break;
    case 'set-address':
      within(PATH, undefined, (socket) => setAddress(socket, step.name, step.address));
      followPlace(step.name);
      break;
    case 'send-by':
      within(PATH, undefined, (socket) => send(socket, [routeBy(indexOf(socket, step.name), step.address)]));
      break;
    case 'configure':
      within(PATH, NETLINK_GENERIC, (socket) => {
        const family = lookUpFamily(socket, WG_GENL_NAME);
        if (family === undefined) throw coded('EOPNOTSUPP', 'the kernel has no WireGuard');
        send(socket, setWireguard(family, step.device));
      });
  }
}

function makePlace(): void {
  makeNamespace(WIREGUARD_PLACE, PLACE_ID);
  const links = within(PATH, undefined, (socket) => socket.dump(dumpLinks(), decodeLink));
  // What is there already is used as it is. Where modules of other tunnels are loaded each namespace has devices of theirs.
  if (links.some(({ kind }) => OF_THE_PLACE.includes(kind))) return;
  for (const [key, value] of SYSCTLS) setSysctl(PATH, key, value);
}

/** The new one first: with an address the routes go whose source it is. */
function setAddress(socket: NetlinkSocket, name: string, address: string): void {
  const link = indexOf(socket, name);
  const others = socket
    .dump(dumpAddresses(AF.INET), decodeAddress)
    .filter((each) => each.link === link && !(each.address === address && each.prefix === 32));
  const isRouted = poolRoute(socket)?.link === link;
  send(socket, [
    replaceAddress({ link, address, prefix: 32, scope: RT_SCOPE_UNIVERSE }),
    ...(isRouted ? [routeBy(link, address)] : []),
    ...others.map((other) => deleteAddress(other)),
  ]);
}

function routeBy(link: number, preferredSource: string): Request {
  const { ip, prefix } = POOL;
  const [destination] = formatCidr(blockOf(ip)).split('/') as [string];
  return replaceRoute({ destination, prefix, link, preferredSource, protocol: Number(ROUTE_PROTOCOL) });
}

function indexOf(socket: NetlinkSocket, name: string): number {
  const link = socket.get(getLink({ name }), decodeLink, ['ENODEV']);
  if (!link) throw coded('ENODEV', `there is no link ${name}`);
  return link.index;
}

async function removeLink(place: string, name: string): Promise<void> {
  try {
    for (const { code, message } of (await removeLinks(place, [name])).values()) throw coded(code, message);
  } catch (error) {
    if (!isNoNamespace(error)) throw error;
  }
}

function inPlace<T>(task: (namespaceFd: number) => T): T {
  const file = openSync(PATH!, 'r');
  try {
    return task(file);
  } finally {
    closeSync(file);
  }
}

function ask(namespace: string | undefined, requests: readonly Request[]): void {
  within(namespace, undefined, (socket) => send(socket, requests));
}

/** Throws what the first that is refused is refused for, once all have been asked for. */
function send(socket: NetlinkSocket, requests: readonly Request[]): void {
  for (const outcome of socket.request(requests)) if (!outcome.ok) throw coded(outcome.code, outcome.text);
}

function coded(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

function within<T>(namespace: string | undefined, protocol: number | undefined, task: (socket: NetlinkSocket) => T): T {
  const socket = new NetlinkSocket({ namespace, ...(protocol !== undefined && { protocol }) });
  try {
    return task(socket);
  } finally {
    socket.close();
  }
}
