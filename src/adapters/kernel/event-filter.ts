/**
 * Which of the kernel's events are of concern: those that tell of something which we make, or go by, and which is not as it
 * was when they told of it last. Much of what the kernel tells is not: neighbours that it confirms, the state of a
 * cable, every setting of a link once more when one of them changed.
 */
import { LOOPBACK, ROUTE_PROTOCOL, SERVICE_ADDRESS, TABLE } from '../../core/host-state.ts';
import type { KernelChange, RowEvent } from '../../core/kernel-change.ts';
import { isHandoverLink, isUplink, namespaceOf, namespaceOfUplink } from '../../core/plan/naming.ts';
import { AF } from '../native/socket.ts';
import { decodeAddress } from '../netlink/address.ts';
import { decodeLink, type LinkMessage } from '../netlink/link.ts';
import type { Message } from '../netlink/message.ts';
import { decodeNsid } from '../netlink/namespace-id.ts';
import { decodeNeighbour } from '../netlink/neighbour.ts';
import { decodeNetconf } from '../netlink/netconf.ts';
import { decodeTableEvent } from '../netlink/nftables.ts';
import { decodeRoute } from '../netlink/route.ts';
import { IFF_UP } from '../netlink/uapi/if-link.ts';
import { NUD_NOARP, NUD_PERMANENT } from '../netlink/uapi/neighbour.ts';
import { NETCONFA_IFINDEX_ALL } from '../netlink/uapi/netconf.ts';
import { NFPROTO_BRIDGE, NFPROTO_INET } from '../netlink/uapi/netfilter.ts';
import { NFT_MSG_DELRULE } from '../netlink/uapi/nf-tables.ts';
import * as rt from '../netlink/uapi/rtnetlink.ts';
import type { Uplink } from './jobs.ts';
import { isIdOfWireguard, vniOfNamespaceId } from './namespace-ids.ts';

/** `firewall`: rules of the host that are not ours. */
export type Heard = KernelChange | { readonly kind: 'firewall' };

export class EventFilter {
  /** Paths of containers' namespaces, by the id that the host knows them by. */
  readonly #containers = new Map<number, Set<string>>();
  /** Ids of namespaces that nobody followed when something happened in them. */
  readonly #missed = new Set<number>();
  /** How often somebody is about to follow what has that id. */
  readonly #expected = new Map<number, number>();
  /** What was told of links last, by namespace id (undefined: the host) and index. */
  readonly #links = new Map<number | undefined, Map<number, string>>();
  /** Names of links in networks' namespaces, by namespace id and index. */
  readonly #names = new Map<number, Map<number, string>>();
  /** Names of the host's ends of uplinks, by index; undefined: of some it is not known, and any link may be one. */
  #uplinks: Map<number, string> | undefined;
  /** Names of the host's links by index, as they were told while somebody looks for the uplinks; undefined: they are gone. */
  #toldSince: Map<number, string | undefined> | undefined;

  /** The namespace with this id is one that is about to be followed, as soon as what had the id before is heard of no more. */
  expect(nsid: number): void {
    this.#expected.set(nsid, (this.#expected.get(nsid) ?? 0) + 1);
  }

