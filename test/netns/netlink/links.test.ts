/** What a link is made with, what is told of it, and whether it is there, as iproute2 and ethtool say. */
import { closeSync, openSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { lookUpFamily } from '../../../src/adapters/netlink/generic.ts';
import {
  type BridgeData,
  type BridgePort,
  decodeLink,
  dumpLinks,
  type LinkMessage,
  newBridge,
  newVeth,
  setLink,
  type VxlanData,
} from '../../../src/adapters/netlink/link.ts';
import { setFeatures, setNoArp } from '../../../src/adapters/netlink/link-features.ts';
import { NetlinkSocket } from '../../../src/adapters/netlink/socket.ts';
import { ETHTOOL_GENL_NAME } from '../../../src/adapters/netlink/uapi/ethtool.ts';
import { NETLINK_GENERIC } from '../../../src/adapters/netlink/uapi/netlink.ts';
import { type Row, TestNamespace } from './namespace.ts';
import { makeNetwork } from './network.ts';

let space: TestNamespace;
let other: TestNamespace;
let socket: NetlinkSocket;

beforeEach(() => {
  space = new TestNamespace('links');
  other = new TestNamespace('links-other');
  socket = new NetlinkSocket({ namespace: space.path });
});
afterEach(() => {
  socket.close();
  space.remove();
  other.remove();
});

it('both ends of a pair have one queue, however many processors there are', () => {
  const namespaceFd = openSync(other.path, 'r');
  const end = { mac: '02:00:00:00:00:01', mtu: 1450 };
  const outcomes = socket.request([newVeth({ ...end, name: 'e1' }, { ...end, name: 'eth0', namespaceFd })]);
  closeSync(namespaceFd);
  expect(outcomes).toEqual([{ ok: true }]);
  const ends = [...space.ipRows('link', 'show', 'e1'), ...other.ipRows('link', 'show', 'eth0')];
  expect(ends).toMatchObject(Array(2).fill({ num_tx_queues: 1, num_rx_queues: 1 }));
});

it('both ends of a pair have what is cut later no longer than was said', () => {
  const end = { mac: '02:00:00:00:00:01', mtu: 1450 };
  expect(
    socket.request([newVeth({ ...end, name: 'e1', gsoMaxBytes: 30_000 }, { ...end, name: 'e2', gsoMaxBytes: 20_000 })]),
  ).toEqual([{ ok: true }]);
  expect(
    space
      .ipRows('link', 'show', 'type', 'veth')
      .map((row) => [row.ifname, row.gso_max_size])
      .sort(),
  ).toEqual([
    ['e1', 30_000],
    ['e2', 20_000],
  ]);
});

it('has no ARP, where that is wanted, and is otherwise as it was', () => {
  space.ip('link', 'add', 'e1', 'up', 'type', 'veth', 'peer', 'name', 'e2');
  const flagsOf = () => (space.ipRows('link', 'show', 'e1')[0]!.flags as string[]).filter((flag) => flag !== 'NOARP');
  const before = flagsOf();
  expect(socket.request([setNoArp('e1')])).toEqual([{ ok: true }]);
  expect(space.ipRows('link', 'show', 'e1')[0]?.flags).toContain('NOARP');
  expect(space.ipRows('link', 'show', 'e2')[0]?.flags).not.toContain('NOARP');
  expect(flagsOf()).toEqual(before);
});

it('does for packets what ethtool says that it does, and nothing else', () => {
  space.ip('link', 'add', 'e1', 'type', 'veth', 'peer', 'name', 'e2');
  const generic = new NetlinkSocket({ namespace: space.path, protocol: NETLINK_GENERIC });
  const family = lookUpFamily(generic, ETHTOOL_GENL_NAME)!;
  const before = featuresOf('e1');
  expect(before).toMatchObject({ 'tx-checksum-ip-generic': true, 'rx-udp-gro-forwarding': false });
  const wanted = { 'tx-checksum-ip-generic': false, 'rx-gro': true, 'rx-udp-gro-forwarding': true };
  expect(generic.request([setFeatures(family, 'e1', wanted)])).toEqual([{ ok: true }]);
  const { 'rx-gro': gro, ...others } = wanted;
  // By the name that ethtool has for it. What needs checksums goes with them.
  const now = { ...others, 'generic-receive-offload': gro };
  expect(featuresOf('e1')).toMatchObject(now);
  expect(featuresOf('e2')).toEqual(before);
  expect(generic.request([setFeatures(family, 'e1', { 'rx-gro': false, 'no-such-thing': true })])).toEqual([
    { ok: false, code: 'ENOTSUP', text: 'bit name not found' },
  ]);
  expect(featuresOf('e1')).toMatchObject(now);
  generic.close();
});

function featuresOf(name: string): Record<string, boolean> {
  const [told] = JSON.parse(space.exec('ethtool', '--json', '-k', name)) as Record<string, { active?: boolean }>[];
  return Object.fromEntries(Object.entries(told!).map(([feature, { active }]) => [feature, active ?? false]));
}

it('is another bridge afterwards, where that is wanted', () => {
  const end = { name: 'br0', mac: '02:00:00:00:00:01', mtu: 1450 };
  const dataOf = () => (space.ipRows('link', 'show', 'br0')[0]!.linkinfo as { info_data: Row }).info_data;
  for (const bridge of [
    { stp: true, multicastSnooping: false },
    { stp: false, multicastSnooping: true },
  ]) {
    const isThere = space.ip('link', 'show').includes('br0');
    const request = isThere ? setLink({ name: 'br0' }, { bridge }) : newBridge(end, bridge);
    expect(socket.request([request])).toEqual([{ ok: true }]);
    expect(dataOf()).toMatchObject({
      stp_state: Number(bridge.stp),
      mcast_snooping: Number(bridge.multicastSnooping),
    });
  }
});

// ---------------------------------------------------------------- what is told of links

/** Of iproute2's making, so that nothing is read as we would write it. */
const THEIRS = [
  'add br1 address 02:00:00:00:00:11 type bridge stp_state 1 mcast_snooping 1',
  'add br2 up type bridge stp_state 0 mcast_snooping 0',
  'add br3 group 7 type bridge mcast_snooping 0 stp_state 1',
  'add vx1 type vxlan id 1 dstport 4791',
  'add vx2 mtu 1400 type vxlan id 16777215 local 127.0.0.1 dstport 65535 nolearning proxy ttl 255 noudpcsum',
  'add vx3 up type vxlan id 3 local ::1 dstport 4793 learning ttl 1 udp6zerocsumtx udp6zerocsumrx',
  'add vx4 type vxlan id 4 local ::1 dstport 4794 nolearning proxy',
  'add p1 master br1 type veth peer name q1',
  'add p2 master br1 type veth peer name q2',
  'add p3 master br2 up type veth peer name q3',
  'set q3 arp off up',
];
const PORTS = [
  'p1 learning off flood on mcast_flood off bcast_flood on locked on hairpin off isolated on neigh_suppress off',
  'p2 learning on flood off mcast_flood on bcast_flood off locked off hairpin on isolated off neigh_suppress on',
];

it('is told as iproute2 tells it, whoever made it', () => {
  makeNetwork(socket, other);
  for (const line of THEIRS) space.ip('link', ...line.split(' '));
  for (const line of PORTS) space.exec('bridge', 'link', 'set', 'dev', ...line.split(' '));
  const links = socket.dump(dumpLinks(), decodeLink);
  const nameOf = new Map(links.map(({ index, name }) => [index, name]));
  const seen = links.map((link) => asIproute(link, nameOf));
  expect(seen).toEqual(space.ipRows('link', 'show').map(told));
  expect(seen.map(({ name }) => name)).toEqual(expect.arrayContaining(['vx0', 'vx4', 'br0', 'br3', 'e1', 'p3', 'q3']));
});

/** What both tell, in the same words. */
function asIproute(link: LinkMessage, nameOf: ReadonlyMap<number, string>) {
  const { index, name, mac, mtu, kind, group, master, flags, linkNetnsid, vxlan, bridge, port, inet6 } = link;
  return {
    ...{ index, name, mac, mtu, kind, group, linkNetnsid, vxlan, bridge, port },
    master: nameOf.get(master),
    // Of a veth pair and the like; the index alone where the other end is in another namespace.
    link: link.link === 0 ? undefined : linkNetnsid === undefined ? nameOf.get(link.link) : link.link,
    flags: Object.entries(FLAGS)
      .filter(([, flag]) => flags & flag)
      .map(([word]) => word),
    addrGenMode: inet6 && ['eui64', 'none'][inet6.addrGenMode],
  };
}

/** `linux/if.h` */
const FLAGS = { UP: 0x1, LOOPBACK: 0x8, NOARP: 0x80, LOWER_UP: 0x1_0000 };

function told(row: Row): ReturnType<typeof asIproute> {
  const info = (row.linkinfo ?? {}) as Readonly<Record<string, Row & string>>;
  const { info_kind: kind = '', info_data, info_slave_kind, info_slave_data } = info;
  return {
    ...{ index: row.ifindex as number, name: row.ifname as string, mac: row.address as string, mtu: row.mtu as number },
    ...{ kind, group: row.group === 'default' ? 0 : Number(row.group) },
    linkNetnsid: row.link_netnsid as number | undefined,
    link: (row.link ?? row.link_index) as string | number | undefined,
    master: row.master as string | undefined,
    flags: Object.keys(FLAGS).filter((flag) => (row.flags as string[]).includes(flag)),
    addrGenMode: row.inet6_addr_gen_mode as string,
    vxlan: kind === 'vxlan' ? toldVxlan(info_data!) : undefined,
    bridge: kind === 'bridge' ? toldBridge(info_data!) : undefined,
    port: info_slave_kind === 'bridge' ? toldPort(info_slave_data!) : undefined,
  };
}

/** Of what is off it may say nothing. */
const isOn = (row: Row, name: string) => row[name] === true;

function toldVxlan(data: Row): VxlanData {
  return {
    ...{ vni: data.id as number, port: data.port as number, ttl: (data.ttl ?? 0) as number },
    local: (data.local ?? data.local6) as string | undefined,
    ...{ learning: isOn(data, 'learning'), proxy: isOn(data, 'proxy') },
    udpChecksum: data.local6 === undefined ? isOn(data, 'udp_csum') : !isOn(data, 'udp_zero_csum6_tx'),
  };
}

function toldBridge(data: Row): BridgeData {
  return { stp: data.stp_state !== 0, multicastSnooping: data.mcast_snooping !== 0 };
}

function toldPort(data: Row): BridgePort {
  return {
    ...{ learning: isOn(data, 'learning'), flood: isOn(data, 'flood'), hairpin: isOn(data, 'hairpin') },
    ...{ multicastFlood: isOn(data, 'mcast_flood'), broadcastFlood: isOn(data, 'bcast_flood') },
    ...{ locked: isOn(data, 'locked'), isolated: isOn(data, 'isolated') },
    neighbourSuppression: isOn(data, 'neigh_suppress'),
  };
}

it('is found by its name and by its index, in the namespace of the socket alone', () => {
  space.ip('link', 'add', 'fifteen-letters', 'index', '77', 'type', 'bridge');
  other.ip('link', 'add', 'elsewhere', 'index', '78', 'type', 'bridge');
  const names = ['fifteen-letters', 'fifteen-letters-and-more', 'elsewhere', 'lo', ''];
  expect(names.map((name) => socket.indexOf(name))).toEqual([77, undefined, undefined, 1, undefined]);
  expect([77, 78].map((index) => socket.hasIndex(index))).toEqual([true, false]);
  space.ip('link', 'delete', 'fifteen-letters');
  expect(socket.hasIndex(77)).toBe(false);
});
