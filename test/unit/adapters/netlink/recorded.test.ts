/** Messages that Linux 6.18 sent (recorded by `test/netns/netlink/record.ts`), byte for byte, and what they mean. */
import { describe, expect, it } from 'vitest';
import { decodeAddress, isInUse } from '../../../../src/adapters/netlink/address.ts';
import { AttributeReader, viewOf } from '../../../../src/adapters/netlink/attributes.ts';
import { decodeFlow, deleteFlow, flowAddress } from '../../../../src/adapters/netlink/conntrack.ts';
import { decodeLink } from '../../../../src/adapters/netlink/link.ts';
import { decodeDone, decodeError, type Message, messagesOf } from '../../../../src/adapters/netlink/message.ts';
import { decodeNsid } from '../../../../src/adapters/netlink/namespace-id.ts';
import { decodeNeighbour } from '../../../../src/adapters/netlink/neighbour.ts';
import { decodeNetconf } from '../../../../src/adapters/netlink/netconf.ts';
import {
  decodeElementCounts,
  decodeGeneration,
  decodeRuleCount,
  decodeTableEvent,
} from '../../../../src/adapters/netlink/nftables.ts';
import { decodeRoute } from '../../../../src/adapters/netlink/route.ts';
import { IPPROTO_UDP } from '../../../../src/adapters/netlink/uapi/in.ts';
import { NLMSG_DONE } from '../../../../src/adapters/netlink/uapi/netlink.ts';
import { NFGENMSG_BYTES } from '../../../../src/adapters/netlink/uapi/nfnetlink.ts';
import {
  CTA_ID,
  CTA_TUPLE_ORIG,
  IPCTNL_MSG_CT_DELETE,
} from '../../../../src/adapters/netlink/uapi/nfnetlink-conntrack.ts';
import * as rt from '../../../../src/adapters/netlink/uapi/rtnetlink.ts';
import recorded from '../../../fixtures/netlink-messages.json' with { type: 'json' };

const all = (name: keyof typeof recorded): Message[] => [...messagesOf(Buffer.from(recorded[name], 'hex'))];
const one = (name: keyof typeof recorded): Message => {
  const messages = all(name);
  expect(messages).toHaveLength(1);
  return messages[0]!;
};

/** What a dump tells of an entry (`IPCTNL_MSG_CT_NEW`). */
const IPCTNL_MSG_CT_NEW = 0;
const NEITHER = { hairpin: false, isolated: false, neighbourSuppression: false };

describe('links', () => {
  it('a VXLAN device in a bridge', () => {
    expect(decodeLink(one('link: vxlan'))).toEqual({
      family: 0,
      index: 500,
      name: 'vx0',
      flags: 0x11043,
      mac: '02:00:00:00:00:01',
      mtu: 1450,
      group: 0,
      master: 501,
      link: 0,
      linkNetnsid: undefined,
      kind: 'vxlan',
      vxlan: {
        vni: 4096,
        local: '127.0.0.1',
        port: 4790,
        learning: false,
        proxy: true,
        ttl: 64,
        udpChecksum: true,
      },
      bridge: undefined,
      port: { learning: true, flood: true, multicastFlood: true, broadcastFlood: true, locked: false, ...NEITHER },
      inet6: { mtu: 1450, addrGenMode: 0, disabled: false, forwarding: false, acceptRa: 1 },
    });
  });

  it('a bridge', () => {
    const seen = decodeLink(one('link: bridge'));
    expect(seen).toMatchObject({ index: 501, name: 'br0', kind: 'bridge', master: 0, port: undefined });
    expect(seen.bridge).toEqual({ stp: false, multicastSnooping: false });
  });

  it('a pair, one end of which is a locked port', () => {
    const end = decodeLink(one('link: port'));
    expect(end).toMatchObject({ index: 502, name: 'e1', kind: 'veth', master: 501, link: 503 });
    const closed = { learning: false, flood: false, multicastFlood: false, broadcastFlood: false };
    expect(end.port).toEqual({ ...closed, locked: true, ...NEITHER });
    const peer = decodeLink(one('link: veth'));
    expect(peer).toMatchObject({
      index: 503,
      kind: 'veth',
      master: 0,
      link: 502,
      inet6: { addrGenMode: 1 },
      port: undefined,
    });
  });

  it('a change of a port, told by its bridge', () => {
    const message = one('event: port');
    expect(message.type).toBe(rt.RTM_NEWLINK);
    const seen = decodeLink(message);
    expect(seen).toMatchObject({ family: 7, index: 502, name: 'e1', master: 501, kind: '' });
    expect(seen.port).toMatchObject({ flood: true, broadcastFlood: false, locked: true });
  });
});

