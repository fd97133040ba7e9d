/**
 * Links (`RTM_*LINK`, rtnetlink(7), `linux/if_link.h`): VXLAN and WireGuard devices, bridges and their ports, veth pairs. A link is named
 * by its index or by its name, whichever is given; the kernel's answers have both.
 */
import { AF } from '../native/socket.ts';
import { AttributeReader, PayloadWriter, parseAddress } from './attributes.ts';
import type { Message, Request } from './message.ts';
import * as nl from './uapi/if-link.ts';
import { NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL } from './uapi/netlink.ts';
import { IFINFOMSG_BYTES, RTEXT_FILTER_SKIP_STATS, RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK } from './uapi/rtnetlink.ts';

/** A link as the kernel tells it. */
export interface LinkMessage {
  /** 7 (`AF_BRIDGE`) in events of a bridge about its port: {@link port} is told, kind and peer are not. */
  readonly family: number;
  readonly index: number;
  readonly name: string;
  /** `IFF_*`. */
  readonly flags: number;
  /** Empty when it is not one of Ethernet's. */
  readonly mac: string;
  readonly mtu: number;
  readonly group: number;
  /** Index of the bridge that it is a port of; 0: none. */
  readonly master: number;
  /** Index of a veth's peer, or of the link below; 0: none. */
  readonly link: number;
  /** Id of the namespace that {@link link} is in; undefined: this one. */
  readonly linkNetnsid: number | undefined;
  /** `bridge`, `vxlan`, `veth` …; empty where a link has none, as `lo`. */
  readonly kind: string;
  readonly vxlan: VxlanData | undefined;
  readonly bridge: BridgeData | undefined;
  /** Of a bridge's port. */
  readonly port: BridgePort | undefined;
  /** Undefined where there is no IPv6, and in events that do not tell. */
  readonly inet6: Inet6Data | undefined;
}

/** IPv6 on a link, of `IFLA_AF_SPEC`. */
export interface Inet6Data {
  /** Of packets of IPv6: the link's, or what a router has told. */
  readonly mtu: number;
  /** `IN6_ADDR_GEN_MODE_*`. */
  readonly addrGenMode: number;
  readonly disabled: boolean;
  readonly forwarding: boolean;
  /** `net.ipv6.conf.*.accept_ra`: 0 never, 1 unless it forwards, 2 always. */
  readonly acceptRa: number;
}

/** `IFLA_INFO_DATA` of kind "vxlan". */
export interface VxlanData {
  readonly vni: number;
  /** Its family is that of the underlay; undefined when it is not set, and the underlay of IPv4. */
  readonly local: string | undefined;
  readonly port: number;
  readonly learning: boolean;
  readonly proxy: boolean;
  readonly ttl: number;
  readonly udpChecksum: boolean;
}

/** `IFLA_INFO_DATA` of kind "bridge". */
export interface BridgeData {
  readonly stp: boolean;
  readonly multicastSnooping: boolean;
}

/** `IFLA_INFO_SLAVE_DATA` of kind "bridge", `IFLA_PROTINFO`. */
export interface BridgePort {
  readonly learning: boolean;
  readonly flood: boolean;
  readonly multicastFlood: boolean;
  readonly broadcastFlood: boolean;
  readonly locked: boolean;
  readonly hairpin: boolean;
  readonly isolated: boolean;
  readonly neighbourSuppression: boolean;
}

// ---------------------------------------------------------------- requests

/** Which link. */
export type LinkName = { readonly index: number } | { readonly name: string };

/** A link to be made. `index`: one that is free, so that requests of the same batch can name the link by it. */
export interface NewLink {
  readonly name: string;
  /** Undefined: it is not one of Ethernet's. */
  readonly mac?: string | undefined;
  readonly mtu: number;
  readonly index?: number | undefined;
  /** Of what is handed to it to be cut later (GSO). */
  readonly gsoMaxBytes?: number | undefined;
  /** Descriptor of the namespace that it is put into (`IFLA_NET_NS_FD`); undefined: the socket's. */
  readonly namespaceFd?: number | undefined;
}

