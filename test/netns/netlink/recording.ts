/**
 * What this machine's kernel says by netlink, message by message, of what is made for it in namespaces of its own:
 * Sequence numbers and ports of sockets are 0. Times and ids differ each time; all else shows what a kernel says otherwise.
 * Messages of WireGuard are not among them: few kernels have it.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { AF, closeDescriptor, MSG, receive, SOL, send, setSocketOption } from '../../../src/adapters/native/socket.ts';
import { decodeAddress, dumpAddresses } from '../../../src/adapters/netlink/address.ts';
import { align, viewOf } from '../../../src/adapters/netlink/attributes.ts';
import { decodeFlow, dumpFlows, flowAddress } from '../../../src/adapters/netlink/conntrack.ts';
import { decodeLink, dumpLinks, setLink } from '../../../src/adapters/netlink/link.ts';
import {
  encodeMessage,
  type Message,
  messageBytes,
  messagesOf,
  type Request,
} from '../../../src/adapters/netlink/message.ts';
import { getNsid, newNsid } from '../../../src/adapters/netlink/namespace-id.ts';
import { decodeNeighbour, dumpFdb, dumpNeighbours } from '../../../src/adapters/netlink/neighbour.ts';
import { decodeNetconf, getNetconf } from '../../../src/adapters/netlink/netconf.ts';
import {
  decodeTableEvent,
  dumpElements,
  dumpRules,
  getGeneration,
  getTable,
} from '../../../src/adapters/netlink/nftables.ts';
import { decodeRoute, dumpRoutes, lookUpRoute } from '../../../src/adapters/netlink/route.ts';
import { openNetlink } from '../../../src/adapters/netlink/transport.ts';
import { NFPROTO_INET } from '../../../src/adapters/netlink/uapi/netfilter.ts';
import * as nl from '../../../src/adapters/netlink/uapi/netlink.ts';
import { NFNLGRP_NFTABLES } from '../../../src/adapters/netlink/uapi/nfnetlink.ts';
import * as rt from '../../../src/adapters/netlink/uapi/rtnetlink.ts';
import { until } from '../../lab/until.ts';
import { TestNamespace } from './namespace.ts';

/** Of one name one message or several, one behind the other, in hex. */
export type Recorded = Record<string, string>;

const NSID = 1_073_745_920;
const FIRST_INDEX = 500;
const PORT_INDEX = 502;
/** `linux/if.h` */
const IFF_RUNNING = 0x40;
/** Larger than any of the answers. */
const room = new Uint8Array(256 * 1024);