it('addresses', () => {
  const address = {
    family: 2,
    link: 501,
    address: '10.0.0.1',
    prefix: 24,
    scope: rt.RT_SCOPE_UNIVERSE,
    flags: 0x80,
    label: 'br0',
  };
  expect(decodeAddress(one('address: 24'))).toEqual(address);
  const service = {
    family: 2,
    link: 503,
    address: '169.254.53.53',
    prefix: 32,
    scope: rt.RT_SCOPE_HOST,
    flags: 0x80,
    label: 'eth0',
  };
  expect(decodeAddress(one('address: 32'))).toEqual(service);
});

it('routes', () => {
  const route = {
    family: 2,
    gateway: undefined,
    nextHops: [],
    metric: 0,
    table: rt.RT_TABLE_MAIN,
    type: rt.RTN_UNICAST,
    scope: rt.RT_SCOPE_UNIVERSE,
    flags: 0,
    preferredSource: undefined,
    mtu: undefined,
  };
  expect(decodeRoute(one('route: 0.0.0.0/0'))).toEqual({
    ...route,
    destination: '0.0.0.0',
    prefix: 0,
    gateway: '169.254.0.1',
    link: 503,
    protocol: 79,
    flags: rt.RTNH_F_ONLINK,
  });
  expect(decodeRoute(one('route: 10.9.0.0/16'))).toEqual({
    ...route,
    destination: '10.9.0.0',
    prefix: 16,
    link: 503,
    protocol: 79,
    metric: 4000,
    scope: rt.RT_SCOPE_LINK,
  });
  const boot = { ...route, prefix: 16, protocol: rt.RTPROT_BOOT };
  const limited = { ...boot, destination: '10.7.0.0', gateway: '10.0.0.7', link: 501, mtu: 1400 };
  expect(decodeRoute(one('route: 10.7.0.0/16'))).toEqual(limited);
  const nextHops = [
    { link: 501, gateway: '10.0.0.7' },
    { link: 501, gateway: '10.0.0.8' },
  ];
  expect(decodeRoute(one('route: 10.8.0.0/16'))).toEqual({ ...boot, destination: '10.8.0.0', link: 0, nextHops });
  const way = decodeRoute(one('route: look-up'));
  expect(way).toMatchObject({ destination: '10.8.1.1', prefix: 32, link: 501, preferredSource: '10.0.0.1' });
});

it('neighbours and FDB rows', () => {
  const row = { link: 500, mac: '02:42:0a:00:00:09', port: undefined, master: 0, vlan: 0 };
  expect(decodeNeighbour(one('neighbour'))).toEqual({ ...row, family: 2, state: 0x80, flags: 0, address: '10.0.0.9' });
  const tunnel = { ...row, family: 7, state: 0xc0, flags: 2, address: '10.77.0.2', port: 8472 };
  expect(decodeNeighbour(one('fdb: tunnel end'))).toEqual(tunnel);
  const ofPort = { link: 502, mac: '02:42:0a:00:00:05', port: undefined, master: 501, vlan: 0, address: undefined };
  expect(decodeNeighbour(one('fdb: port'))).toEqual({ ...ofPort, family: 7, state: 0x40, flags: 0 });
  expect(one('event: row deleted').type).toBe(rt.RTM_DELNEIGH);
  expect(decodeNeighbour(one('event: row deleted'))).toMatchObject(ofPort);
});

it('ids and forwarding of namespaces', () => {
  expect(decodeNsid(one('nsid'))).toBe(1_073_745_920);
  expect(decodeNetconf(one('netconf'))).toEqual({ family: 2, index: -1, forwarding: false });
  const events = all('event: forwarding').map(decodeNetconf);
  expect(events).toContainEqual({ family: 2, index: -1, forwarding: true });
  expect(events).toContainEqual({ family: 2, index: 501, forwarding: true });
});

it('changes of tables', () => {
  const table = { family: 7, table: 'overlayd' };
  const made = all('event: nft').map(decodeTableEvent);
  expect(made).toEqual([0, 9, 12].map((message) => ({ message, ...table })));
  expect(all('event: nft delete').map(decodeTableEvent)).toContainEqual({ message: 2, ...table });
  expect(decodeGeneration(one('generation'))).toBeGreaterThan(0);
  expect(decodeTableEvent(one('generation'))).toBeUndefined();
});

it('what rules and elements have counted', () => {
  const rule = { table: 'counting', chain: 'c' };
  expect(all('nft rules').map(decodeRuleCount)).toEqual([
    { ...rule, packets: 5, drops: false },
    undefined,
    { ...rule, packets: 6, drops: true },
  ]);
  const counts = (name: Parameters<typeof all>[0]) => all(name).flatMap(decodeElementCounts);
  expect(counts('nft elements')).toEqual([{ address: '192.0.2.9', packets: 7 }]);
  expect(counts('ipv6 nft elements')).toEqual([{ address: '2001:db8::9', packets: 8 }]);
  expect(counts('nft elements without counters')).toEqual([]);
});

