/** Events of many namespaces, heard through one socket that holds none of them. */
import { closeSync, openSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { decodeAddress } from '../../../src/adapters/netlink/address.ts';
import { decodeLink, newVeth } from '../../../src/adapters/netlink/link.ts';
import type { Message } from '../../../src/adapters/netlink/message.ts';
import { MOST_IGNORED, NetlinkMonitor } from '../../../src/adapters/netlink/monitor.ts';
import { decodeNsid, newNsid } from '../../../src/adapters/netlink/namespace-id.ts';
import { decodeNeighbour, replaceNeighbour } from '../../../src/adapters/netlink/neighbour.ts';
import { decodeTableEvent } from '../../../src/adapters/netlink/nftables.ts';
import { decodeRoute } from '../../../src/adapters/netlink/route.ts';
import { NetlinkSocket } from '../../../src/adapters/netlink/socket.ts';
import { NETLINK_NETFILTER, NETLINK_ROUTE } from '../../../src/adapters/netlink/uapi/netlink.ts';
import { NFNLGRP_NFTABLES } from '../../../src/adapters/netlink/uapi/nfnetlink.ts';
import * as rt from '../../../src/adapters/netlink/uapi/rtnetlink.ts';
import { until } from '../../lab/until.ts';
import { TestNamespace } from './namespace.ts';

let host: TestNamespace;
let one: TestNamespace;
let two: TestNamespace;
let monitors: NetlinkMonitor[];
let heard: string[];
let lost: number;

const GROUPS = [
  rt.RTNLGRP_LINK,
  rt.RTNLGRP_NEIGH,
  rt.RTNLGRP_IPV4_IFADDR,
  rt.RTNLGRP_IPV4_ROUTE,
  rt.RTNLGRP_NSID,
] as const;

beforeEach(() => {
  host = new TestNamespace('monitor-host');
  one = new TestNamespace('monitor-one');
  two = new TestNamespace('monitor-two');
  [heard, lost] = [[], 0];
  const on = {
    namespace: host.path,
    onMessage: (message: Message, nsid: number | undefined) => heard.push(`${nsid ?? 'host'} ${describe(message)}`),
    onLost: () => lost++,
  };
  identify(one, 100);
  identify(two, 200);
  monitors = [
    new NetlinkMonitor({ ...on, protocol: NETLINK_ROUTE, groups: GROUPS }),
    new NetlinkMonitor({ ...on, protocol: NETLINK_NETFILTER, groups: [NFNLGRP_NFTABLES] }),
  ];
});
afterEach(() => {
  for (const monitor of monitors ?? []) monitor.close();
  for (const space of [host, one, two]) space?.remove();
});

function identify(space: TestNamespace, nsid: number): void {
  const fd = openSync(space.path, 'r');
  const socket = new NetlinkSocket({ namespace: host.path });
  expect(socket.request([newNsid(fd, nsid)])).toEqual([{ ok: true }]);
  socket.close();
  closeSync(fd);
}

function describe(message: Message): string {
  const table = decodeTableEvent(message);
  if (table) return `table ${table.table} ${table.message}`;
  switch (message.type) {
    case rt.RTM_NEWLINK:
      return `link ${decodeLink(message).name}`;
    case rt.RTM_DELLINK:
      return `no link ${decodeLink(message).name}`;
    case rt.RTM_NEWADDR:
      return `address ${decodeAddress(message).address}`;
    case rt.RTM_NEWROUTE:
      return `route ${decodeRoute(message).destination}`;
    case rt.RTM_NEWNEIGH:
      return `row ${decodeNeighbour(message).mac}`;
    case rt.RTM_DELNEIGH:
      return `no row ${decodeNeighbour(message).mac}`;
    case rt.RTM_DELNSID:
      return `no namespace ${decodeNsid(message)}`;
    default:
      return `${message.type}`;
  }
}

const hex = (byte: number) => byte.toString(16).padStart(2, '0');
const untilHeard = (event: string) => until(event, () => heard.includes(event));

it('tells what happens where', async () => {
  host.ip('link', 'add', 'ovl1', 'type', 'veth', 'peer', 'name', 'up0', 'netns', one.name);
  await untilHeard('host link ovl1');
  await untilHeard('100 link up0');
  one.ip('address', 'add', '10.0.0.1/24', 'dev', 'up0');
  await untilHeard('100 address 10.0.0.1');
  one.ip('link', 'set', 'up0', 'up');
  host.ip('link', 'set', 'ovl1', 'up');
  one.ip('route', 'add', '10.9.0.0/16', 'dev', 'up0');
  await untilHeard('100 route 10.9.0.0');
  two.ip('link', 'add', 'vx0', 'type', 'vxlan', 'id', '7', 'dstport', '4790', 'local', '127.0.0.1');
  await untilHeard('200 link vx0');
  const row = ['dst', '10.77.0.2', 'self', 'permanent'];
  two.exec('bridge', 'fdb', 'add', '02:42:0a:00:00:09', 'dev', 'vx0', ...row);
  await untilHeard('200 row 02:42:0a:00:00:09');
  two.exec('bridge', 'fdb', 'delete', '02:42:0a:00:00:09', 'dev', 'vx0', ...row);
  await untilHeard('200 no row 02:42:0a:00:00:09');
  two.exec('nft', 'add', 'table', 'bridge', 'overlayd');
  await untilHeard('200 table overlayd 0');
  one.exec('nft', 'add', 'table', 'inet', 'theirs');
  await untilHeard('100 table theirs 0');
  expect(lost).toBe(0);
});

it('holds no namespace: one without a process ends, with what is in it, and that is told', async () => {
  host.ip('link', 'add', 'ovl1', 'type', 'veth', 'peer', 'name', 'up0', 'netns', one.name);
  one.remove();
  await untilHeard('host no link ovl1');
  await untilHeard('host no namespace 100');
});

it('tells that something was lost, and hears on', async () => {
  const asking = new NetlinkSocket({ namespace: two.path });
  const [mtu, mac, index] = [1450, '02:00:00:00:00:01', 77];
  asking.request([newVeth({ name: 'a', mac, mtu, index }, { name: 'b', mac, mtu })]);
  // While this thread writes it does not listen: these are more events than the socket has room for.
  for (let round = 0; round < 4; round++) {
    const rows = Array.from({ length: 20_000 }, (_, at) =>
      replaceNeighbour({ link: index, address: `10.0.${at >> 8}.${at & 255}`, mac: `02:42:0${round}:00:00:01` }),
    );
    expect(asking.request(rows).filter(({ ok }) => !ok)).toEqual([]);
  }
  await monitors[0]?.drain();
  expect(lost).toBeGreaterThan(0);
  heard.length = 0;
  two.ip('link', 'add', 'later', 'type', 'bridge');
  await untilHeard('200 link later');
  asking.close();
});

it('tells of a loss when what comes next is heard again: until then the kernel throws away more, without a word', async () => {
  const asking = new NetlinkSocket({ namespace: two.path });
  const [mtu, mac, index] = [1450, '02:00:00:00:00:01', 77];
  const row = (at: number, round: number) =>
    replaceNeighbour({ link: index, address: `10.0.${at >> 8}.${at & 255}`, mac: `02:42:0${round}:00:00:01` });
  const story: string[] = [];
  const monitor = new NetlinkMonitor({
    ...{ namespace: host.path, protocol: NETLINK_ROUTE, groups: [rt.RTNLGRP_LINK, rt.RTNLGRP_NEIGH] },
    onMessage(message) {
      if (!story.includes('change')) {
        story.push('change');
        asking.request([newVeth({ name: 'late', mac, mtu }, { name: 'peer', mac, mtu })]);
      } else if (describe(message) === 'link late') story.push('heard');
    },
    onLost: () => story.push('lost'),
  });
  monitors.push(monitor);
  asking.request([newVeth({ name: 'a', mac, mtu, index }, { name: 'b', mac, mtu })]);
  for (let round = 0; round < 4; round++) {
    asking.request(Array.from({ length: 20_000 }, (_, at) => row(at, round)));
  }
  await monitor.drain();
  expect(story).toEqual(['change', 'lost']);
  asking.close();
});

it('hears nothing of the rows of links that are named, and all else', async () => {
  const rows = [71, 72, 73].map((index) => {
    two.ip(
      'link',
      'add',
      `vx${index}`,
      'index',
      `${index}`,
      'type',
      'vxlan',
      'id',
      `${index}`,
      'dstport',
      `${4700 + index}`,
    );
    return { link: `vx${index}`, index };
  });
  const told = async (dev: string, verb: 'add' | 'delete', last: string): Promise<readonly string[]> => {
    await monitors[0]!.drain();
    heard.length = 0;
    two.exec('bridge', 'fdb', verb, `02:42:0a:00:00:${last}`, 'dev', dev, 'dst', '10.77.0.2', 'self', 'permanent');
    if (verb === 'add')
      two.ip('neighbour', 'replace', '10.0.0.9', 'lladdr', `02:42:0b:00:00:${last}`, 'dev', dev, 'nud', 'permanent');
    await monitors[0]!.drain();
    // Before Linux 6.13 each row of a device is told of once more, without its tunnel end.
    return [...new Set(heard)];
  };
  const UNHEARD = [
    ['vx72', 'add', '02'],
    ['vx73', 'add', '03'],
    ['vx73', 'delete', '03'],
  ] as const;
  const both = ['200 row 02:42:0a:00:00:01', '200 row 02:42:0b:00:00:01'];
  expect(await told('vx71', 'add', '01')).toEqual(both);
  monitors[0]!.ignoreRows(rows.slice(1).map(({ index }) => index));
  for (const [dev, verb, last] of UNHEARD) expect(await told(dev, verb, last)).toEqual([]);
  expect(await told('vx71', 'delete', '01')).toEqual(['200 no row 02:42:0a:00:00:01']);
  heard.length = 0;
  two.ip('link', 'set', 'vx72', 'up');
  await monitors[0]!.drain();
  expect(heard).toContain('200 link vx72');
  monitors[0]!.ignoreRows([72]);
  expect(await told('vx73', 'add', '04')).toContain('200 row 02:42:0a:00:00:04');
  monitors[0]!.ignoreRows([]);
  monitors[0]!.ignoreRows([]);
  expect(await told('vx72', 'add', '05')).toContain('200 row 02:42:0a:00:00:05');
});

it('can be told to hear nothing of the rows of as many links as it says', async () => {
  monitors[0]!.ignoreRows(Array.from({ length: MOST_IGNORED }, (_, nth) => 1_000 + nth));
  expect(() => monitors[0]!.ignoreRows(Array.from({ length: MOST_IGNORED + 1 }, (_, nth) => nth))).toThrow(RangeError);
  two.ip('link', 'add', 'vx0', 'index', `${1_000 + MOST_IGNORED - 1}`, 'type', 'vxlan', 'id', '7', 'dstport', '4790');
  await monitors[0]!.drain();
  heard.length = 0;
  two.exec('bridge', 'fdb', 'add', '02:42:0a:00:00:01', 'dev', 'vx0', 'dst', '10.77.0.2', 'self', 'permanent');
  await monitors[0]!.drain();
  expect(heard).toEqual([]);
});

it('takes a few dozen messages in a turn, in order, however many wait', async () => {
  const asking = new NetlinkSocket({ namespace: two.path });
  const [mtu, mac, index] = [1450, '02:00:00:00:00:01', 77];
  asking.request([newVeth({ name: 'a', mac, mtu, index }, { name: 'b', mac, mtu })]);
  await monitors[0]!.drain();
  heard.length = 0;
  const macs = Array.from({ length: 2_000 }, (_, at) => `02:42:00:00:${hex(at >> 8)}:${hex(at & 255)}`);
  const address = (at: number) => `10.0.${at >> 8}.${at & 255}`;
  asking.request(macs.map((mac, at) => replaceNeighbour({ link: index, address: address(at), mac })));
  asking.close();
  const drained = [monitors[0]!.drain(), monitors[0]!.drain()];
  const byTurn = [heard.length];
  for (let before = heard.length; before < macs.length; before = heard.length) {
    await new Promise(setImmediate);
    byTurn.push(heard.length - before);
  }
  await Promise.all(drained);
  // By whoever drains, and by the event loop, which finds something to be read.
  expect(Math.max(...byTurn)).toBeLessThanOrEqual(64);
  expect(heard).toEqual(macs.map((mac) => `200 row ${mac}`));
});

it('has heard what there was, however fast more comes', async () => {
  const asking = new NetlinkSocket({ namespace: two.path });
  const [mtu, mac, index] = [1450, '02:00:00:00:00:01', 77];
  asking.request([newVeth({ name: 'a', mac, mtu, index }, { name: 'b', mac, mtu })]);
  const rows = [mac, '02:00:00:00:00:02'].map((each) =>
    replaceNeighbour({ link: index, address: '10.0.0.1', mac: each }),
  );
  let isOver = false;
  const on = { protocol: NETLINK_ROUTE, groups: [rt.RTNLGRP_NEIGH], namespace: host.path };
  // Each makes one more, so that something always waits.
  let count = 0;
  const onMessage = () => void (isOver || asking.request([rows[++count % 2]!]));
  const monitor = new NetlinkMonitor({ ...on, onMessage, onLost: () => undefined });
  for (let each = 0; each < 100; each++) asking.request(rows);
  await monitor.drain();
  isOver = true;
  monitor.close();
  asking.close();
});

it('hears nothing after it was closed', async () => {
  for (const monitor of monitors) monitor.close();
  one.ip('link', 'add', 'late', 'type', 'bridge');
  for (const monitor of monitors) await monitor.drain();
  expect(heard.filter((event) => event.includes('late'))).toEqual([]);
});