const NETWORK = `link add br0 index 501 address 02:00:00:00:00:02 mtu 1450 type bridge stp_state 0 mcast_snooping 0
link add vx0 index 500 address 02:00:00:00:00:01 mtu 1450 type vxlan id 4096 local 127.0.0.1 dstport 4790 nolearning proxy ttl 64 udpcsum
link add e1 index 502 address 02:00:00:00:00:03 mtu 1450 numtxqueues 1 type veth peer name eth0 index 503 address 02:42:0a:00:00:02 numtxqueues 1
link set vx0 master br0 up
link set e1 master br0 up
link set eth0 addrgenmode none
link set eth0 up
link set br0 up
address add 10.0.0.1/24 dev br0
address add 169.254.53.53/32 scope host dev eth0
route add default via 169.254.0.1 dev eth0 onlink proto 79
route add 10.9.0.0/16 dev eth0 proto 79 metric 4000
route add 10.7.0.0/16 via 10.0.0.7 mtu 1400
route add 10.8.0.0/16 nexthop via 10.0.0.7 nexthop via 10.0.0.8
neighbour add 10.0.0.9 lladdr 02:42:0a:00:00:09 dev vx0 nud permanent`;
const BRIDGE = `link set dev e1 learning off flood off mcast_flood off bcast_flood off locked on
fdb add 02:42:0a:00:00:05 dev e1 master static
fdb add 02:42:0a:00:00:09 dev vx0 dst 10.77.0.2 port 8472 self permanent`;
const NETWORK6 = `link add br0 index 501 address 02:00:00:00:00:02 mtu 1430 type bridge mcast_snooping 0
link add vx0 index 500 address 02:00:00:00:00:01 mtu 1430 type vxlan id 4096 local ::1 dstport 4790 nolearning proxy
link set vx0 master br0 addrgenmode none
link set br0 addrgenmode none
link set vx0 up
link set br0 up
address add fd00::1/64 dev br0 nodad
route add default via fe80::1 dev br0 onlink proto 79
route add fd00:9::/48 via fe80::2 dev br0 proto 79 metric 4000
neighbour add fd00::9 lladdr 02:42:0a:00:00:09 dev vx0 nud permanent`;
const BRIDGE6 = 'fdb add 02:42:0a:00:00:09 dev vx0 dst 2001:db8::2 port 8472 self permanent';
const TABLE = `add table bridge overlayd
add set bridge overlayd leases { type ether_addr; }
add element bridge overlayd leases { 02:42:0a:00:00:02 }`;
/** With what its rules and elements are to have counted. */
const COUNTING = `table inet counting {
  set seen { type ipv4_addr; flags dynamic,timeout; timeout 1h; counter; elements = { 192.0.2.9 counter packets 7 bytes 700 } }
  set seen6 { type ipv6_addr; flags dynamic,timeout; timeout 1h; elements = { 2001:db8::9 counter packets 8 bytes 800 } }
  set silent { type ipv4_addr; elements = { 192.0.2.9 } }
  chain c {
    udp dport 4789 counter packets 5 bytes 500 accept
    udp dport 4789 drop
    udp dport 4790 counter packets 6 bytes 600 drop
  }
}`;
const TRACKING = 'table inet t { chain c { type filter hook output priority 0; ct state established accept; }; }';
const SEND = `const { createSocket } = require('dgram');
for (const [type, address] of [['udp4', '127.0.0.1'], ['udp6', '::1']]) {
  const socket = createSocket(type);
  socket.bind(4001, address, () => socket.send('x', 4002, address, () => socket.close()));
}`;

/** A place to ask, and to listen. */
class Place {
  readonly space: TestNamespace;

  constructor(space: TestNamespace) {
    this.space = space;
  }

  /** All that the kernel answers. */
  ask(request: Request, { flags = nl.NLM_F_REQUEST, protocol = nl.NETLINK_ROUTE, capped = true } = {}): Message[] {
    const fd = openNetlink(protocol, this.space.path);
    if (!capped) setSocketOption(fd, SOL.NETLINK, nl.NETLINK_CAP_ACK, 0);
    const datagram = new Uint8Array(messageBytes(request));
    encodeMessage(request, flags, 1, datagram, 0);
    send(fd, datagram);
    const answers = drain(fd);
    closeDescriptor(fd);
    return answers;
  }

  /** The one that is meant of all that a dump tells. */
  find(request: Request, isMeant: (message: Message) => boolean, protocol = nl.NETLINK_ROUTE): string {
    const rows = this.ask(request, { protocol });
    return hexOf(rows.filter(({ type }) => type !== nl.NLMSG_DONE).filter(isMeant));
  }

  /** That a link has a carrier the kernel works out later, in a queue of its own. It tells of it then, and flags differ. */
  async untilLinksRun(): Promise<void> {
    await until('links that run', () => {
      const rows = this.ask(dumpLinks()).filter(({ type }) => type !== nl.NLMSG_DONE);
      const ours = rows.map(decodeLink).filter(({ index }) => index >= FIRST_INDEX);
      return ours.length > 0 && ours.every(({ flags }) => (flags & IFF_RUNNING) !== 0);
    });
  }

  /** What is told to a group's members while something is done. */
  hear(group: number, task: () => void, protocol = nl.NETLINK_ROUTE): Message[] {
    const fd = openNetlink(protocol, this.space.path);
    setSocketOption(fd, SOL.NETLINK, nl.NETLINK_ADD_MEMBERSHIP, group);
    task();
    const events = drain(fd);
    closeDescriptor(fd);
    return events;
  }

  ip(lines: string): void {
    execFileSync('ip', ['-netns', this.space.name, '-batch', '-'], { input: lines });
  }

  bridge(lines: string): void {
    execFileSync('bridge', ['-netns', this.space.name, '-batch', '-'], { input: lines });
  }

  nft(lines: string): void {
    execFileSync('ip', ['netns', 'exec', this.space.name, 'nft', '-f', '-'], { input: lines });
  }