it('acknowledgements, and refusals in the kernel’s words, or by what they are about', () => {
  const nothing = { text: '', refusedAt: undefined, missing: undefined };
  expect(decodeError(one('acknowledgement'))).toEqual({ ...nothing, errno: 0 });
  const refused = { ...nothing, errno: 22, text: 'mtu greater than device maximum' };
  expect(decodeError(one('error: capped'))).toEqual(refused);
  expect(decodeError(one('error: not capped'))).toEqual(refused);
  // The name of the table, behind both headers.
  expect(decodeError(one('error: attribute'))).toEqual({ ...nothing, errno: 2, refusedAt: 20 });
  const end = one('done: error');
  expect(end.type).toBe(NLMSG_DONE);
  expect(decodeDone(end)).toEqual({ ...nothing, errno: 2, text: 'ipv4: FIB table does not exist' });
});

it.each([
  ['flow', '127.0.0.1', 2],
  ['ipv6 flow', '::1', 10],
] as const)('%s of a datagram, and what deletes it', (name, address, family) => {
  const message = one(name);
  expect(decodeFlow(message)).toEqual({
    protocol: IPPROTO_UDP,
    source: flowAddress(address),
    answerer: flowAddress(address),
  });
  // The header, the tuple of its beginning, and its id.
  const { type, payload } = deleteFlow(message);
  expect(type).toBe(message.type - IPCTNL_MSG_CT_NEW + IPCTNL_MSG_CT_DELETE);
  expect(payload[0]).toBe(family);
  const named = new AttributeReader(viewOf(payload), NFGENMSG_BYTES, payload.length);
  const types: number[] = [];
  while (named.next()) types.push(named.type);
  expect(types.sort()).toEqual([CTA_TUPLE_ORIG, CTA_ID].sort());
});

describe('of IPv6', () => {
  it('a tunnel', () => {
    const seen = decodeLink(one('ipv6 link: vxlan'));
    expect(seen.vxlan).toMatchObject({ vni: 4096, local: '::1', port: 4790, proxy: true, udpChecksum: true });
    expect(seen.inet6).toEqual({ mtu: 1430, addrGenMode: 1, disabled: false, forwarding: false, acceptRa: 1 });
  });

  it('addresses, in use and not yet', () => {
    const common = { family: 10, link: 501, prefix: 64, scope: rt.RT_SCOPE_UNIVERSE, label: '' };
    const address = decodeAddress(one('ipv6 address: 64'));
    expect(address).toEqual({ ...common, address: 'fd00::1', flags: 0x82 });
    const tentative = decodeAddress(one('ipv6 address: tentative'));
    expect(tentative).toEqual({ ...common, address: 'fd00::5', flags: 0xc0 });
    expect([address, tentative].map(isInUse)).toEqual([true, false]);
  });

  it('routes', () => {
    const common = { family: 10, link: 501, protocol: 79, table: rt.RT_TABLE_MAIN };
    const byDefault = { destination: '::', prefix: 0, gateway: 'fe80::1', metric: 1024, flags: rt.RTNH_F_ONLINK };
    expect(decodeRoute(one('ipv6 route: ::/0'))).toMatchObject({ ...common, ...byDefault });
    const toSubnet = { destination: 'fd00:9::', prefix: 48, gateway: 'fe80::2', metric: 4000, flags: 0 };
    expect(decodeRoute(one('ipv6 route: fd00:9::/48'))).toMatchObject({ ...common, ...toSubnet });
    const way = { destination: 'fd00:9::1', prefix: 128, gateway: 'fe80::2', preferredSource: 'fd00::1' };
    expect(decodeRoute(one('ipv6 route: look-up'))).toMatchObject({ ...common, ...way });
  });

  it('neighbours and FDB rows', () => {
    const row = { link: 500, mac: '02:42:0a:00:00:09', master: 0, vlan: 0 };
    const neighbour = { ...row, family: 10, state: 0x80, flags: 0, address: 'fd00::9', port: undefined };
    expect(decodeNeighbour(one('ipv6 neighbour'))).toEqual(neighbour);
    const tunnel = { ...row, family: 7, state: 0xc0, flags: 2, address: '2001:db8::2', port: 8472 };
    expect(decodeNeighbour(one('ipv6 fdb: tunnel end'))).toEqual(tunnel);
  });

  it('forwarding', () => {
    const all = { family: 10, index: -1, forwarding: true };
    expect([...messagesOf(Buffer.from(recorded['ipv6 event: forwarding'], 'hex'))].map(decodeNetconf)).toContainEqual(
      all,
    );
  });
});