/** The UDP socket of the device is in the namespace of the socket that asks, and stays there. */
export function newVxlan(link: NewLink, data: VxlanData): Request {
  const local = data.local === undefined ? undefined : parseAddress(data.local);
  const family = local?.family ?? 4;
  return newLink(link, 'vxlan', (writer) => {
    writer.u32(nl.IFLA_VXLAN_ID, data.vni);
    if (local) writer.ip(family === 4 ? nl.IFLA_VXLAN_LOCAL : nl.IFLA_VXLAN_LOCAL6, local);
    writer
      .u8(nl.IFLA_VXLAN_TTL, data.ttl)
      .u8(nl.IFLA_VXLAN_LEARNING, Number(data.learning))
      .u8(nl.IFLA_VXLAN_PROXY, Number(data.proxy))
      .be16(nl.IFLA_VXLAN_PORT, data.port);
    if (family === 4) writer.u8(nl.IFLA_VXLAN_UDP_CSUM, Number(data.udpChecksum));
    else
      writer
        .u8(nl.IFLA_VXLAN_UDP_ZERO_CSUM6_TX, Number(!data.udpChecksum))
        .u8(nl.IFLA_VXLAN_UDP_ZERO_CSUM6_RX, Number(!data.udpChecksum));
  });
}

export function newBridge(link: NewLink, data: BridgeData): Request {
  return newLink(link, 'bridge', (writer) => writeBridge(writer, data));
}

function writeBridge(writer: PayloadWriter, { stp, multicastSnooping }: BridgeData): void {
  writer.u32(nl.IFLA_BR_STP_STATE, Number(stp)).u8(nl.IFLA_BR_MCAST_SNOOPING, Number(multicastSnooping));
}

export function newVeth(link: NewLink, peer: NewLink): Request {
  return newLink(link, 'veth', (writer) =>
    writer.nested(nl.VETH_INFO_PEER, () => {
      writeHeader(writer, { index: peer.index ?? 0 });
      writeNewLink(writer, peer);
    }),
  );
}

export function newLink(link: NewLink, kind: string, data?: (writer: PayloadWriter) => void): Request {
  const writer = new PayloadWriter();
  writeHeader(writer, { index: link.index ?? 0 });
  writeNewLink(writer, link);
  writer.nested(nl.IFLA_LINKINFO, () => {
    writer.text(nl.IFLA_INFO_KIND, kind);
    if (data) writer.nested(nl.IFLA_INFO_DATA, data);
  });
  return { type: RTM_NEWLINK, flags: NLM_F_CREATE | NLM_F_EXCL, payload: writer.payload() };
}

function writeNewLink(writer: PayloadWriter, { name, mac, mtu, namespaceFd, gsoMaxBytes }: NewLink): void {
  writer.text(nl.IFLA_IFNAME, name).u32(nl.IFLA_MTU, mtu);
  // Of a veth's queues, one for each processor, the kernel takes all but one back, and waits for that twice.
  writer.u32(nl.IFLA_NUM_TX_QUEUES, 1).u32(nl.IFLA_NUM_RX_QUEUES, 1);
  if (mac !== undefined) writer.mac(nl.IFLA_ADDRESS, mac);
  if (namespaceFd !== undefined) writer.u32(nl.IFLA_NET_NS_FD, namespaceFd);
  if (gsoMaxBytes !== undefined) writer.u32(nl.IFLA_GSO_MAX_SIZE, gsoMaxBytes);
}

/** What is to be otherwise; what is left out stays. */
export interface LinkChange {
  readonly mac?: string | undefined;
  readonly mtu?: number | undefined;
  /** Index of a bridge; 0: it is taken out of the one that it is in. */
  readonly master?: number | undefined;
  readonly group?: number | undefined;
  readonly namespaceFd?: number | undefined;
  /** Of a bridge. */
  readonly bridge?: BridgeData | undefined;
  readonly up?: boolean | undefined;
}