  set(name: string, value: string): void {
    this.space.exec('sysctl', '-qw', `${name}=${value}`);
  }
}

/** The kernel has answered when sending returns. Of a dump it makes the next part when one is taken. */
function drain(fd: number): Message[] {
  const messages: Message[] = [];
  for (;;) {
    const length = receive(fd, room, MSG.DONTWAIT);
    if (length === undefined) return messages;
    messages.push(...messagesOf(room.slice(0, length)));
  }
}

function hexOf(messages: readonly Message[]): string {
  const parts = messages.map(({ view, start, end }) => {
    const from = start - nl.NLMSG_HDRLEN;
    const bytes = Buffer.alloc(align(end - from));
    bytes.set(new Uint8Array(view.buffer, view.byteOffset + from, end - from));
    viewOf(bytes).setUint32(8, 0, true);
    viewOf(bytes).setUint32(12, 0, true);
    return bytes;
  });
  return Buffer.concat(parts).toString('hex');
}

/** Records all of them. */
export async function recordMessages(): Promise<Recorded> {
  const spaces = ['recording', 'recording-other', 'recording6'].map((name) => new TestNamespace(name));
  const [first, other, second] = spaces as [TestNamespace, TestNamespace, TestNamespace];
  try {
    return { ...(await recordIpv4(new Place(first), other.path)), ...(await recordIpv6(new Place(second))) };
  } finally {
    for (const space of spaces) space.remove();
  }
}

async function recordIpv4(place: Place, other: string): Promise<Recorded> {
  // A namespace begins as the host's is.
  place.set('net.ipv4.ip_forward', '0');
  place.ip(NETWORK);
  place.bridge(BRIDGE);
  await place.untilLinksRun();
  const link = (name: string) => place.find(dumpLinks(), (message) => decodeLink(message).name === name);
  const route = (destination: string) =>
    place.find(dumpRoutes({ family: AF.INET }), (message) => decodeRoute(message).destination === destination);
  const address = (prefix: number) =>
    place.find(dumpAddresses(AF.INET), (message) => {
      const { prefix: seen, address: text } = decodeAddress(message);
      return seen === prefix && text !== '127.0.0.1';
    });
  const row = (request: Request, text: string) =>
    place.find(request, (message) => {
      const { mac, master, vlan, address: end } = decodeNeighbour(message);
      return mac === text && (end !== undefined || (master === 501 && vlan === 0));
    });
  const tooLarge = setLink({ index: PORT_INDEX }, { mtu: 10_000_000 });
  const withAck = nl.NLM_F_REQUEST | nl.NLM_F_ACK;
  const netfilter = { protocol: nl.NETLINK_NETFILTER };
  return {
    'link: vxlan': link('vx0'),
    'link: bridge': link('br0'),
    'link: port': link('e1'),
    'link: veth': link('eth0'),
    'address: 24': address(24),
    'address: 32': address(32),
    'route: 0.0.0.0/0': route('0.0.0.0'),
    'route: 10.7.0.0/16': route('10.7.0.0'),
    'route: 10.8.0.0/16': route('10.8.0.0'),
    'route: 10.9.0.0/16': route('10.9.0.0'),
    'route: look-up': hexOf(place.ask(lookUpRoute('10.8.1.1'))),
    neighbour: row(dumpNeighbours(), '02:42:0a:00:00:09'),
    'fdb: tunnel end': row(dumpFdb(), '02:42:0a:00:00:09'),
    'fdb: port': row(dumpFdb(), '02:42:0a:00:00:05'),
    nsid: nameOther(place, other),
    netconf: hexOf(place.ask(getNetconf())),
    generation: hexOf(place.ask(getGeneration(), netfilter)),
    acknowledgement: hexOf(place.ask(setLink({ index: PORT_INDEX }, { mtu: 1450 }), { flags: withAck })),
    'error: capped': hexOf(place.ask(tooLarge)),
    'error: not capped': hexOf(place.ask(tooLarge, { capped: false })),
    'error: attribute': hexOf(place.ask(getTable(NFPROTO_INET, 'none'), netfilter)),
    // The end of a dump of nothing.
    'done: error': hexOf(place.ask(dumpRoutes({ family: AF.INET, table: 77 }))),
    ...recordEvents(place),
    ...recordFlows(place),
    ...recordCounters(place),
  };
}