  /** From now on what happens in the namespace with this id is a container's. Returns what did before, as far as heard. */
  follow(nsid: number, path: string): readonly Heard[] {
    const others = (this.#expected.get(nsid) ?? 1) - 1;
    if (others === 0) this.#expected.delete(nsid);
    else this.#expected.set(nsid, others);
    const paths = this.#containers.get(nsid) ?? new Set();
    this.#containers.set(nsid, paths.add(path));
    return this.#missed.delete(nsid) ? this.#containersOf(nsid) : [];
  }

  /**
   * The host's uplinks, seen at some time since {@link forget}; undefined: nobody could look. Returns what was heard since then and
   * not understood.
   */
  know(uplinks: readonly Uplink[] | undefined): readonly Heard[] {
    const told = this.#toldSince ?? new Map();
    this.#toldSince = undefined;
    this.#uplinks = uplinks && new Map(uplinks.map(({ index, name }) => [index, name]));
    return [...told].flatMap(([index, name]) => this.#hostName(index, name));
  }

  /** Events were lost, or nobody listened: what was told is no longer known. Somebody looks for the uplinks from now on. */
  forget(): void {
    this.#links.clear();
    this.#names.clear();
    this.#uplinks = undefined;
    this.#toldSince = new Map();
  }

  /** `nsid`: of the namespace in which it happened; undefined: the host. */
  route(message: Message, nsid: number | undefined): readonly Heard[] {
    if (message.type === rt.RTM_DELNSID && nsid === undefined) return this.#ended(decodeNsid(message));
    // Tunnels of encrypted networks that could not be made can be, and those of the one before are of no use.
    if (message.type === rt.RTM_NEWNSID && nsid === undefined)
      return isIdOfWireguard(decodeNsid(message)) ? [{ kind: 'all' }] : [];
    if (nsid === undefined) return this.#host(message);
    const vni = vniOfNamespaceId(nsid);
    if (vni > 0) return some(this.#network(message, nsid, vni));
    if (!this.#isOfContainer(message, nsid)) return [];
    if (!this.#containers.has(nsid)) this.#missed.add(nsid);
    return this.#containersOf(nsid);
  }

  /** An event of nftables. */
  table(message: Message, nsid: number | undefined): readonly Heard[] {
    const event = decodeTableEvent(message);
    if (!event) return [];
    // In a network's namespace there are two: the bridge's, and that of services.
    const isOfFamily = event.family === NFPROTO_INET || (nsid !== undefined && event.family === NFPROTO_BRIDGE);
    const isOurs = event.table === TABLE && isOfFamily;
    if (nsid !== undefined) return isOurs && vniOfNamespaceId(nsid) > 0 ? [network(vniOfNamespaceId(nsid))] : [];
    if (isOurs) return [{ kind: 'host' }];
    // Tables, chains and rules; elements of sets come and go.
    return event.message <= NFT_MSG_DELRULE ? [{ kind: 'firewall' }] : [];
  }

  #host(message: Message): readonly Heard[] {
    switch (message.type) {
      case rt.RTM_NEWLINK:
      case rt.RTM_DELLINK:
        return this.#hostLink(message);
      case rt.RTM_NEWADDR:
      case rt.RTM_DELADDR: {
        const { family, label, link, address, scope } = decodeAddress(message);
        const isOurs =
          family === AF.INET6
            ? (this.#uplinks?.has(link) ?? true)
            : isUplink(label) || (label === LOOPBACK && address === SERVICE_ADDRESS);
        if (isOurs) return [{ kind: 'host' }];
        // Each link of a container engine's has one of its own.
        return family === AF.INET6 && scope === rt.RT_SCOPE_LINK ? [] : [{ kind: 'underlay' }];
      }
      case rt.RTM_NEWROUTE:
      case rt.RTM_DELROUTE: {
        const { family, table, flags, protocol, destination } = decodeRoute(message);
        if (table === rt.RT_TABLE_LOCAL || flags & rt.RTM_F_CLONED) return [];
        if (family === AF.INET6 && protocol === rt.RTPROT_KERNEL && destination === 'fe80::') return [];
        return [{ kind: String(protocol) === ROUTE_PROTOCOL ? 'host' : 'underlay' }];
      }
      case rt.RTM_NEWNEIGH:
      case rt.RTM_DELNEIGH:
        return isNeighbour(message) && (this.#uplinks?.has(decodeNeighbour(message).link) ?? true)
          ? [{ kind: 'host' }]
          : [];
      default:
        return isForwarding(message) ? [{ kind: 'host' }] : [];
    }
  }

  #hostLink(message: Message): readonly Heard[] {
    const link = decodeLink(message);
    const isNew = this.#isNews(message, link, undefined);
    const renamed = this.#hostName(link.index, message.type === rt.RTM_NEWLINK ? link.name : undefined);
    if (renamed.length > 0) return renamed;
    // What waits for an engine comes and goes by our own doing and the engine's.
    if (!isNew || isHandoverLink(link.name)) return [];
    return [{ kind: isUplink(link.name) ? 'host' : 'underlay' }];
  }

  /** Of a link; undefined: it is gone. Returns what that means where it is another one than before. */
  #hostName(index: number, name: string | undefined): readonly Heard[] {
    this.#toldSince?.set(index, name);
    const former = this.#uplinks?.get(index);
    if (name !== undefined && isUplink(name)) this.#uplinks?.set(index, name);
    else this.#uplinks?.delete(index);
    // Under another name it is no network's, and its other end is as it was: the network makes both anew.
    if (name === undefined || former === undefined || former === name) return [];
    return [{ kind: 'host' }, { kind: 'network', namespace: namespaceOfUplink(former) }];
  }

  #network(message: Message, nsid: number, vni: number): Heard | undefined {
    switch (message.type) {
      case rt.RTM_NEWLINK:
      case rt.RTM_DELLINK: {
        const link = decodeLink(message);
        const isNews = this.#isNews(message, link, nsid);
        this.#name(message, link, nsid);
        return isNews ? network(vni) : undefined;
      }
      case rt.RTM_NEWADDR:
      case rt.RTM_DELADDR:
        return network(vni);
      case rt.RTM_NEWROUTE:
      case rt.RTM_DELROUTE:
        return isRoute(message) ? network(vni) : undefined;
      case rt.RTM_NEWNEIGH:
      case rt.RTM_DELNEIGH: {
        const row = readRow(message, this.#names.get(nsid));
        return row && { ...network(vni), rows: [row] };
      }
      default:
        return isForwarding(message) ? network(vni) : undefined;
    }
  }

  /** Of links whose coming was heard. */
  #name({ type }: Message, { family, index, name }: LinkMessage, nsid: number): void {
    if (family === AF.BRIDGE) return;
    const names = this.#names.get(nsid) ?? new Map<number, string>();
    this.#names.set(nsid, names);
    if (type === rt.RTM_NEWLINK) names.set(index, name);
    else names.delete(index);
  }

  /** Neighbours and filters inside are the container's own. */
  #isOfContainer(message: Message, nsid: number): boolean {
    switch (message.type) {
      case rt.RTM_NEWLINK:
      case rt.RTM_DELLINK:
        return !this.#containers.has(nsid) || this.#isNews(message, decodeLink(message), nsid);
      case rt.RTM_NEWADDR:
      case rt.RTM_DELADDR:
        return true;
      default:
        return (message.type === rt.RTM_NEWROUTE || message.type === rt.RTM_DELROUTE) && isRoute(message);
    }
  }

  /** The namespace has ended, and its id may be given to another one. */
  #ended(nsid: number): readonly Heard[] {
    const heard = this.#containersOf(nsid);
    this.#containers.delete(nsid);
    // It may be the end of what is about to be followed.
    if (this.#expected.has(nsid)) this.#missed.add(nsid);
    else this.#missed.delete(nsid);
    this.#links.delete(nsid);
    this.#names.delete(nsid);
    const vni = vniOfNamespaceId(nsid);
    return vni > 0 ? [network(vni)] : heard;
  }

  #containersOf(nsid: number): readonly Heard[] {
    return [...(this.#containers.get(nsid) ?? [])].map((path) => ({ kind: 'container', path }));
  }

  /** Whether it tells anything else of the link than the last one did. */
  #isNews({ type }: Message, link: LinkMessage, nsid: number | undefined): boolean {
    const links = this.#links.get(nsid) ?? new Map<number, string>();
    this.#links.set(nsid, links);
    // Of a port its bridge tells besides, in other words.
    const key = link.family === AF.BRIDGE ? -link.index : link.index;
    if (type === rt.RTM_DELLINK) {
      links.delete(key);
      return true;
    }
    const now = nsid === undefined ? hostWords(link) : words(link);
    if (links.get(key) === now) return false;
    links.set(key, now);
    return true;
  }
}

function words({ name, mac, mtu, flags, master, kind, link, vxlan, bridge, port }: LinkMessage): string {
  return JSON.stringify([name, mac, mtu, flags & IFF_UP, master, kind, link, vxlan, bridge, port]);
}

/** Whether there is a carrier counts where others' traffic comes and goes. */
function hostWords(link: LinkMessage): string {
  return isUplink(link.name) ? words(link) : `${words(link)}${link.flags}`;
}

/** Written by somebody, or gone. What the kernel learns and confirms by itself is no change of ours. */
function isNeighbour(message: Message): boolean {
  const { family, state, address } = decodeNeighbour(message);
  // The kernel makes one of a group for each that it sends to.
  if (family === AF.INET6 && address?.startsWith('ff')) return false;
  return (
    isOfIp(family) &&
    !isMapped(address) &&
    (message.type === rt.RTM_DELNEIGH || (state & (NUD_PERMANENT | NUD_NOARP)) !== 0)
  );
}

/** An IPv4 address that somebody wrote as IPv6: no network has it, and it is not that IPv4 address. */
function isMapped(address: string | undefined): boolean {
  return address?.startsWith('::ffff:') === true && address.includes('.');
}

/** Undefined: none that is somebody's, or has been. */
function readRow(message: Message, names: ReadonlyMap<number, string> | undefined): RowEvent | undefined {
  const { family, link: index, state, address, mac, port, master, vlan } = decodeNeighbour(message);
  const row = { index, link: names?.get(index), mac };
  const gone = message.type === rt.RTM_DELNEIGH;
  if (isOfIp(family) && address !== undefined) {
    if (isMapped(address)) return undefined;
    const what = gone ? 'gone' : state & NUD_PERMANENT ? 'written' : 'unwritten';
    return { ...row, what, address, vtep: undefined, port: undefined };
  }
  if (family !== AF.BRIDGE) return undefined;
  const fdb = { ...row, address: undefined, vtep: address, port };
  if (address !== undefined) return { ...fdb, what: gone ? 'gone' : 'written' };
  // A bridge's: neither learnt nor its own. One of a device without a tunnel end is of the device's own making.
  const isStatic = (state & NUD_NOARP) !== 0 && (state & NUD_PERMANENT) === 0;
  // Nor one for a VLAN, which the kernel makes beside each.
  if (master === 0 || vlan !== 0 || (gone && !isStatic)) return undefined;
  return { ...fdb, what: gone ? 'gone' : isStatic ? 'written' : 'unwritten' };
}

/** The local table only mirrors addresses. */
function isRoute(message: Message): boolean {
  const { table, flags } = decodeRoute(message);
  return table !== rt.RT_TABLE_LOCAL && !(flags & rt.RTM_F_CLONED);
}

function isForwarding(message: Message): boolean {
  if (message.type !== rt.RTM_NEWNETCONF) return false;
  const { family, index, forwarding } = decodeNetconf(message);
  return isOfIp(family) && index === NETCONFA_IFINDEX_ALL && forwarding !== undefined;
}

function isOfIp(family: number): boolean {
  return family === AF.INET || family === AF.INET6;
}

function network(vni: number): KernelChange & { readonly kind: 'network' } {
  return { kind: 'network', namespace: namespaceOf(vni) };
}

function some(heard: Heard | undefined): readonly Heard[] {
  return heard ? [heard] : [];
}