/** One request changes all of it or fails half-way, in the order MAC, MTU, master, up (`do_setlink` of the kernel). */
export function setLink(which: LinkName, change: LinkChange): Request {
  const { mac, mtu, master, group, namespaceFd, bridge, up } = change;
  const writer = new PayloadWriter();
  writeLinkName(writer, which, up === undefined ? undefined : { flags: up ? nl.IFF_UP : 0, change: nl.IFF_UP });
  if (mac !== undefined) writer.mac(nl.IFLA_ADDRESS, mac);
  if (mtu !== undefined) writer.u32(nl.IFLA_MTU, mtu);
  if (master !== undefined) writer.u32(nl.IFLA_MASTER, master);
  if (group !== undefined) writer.u32(nl.IFLA_GROUP, group);
  if (namespaceFd !== undefined) writer.u32(nl.IFLA_NET_NS_FD, namespaceFd);
  if (bridge) {
    writer.nested(nl.IFLA_LINKINFO, () => {
      writer.text(nl.IFLA_INFO_KIND, 'bridge').nested(nl.IFLA_INFO_DATA, () => writeBridge(writer, bridge));
    });
  }
  return { type: RTM_NEWLINK, flags: 0, payload: writer.payload() };
}

/** Of a port of a bridge. What a kernel does not know of it, it passes over without a word: {@link getLink} tells. */
export function setBridgePort(which: LinkName, port: BridgePort): Request {
  const writer = new PayloadWriter();
  writeLinkName(writer, which);
  writer.nested(nl.IFLA_LINKINFO, () => {
    writer.text(nl.IFLA_INFO_SLAVE_KIND, 'bridge').nested(nl.IFLA_INFO_SLAVE_DATA, () => {
      writer
        .u8(nl.IFLA_BRPORT_LEARNING, Number(port.learning))
        .u8(nl.IFLA_BRPORT_UNICAST_FLOOD, Number(port.flood))
        .u8(nl.IFLA_BRPORT_MCAST_FLOOD, Number(port.multicastFlood))
        .u8(nl.IFLA_BRPORT_BCAST_FLOOD, Number(port.broadcastFlood))
        .u8(nl.IFLA_BRPORT_LOCKED, Number(port.locked))
        .u8(nl.IFLA_BRPORT_MODE, Number(port.hairpin))
        .u8(nl.IFLA_BRPORT_ISOLATED, Number(port.isolated))
        .u8(nl.IFLA_BRPORT_NEIGH_SUPPRESS, Number(port.neighbourSuppression));
    });
  });
  return { type: RTM_NEWLINK, flags: 0, payload: writer.payload() };
}

/** `IN6_ADDR_GEN_MODE_NONE`: no IPv6 address is made when the link comes up. `EAFNOSUPPORT` where there is no IPv6. */
export function setAddrGenMode(which: LinkName, mode: number): Request {
  const writer = new PayloadWriter();
  writeLinkName(writer, which);
  writer.nested(nl.IFLA_AF_SPEC, () => {
    writer.nested(AF.INET6, () => writer.u8(nl.IFLA_INET6_ADDR_GEN_MODE, mode));
  });
  return { type: RTM_NEWLINK, flags: 0, payload: writer.payload() };
}

export function deleteLink(which: LinkName): Request {
  const writer = new PayloadWriter();
  writeLinkName(writer, which);
  return { type: RTM_DELLINK, flags: 0, payload: writer.payload() };
}

/** All links of the group, in about the time that one takes; `ENODEV` when there are none. Not 0, the group of all. */
export function deleteLinkGroup(group: number): Request {
  const writer = new PayloadWriter();
  writeHeader(writer, { index: 0 });
  writer.u32(nl.IFLA_GROUP, group);
  return { type: RTM_DELLINK, flags: 0, payload: writer.payload() };
}