function nameOther(place: Place, other: string): string {
  const fd = openSync(other, 'r');
  place.ask(newNsid(fd, NSID));
  const answer = hexOf(place.ask(getNsid(fd)));
  closeSync(fd);
  return answer;
}

function recordEvents(place: Place): Recorded {
  const ofPort = place.hear(rt.RTNLGRP_LINK, () => place.bridge('link set dev e1 flood on'));
  const ofRow = place.hear(rt.RTNLGRP_NEIGH, () => place.bridge('fdb del 02:42:0a:00:00:05 dev e1 master'));
  const ofForwarding = place.hear(rt.RTNLGRP_IPV4_NETCONF, () => place.set('net.ipv4.ip_forward', '1'));
  const ofTables = (lines: string) =>
    hexOf(place.hear(NFNLGRP_NFTABLES, () => place.nft(lines), nl.NETLINK_NETFILTER).filter(decodeTableEvent));
  return {
    'event: port': hexOf(ofPort.filter((message) => decodeLink(message).family === AF.BRIDGE)),
    'event: row deleted': hexOf(ofRow.filter((message) => decodeNeighbour(message).vlan === 0)),
    'event: forwarding': hexOf(ofForwarding.filter(isOfOurs)),
    'event: nft': ofTables(TABLE),
    'event: nft delete': ofTables('delete table bridge overlayd'),
  };
}

/** Kernels may put devices of their own into each namespace. */
function isOfOurs(message: Message): boolean {
  const { index } = decodeNetconf(message);
  return index < 0 || index >= FIRST_INDEX;
}

function recordFlows(place: Place): Recorded {
  place.nft(TRACKING);
  place.space.exec(process.execPath, '-e', SEND);
  const from = (address: string) => {
    const isMeant = (message: Message) => decodeFlow(message).source === flowAddress(address);
    return place.find(dumpFlows(), isMeant, nl.NETLINK_NETFILTER);
  };
  return { flow: from('127.0.0.1'), 'ipv6 flow': from('::1') };
}

function recordCounters(place: Place): Recorded {
  place.nft(COUNTING);
  const all = (request: Request) => place.find(request, () => true, nl.NETLINK_NETFILTER);
  const elements = (set: string) => all(dumpElements(NFPROTO_INET, 'counting', set));
  return {
    'nft rules': all(dumpRules(NFPROTO_INET, 'counting')),
    'nft elements': elements('seen'),
    'ipv6 nft elements': elements('seen6'),
    'nft elements without counters': elements('silent'),
  };
}

async function recordIpv6(place: Place): Promise<Recorded> {
  place.ip(NETWORK6);
  place.bridge(BRIDGE6);
  await place.untilLinksRun();
  const address = (text: string) =>
    place.find(dumpAddresses(AF.INET6), (message) => decodeAddress(message).address === text);
  const route = (text: string) =>
    place.find(dumpRoutes({ family: AF.INET6, protocol: 79 }), (message) => decodeRoute(message).destination === text);
  const row = (request: Request) =>
    place.find(request, (message) => {
      const { mac, address: end } = decodeNeighbour(message);
      return mac === '02:42:0a:00:00:09' && end !== undefined;
    });
  const recorded = {
    'ipv6 link: vxlan': place.find(dumpLinks(), (message) => decodeLink(message).name === 'vx0'),
    'ipv6 address: 64': address('fd00::1'),
    'ipv6 route: ::/0': route('::'),
    'ipv6 route: fd00:9::/48': route('fd00:9::'),
    'ipv6 route: look-up': hexOf(place.ask(lookUpRoute('fd00:9::1'))),
    'ipv6 neighbour': row(dumpNeighbours()),
    'ipv6 fdb: tunnel end': row(dumpFdb()),
  };
  // Whether somebody has it is asked for a minute.
  place.set('net.ipv6.conf.br0.dad_transmits', '60');
  place.ip('address add fd00::5/64 dev br0');
  const tentative = address('fd00::5');
  const forwarding = place.hear(rt.RTNLGRP_IPV6_NETCONF, () => place.set('net.ipv6.conf.all.forwarding', '1'));
  return {
    ...recorded,
    'ipv6 address: tentative': tentative,
    'ipv6 event: forwarding': hexOf(forwarding.filter(isOfOurs)),
  };
}