/** One link. */
export function getLink(which: LinkName): Request {
  const writer = new PayloadWriter();
  writeLinkName(writer, which);
  writer.u32(nl.IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  return { type: RTM_GETLINK, flags: 0, payload: writer.payload() };
}

/** All links, or those of a kind alone (`veth`). */
export function dumpLinks(kind?: string): Request {
  const writer = new PayloadWriter();
  writeHeader(writer, { index: 0 });
  writer.u32(nl.IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  if (kind !== undefined) writer.nested(nl.IFLA_LINKINFO, () => writer.text(nl.IFLA_INFO_KIND, kind));
  return { type: RTM_GETLINK, flags: NLM_F_DUMP, payload: writer.payload() };
}

function writeLinkName(writer: PayloadWriter, which: LinkName, up?: { flags: number; change: number }): void {
  writeHeader(writer, { index: 'index' in which ? which.index : 0, ...up });
  if ('name' in which) writer.text(nl.IFLA_IFNAME, which.name);
}

function writeHeader(writer: PayloadWriter, set: { index: number; flags?: number; change?: number }): void {
  writer.header(IFINFOMSG_BYTES, (view, at) => {
    view.setUint8(at, AF.UNSPEC);
    view.setInt32(at + 4, set.index, true);
    view.setUint32(at + 8, set.flags ?? 0, true);
    view.setUint32(at + 12, set.change ?? 0, true);
  });
}

// ---------------------------------------------------------------- answers and events
/** Of `RTM_NEWLINK` and `RTM_DELLINK`. */
export function decodeLink({ view, start, end }: Message): LinkMessage {
  let [name, mac, kind, slaveKind] = ['', '', '', ''];
  let [mtu, group, master, link] = [0, 0, 0, 0];
  let linkNetnsid: number | undefined;
  let inet6: Inet6Data | undefined;
  let data: AttributeReader | undefined;
  let slaveData: AttributeReader | undefined;
  const attributes = new AttributeReader(view, start + IFINFOMSG_BYTES, end);
  while (attributes.next()) {
    switch (attributes.type) {
      case nl.IFLA_IFNAME:
        name = attributes.text();
        break;
      case nl.IFLA_ADDRESS:
        mac = attributes.mac() ?? '';
        break;
      case nl.IFLA_MTU:
        mtu = attributes.u32();
        break;
      case nl.IFLA_GROUP:
        group = attributes.u32();
        break;
      case nl.IFLA_MASTER:
        master = attributes.u32();
        break;
      case nl.IFLA_LINK:
        link = attributes.u32();
        break;
      case nl.IFLA_LINK_NETNSID:
        linkNetnsid = attributes.i32();
        break;
      case nl.IFLA_AF_SPEC:
        inet6 = readInet6(attributes.nested());
        break;
      case nl.IFLA_PROTINFO:
        slaveKind = 'bridge';
        slaveData = attributes.nested();
        break;
      case nl.IFLA_LINKINFO: {
        const info = attributes.nested();
        while (info.next()) {
          if (info.type === nl.IFLA_INFO_KIND) kind = info.text();
          else if (info.type === nl.IFLA_INFO_DATA) data = info.nested();
          else if (info.type === nl.IFLA_INFO_SLAVE_KIND) slaveKind = info.text();
          else if (info.type === nl.IFLA_INFO_SLAVE_DATA) slaveData = info.nested();
        }
        break;
      }
    }
  }
  return {
    family: view.getUint8(start),
    index: view.getInt32(start + 4, true),
    name,
    flags: view.getUint32(start + 8, true),
    mac,
    mtu,
    group,
    master,
    link,
    linkNetnsid,
    kind,
    vxlan: kind === 'vxlan' && data ? readVxlan(data) : undefined,
    bridge: kind === 'bridge' && data ? readBridge(data) : undefined,
    port: slaveKind === 'bridge' && slaveData ? readPort(slaveData) : undefined,
    inet6,
  };
}

function readVxlan(data: AttributeReader): VxlanData {
  const seen = { vni: 0, port: 0, learning: false, proxy: false, ttl: 0, udpChecksum: false };
  let local: string | undefined;
  let zeroChecksum = false;
  while (data.next()) {
    if (data.type === nl.IFLA_VXLAN_ID) seen.vni = data.u32();
    else if (data.type === nl.IFLA_VXLAN_LOCAL || data.type === nl.IFLA_VXLAN_LOCAL6) local = data.ip();
    else if (data.type === nl.IFLA_VXLAN_PORT) seen.port = data.be16();
    else if (data.type === nl.IFLA_VXLAN_LEARNING) seen.learning = data.u8() !== 0;
    else if (data.type === nl.IFLA_VXLAN_PROXY) seen.proxy = data.u8() !== 0;
    else if (data.type === nl.IFLA_VXLAN_TTL) seen.ttl = data.u8();
    else if (data.type === nl.IFLA_VXLAN_UDP_CSUM) seen.udpChecksum = data.u8() !== 0;
    else if (data.type === nl.IFLA_VXLAN_UDP_ZERO_CSUM6_TX) zeroChecksum = data.u8() !== 0;
  }
  return { ...seen, local, ...(local?.includes(':') && { udpChecksum: !zeroChecksum }) };
}

function readBridge(data: AttributeReader): BridgeData {
  const seen = { stp: false, multicastSnooping: false };
  while (data.next()) {
    if (data.type === nl.IFLA_BR_STP_STATE) seen.stp = data.u32() !== 0;
    else if (data.type === nl.IFLA_BR_MCAST_SNOOPING) seen.multicastSnooping = data.u8() !== 0;
  }
  return seen;
}

const NO_FLAGS = {
  ...{ learning: false, flood: false, multicastFlood: false, broadcastFlood: false },
  ...{ locked: false, hairpin: false, isolated: false, neighbourSuppression: false },
};

function readPort(data: AttributeReader): BridgePort {
  const seen = { ...NO_FLAGS };
  while (data.next()) {
    if (data.type === nl.IFLA_BRPORT_LEARNING) seen.learning = data.u8() !== 0;
    else if (data.type === nl.IFLA_BRPORT_UNICAST_FLOOD) seen.flood = data.u8() !== 0;
    else if (data.type === nl.IFLA_BRPORT_MCAST_FLOOD) seen.multicastFlood = data.u8() !== 0;
    else if (data.type === nl.IFLA_BRPORT_BCAST_FLOOD) seen.broadcastFlood = data.u8() !== 0;
    else if (data.type === nl.IFLA_BRPORT_LOCKED) seen.locked = data.u8() !== 0;
    else if (data.type === nl.IFLA_BRPORT_MODE) seen.hairpin = data.u8() !== 0;
    else if (data.type === nl.IFLA_BRPORT_ISOLATED) seen.isolated = data.u8() !== 0;
    else if (data.type === nl.IFLA_BRPORT_NEIGH_SUPPRESS) seen.neighbourSuppression = data.u8() !== 0;
  }
  return seen;
}

function readInet6(families: AttributeReader): Inet6Data | undefined {
  while (families.next()) {
    if (families.type !== AF.INET6) continue;
    const seen = { mtu: 0, addrGenMode: 0, disabled: false, forwarding: false, acceptRa: 0 };
    const inet6 = families.nested();
    while (inet6.next()) {
      if (inet6.type === nl.IFLA_INET6_ADDR_GEN_MODE) seen.addrGenMode = inet6.u8();
      else if (inet6.type === nl.IFLA_INET6_CONF) {
        seen.mtu = inet6.u32At(4 * nl.DEVCONF_MTU6);
        seen.disabled = inet6.u32At(4 * nl.DEVCONF_DISABLE_IPV6) !== 0;
        seen.forwarding = inet6.u32At(4 * nl.DEVCONF_FORWARDING) !== 0;
        seen.acceptRa = inet6.u32At(4 * nl.DEVCONF_ACCEPT_RA);
      }
    }
    return seen;
  }
  return undefined;
}
