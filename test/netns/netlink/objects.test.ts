/** What we ask the kernel for by netlink is there as iproute2 sees it, and what we read is what iproute2 reads. */
import { closeSync, openSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { deleteAddress } from '../../../src/adapters/netlink/address.ts';
import {
  decodeLink,
  deleteLink,
  deleteLinkGroup,
  dumpLinks,
  getLink,
  setBridgePort,
  setLink,
} from '../../../src/adapters/netlink/link.ts';
import { decodeNsid, getNsid, newNsid } from '../../../src/adapters/netlink/namespace-id.ts';
import {
  decodeNeighbour,
  deleteFdb,
  deleteNeighbour,
  dumpFdb,
  dumpNeighbours,
  replaceFdb,
  replaceNeighbour,
} from '../../../src/adapters/netlink/neighbour.ts';
import { decodeNetconf, getNetconf } from '../../../src/adapters/netlink/netconf.ts';
import { decodeGeneration, getGeneration } from '../../../src/adapters/netlink/nftables.ts';
import {
  decodeRoute,
  deleteRoute,
  dumpRoutes,
  lookUpRoute,
  replaceRoute,
} from '../../../src/adapters/netlink/route.ts';
import { NetlinkSocket } from '../../../src/adapters/netlink/socket.ts';
import { NETLINK_NETFILTER } from '../../../src/adapters/netlink/uapi/netlink.ts';
import { ALL_ZEROS } from '../../../src/core/row-table.ts';
import { TestNamespace } from './namespace.ts';
import { BRIDGE, done, INSIDE, MTU, makeNetwork, NO_FLOOD, PORT, TUNNEL } from './network.ts';

let space: TestNamespace;
let other: TestNamespace;
let socket: NetlinkSocket;

beforeEach(() => {
  space = new TestNamespace('netlink');
  other = new TestNamespace('netlink-other');
  socket = new NetlinkSocket({ namespace: space.path });
});
afterEach(() => {
  socket?.close();
  space?.remove();
  other?.remove();
});

describe('what is made', () => {
  it('is there as it was meant', () => {
    makeNetwork(socket, other);
    const links = new Map(space.ipRows('link', 'show').map((row) => [row.ifname, row]));
    expect(links.get('br0')).toMatchObject({
      ifindex: BRIDGE,
      address: '02:00:00:00:00:01',
      mtu: MTU,
      inet6_addr_gen_mode: 'none',
      flags: expect.arrayContaining(['UP']),
      linkinfo: { info_kind: 'bridge', info_data: { stp_state: 0, mcast_snooping: 0 } },
    });
    expect(links.get('vx0')).toMatchObject({
      ifindex: TUNNEL,
      master: 'br0',
      address: '02:00:00:00:00:02',
      mtu: MTU,
      linkinfo: {
        info_kind: 'vxlan',
        info_data: { id: 4096, local: '127.0.0.1', port: 4790, ttl: 64, learning: false, proxy: true, udp_csum: true },
      },
    });
    expect(links.get('e1')).toMatchObject({
      ifindex: PORT,
      master: 'br0',
      flags: expect.arrayContaining(['UP']),
      linkinfo: {
        info_kind: 'veth',
        info_slave_kind: 'bridge',
        info_slave_data: { learning: false, flood: false, mcast_flood: false, locked: true, isolated: true },
      },
    });
    const [inside] = other.ipRows('link', 'show', 'eth0');
    expect(inside).toMatchObject({ ifindex: INSIDE, address: '02:42:0a:00:00:02', mtu: MTU, link_index: PORT });

    const [addresses] = space.ipRows('-4', 'address', 'show', 'br0');
    expect(addresses?.addr_info).toMatchObject([
      { local: '169.254.53.53', prefixlen: 32, scope: 'host' },
      { local: '10.0.0.1', prefixlen: 24, scope: 'global' },
    ]);
    // In the order of the kernel's hash, which differs from one start to the next.
    const neighbours = space.ipRows('neighbour', 'show', 'nud', 'permanent');
    expect(neighbours.sort((a, b) => (String(a.dev) < String(b.dev) ? -1 : 1))).toEqual([
      expect.objectContaining({ dst: '10.0.0.2', dev: 'br0', lladdr: '02:42:0a:00:00:02', state: ['PERMANENT'] }),
      expect.objectContaining({ dst: '10.0.0.9', dev: 'vx0', lladdr: '02:42:0a:00:00:09', state: ['PERMANENT'] }),
    ]);
    const rows = space.bridgeRows('fdb', 'show');
    expect(rows).toContainEqual(
      expect.objectContaining({
        mac: '02:42:0a:00:00:09',
        ifname: 'vx0',
        dst: '10.77.0.2',
        port: 8472,
        state: 'permanent',
      }),
    );
    expect(rows).toContainEqual(
      expect.objectContaining({ mac: '02:42:0a:00:00:02', ifname: 'e1', master: 'br0', state: 'static' }),
    );
    expect(space.ipRows('route', 'show', 'proto', '79')).toEqual([
      expect.objectContaining({ dst: 'default', gateway: '169.254.0.1', dev: 'br0', flags: ['onlink'] }),
      expect.objectContaining({ dst: '10.9.0.0/16', dev: 'br0', scope: 'link', metric: 4_000 }),
    ]);
  });

  it('is changed and taken away', () => {
    makeNetwork(socket, other);
    const mac = '02:42:0a:00:00:0a';
    const requests = [
      setLink({ index: TUNNEL }, { mac, mtu: 1400, master: 0, up: false }),
      setBridgePort({ name: 'e1' }, { ...NO_FLOOD, learning: true, flood: true, locked: false }),
      replaceNeighbour({ link: TUNNEL, address: '10.0.0.9', mac }),
      replaceFdb({ link: TUNNEL, mac: '02:42:0a:00:00:09', vtep: '10.77.0.3' }),
      deleteFdb({ link: PORT, mac: '02:42:0a:00:00:02' }),
      deleteNeighbour({ link: BRIDGE, address: '10.0.0.2' }),
      deleteRoute({ destination: '10.9.0.0', prefix: 16, link: BRIDGE, protocol: 79 }),
      deleteRoute({ destination: '0.0.0.0', prefix: 0, gateway: '169.254.0.1', link: BRIDGE, protocol: 79 }),
      deleteAddress({ link: BRIDGE, address: '169.254.53.53', prefix: 32, scope: 0 }),
    ];
    expect(socket.request(requests)).toEqual(done(requests.length));
    expect(space.ipRows('link', 'show', 'vx0')).toMatchObject([{ address: mac, mtu: 1400, operstate: 'DOWN' }]);
    expect(space.ipRows('link', 'show', 'vx0')[0]).not.toHaveProperty('master');
    expect(space.ipRows('link', 'show', 'e1')).toMatchObject([
      { linkinfo: { info_slave_data: { learning: true, flood: true, mcast_flood: false, locked: false } } },
    ]);
    const text = [
      space.ip('route', 'show', 'proto', '79'),
      space.ip('address', 'show', 'br0'),
      space.ip('neighbour', 'show'),
      JSON.stringify(space.bridgeRows('fdb', 'show')),
    ].join('\n');
    for (const gone of ['10.9.0.0', 'default via', '169.254.53.53', '10.0.0.2', '02:42:0a:00:00:02']) {
      expect(text).not.toContain(gone);
    }
    expect(text).toContain('10.77.0.3');

    expect(socket.request([setLink({ name: 'vx0' }, { group: 77 }), setLink({ name: 'br0' }, { group: 77 })])).toEqual(
      done(2),
    );
    expect(socket.request([deleteLinkGroup(77), deleteLink({ name: 'e1' })])).toEqual(done(2));
    expect(space.ipRows('link', 'show').map(({ ifname }) => ifname)).toEqual(['lo']);
    expect(other.ipRows('link', 'show').map(({ ifname }) => ifname)).toEqual(['lo']);
  });

  it('is a route whose packets have the source that was said', () => {
    makeNetwork(socket, other);
    const route = { destination: '10.8.0.0', prefix: 16, link: BRIDGE, protocol: 79 };
    const source = '169.254.53.53';
    expect(socket.request([replaceRoute({ ...route, preferredSource: source })])).toEqual(done(1));
    const [told] = space.ipRows('route', 'show', '10.8.0.0/16');
    expect(told).toMatchObject({ prefsrc: source, dev: 'br0' });
    expect(socket.dump(dumpRoutes({ protocol: 79 }), decodeRoute)).toContainEqual(
      expect.objectContaining({ destination: '10.8.0.0', preferredSource: source }),
    );
    expect(space.ipRows('route', 'get', '10.8.1.1')).toMatchObject([{ prefsrc: source }]);
  });

  it('is a list of tunnel ends for what goes to all, one added to the other, and each taken away by itself', () => {
    makeNetwork(socket, other);
    const all = { link: TUNNEL, mac: ALL_ZEROS };
    const ends = [
      { ...all, vtep: '10.77.0.2' },
      { ...all, vtep: '10.77.0.3', port: 8472 },
      { ...all, vtep: '10.77.0.4' },
    ];
    const told = () =>
      space
        .bridgeRows('fdb', 'show', 'dev', 'vx0')
        .filter(({ mac }) => mac === ALL_ZEROS)
        .map(({ dst, port, state, flags }) => [dst, port, state, flags])
        .sort();
    const own = (dst: string, port?: number) => [dst, port, 'permanent', ['self']];
    expect(socket.request(ends.map(replaceFdb))).toEqual(done(3));
    expect(told()).toEqual([own('10.77.0.2'), own('10.77.0.3', 8472), own('10.77.0.4')]);
    expect(
      socket
        .dump(dumpFdb(TUNNEL), decodeNeighbour)
        .filter(({ mac }) => mac === ALL_ZEROS)
        .map(({ address, port }) => [address, port])
        .sort(),
    ).toEqual(told().map(([dst, port]) => [dst, port]));
    // What is there already stays as it is.
    expect(socket.request([replaceFdb(ends[0]!), deleteFdb(ends[1]!)])).toEqual(done(2));
    expect(told()).toEqual([own('10.77.0.2'), own('10.77.0.4')]);
  });

  it('is an id for another namespace, once', () => {
    const fd = openSync(other.path, 'r');
    try {
      expect(socket.get(getNsid(fd), decodeNsid)).toBe(-1);
      const outcomes = socket.request([newNsid(fd, 4711), newNsid(fd, 4712)]);
      expect(outcomes).toEqual([{ ok: true }, expect.objectContaining({ ok: false, code: 'EEXIST' })]);
      expect(socket.get(getNsid(fd), decodeNsid)).toBe(4711);
      expect(space.ip('netns', 'list-id')).toMatch(/^nsid 4711\b.*\n$/);
    } finally {
      closeSync(fd);
    }
  });
});

describe('what is read', () => {
  it('is what iproute2 reads', () => {
    makeNetwork(socket, other);
    const links = socket.dump(dumpLinks(), decodeLink);
    const nameOf = new Map(links.map(({ index, name }) => [index, name]));
    expect(socket.dump(dumpLinks('veth'), decodeLink).map(({ name }) => name)).toEqual(['e1']);
    expect(socket.get(getLink({ name: 'e1' }), decodeLink)).toMatchObject({
      index: PORT,
      link: INSIDE,
      port: NO_FLOOD,
    });
    expect(socket.get(getLink({ name: 'none' }), decodeLink, ['ENODEV'])).toBeUndefined();
    expect(() => socket.get(getLink({ name: 'none' }), decodeLink)).toThrow(/ENODEV/);

    const routes = socket
      .dump(dumpRoutes({ family: 2 }), decodeRoute)
      .map(({ destination, prefix, gateway, link, metric, preferredSource }) => ({
        dst: prefix === 0 ? 'default' : `${destination}/${prefix}`,
        gateway,
        dev: nameOf.get(link),
        metric: metric || undefined,
        prefsrc: preferredSource,
      }));
    const told = space
      .ipRows('route', 'show')
      .map(({ dst, gateway, dev, metric, prefsrc }) => ({ dst, gateway, dev, metric, prefsrc }));
    expect(routes).toEqual(told);
    expect(socket.dump(dumpRoutes({ protocol: 79 }), decodeRoute)).toHaveLength(2);
    expect(socket.get(lookUpRoute('10.9.1.1'), decodeRoute)).toMatchObject({
      link: BRIDGE,
      preferredSource: '10.0.0.1',
    });

    const rows = socket.dump(dumpFdb(), decodeNeighbour);
    expect(rows.map(({ link, mac, address }) => [nameOf.get(link), mac, address])).toEqual(
      space.bridgeRows('fdb', 'show').map(({ ifname, mac, dst }) => [ifname, mac, dst]),
    );
    expect(socket.dump(dumpFdb(PORT), decodeNeighbour).every(({ link }) => link === PORT)).toBe(true);
    const neighbours = socket.dump(dumpNeighbours(TUNNEL), decodeNeighbour);
    expect(neighbours.filter(({ state }) => state === 0x80)).toMatchObject([{ link: TUNNEL, address: '10.0.0.9' }]);
  });

  it('is whether the namespace forwards, and how often its tables changed', () => {
    const forwarding = () => socket.get(getNetconf(), decodeNetconf)?.forwarding;
    expect(forwarding()).toBe(false);
    space.exec('sysctl', '-qw', 'net.ipv4.ip_forward=1');
    expect(forwarding()).toBe(true);
    const netfilter = new NetlinkSocket({ namespace: space.path, protocol: NETLINK_NETFILTER });
    const before = netfilter.get(getGeneration(), decodeGeneration)!;
    space.exec('nft', 'add', 'table', 'inet', 'test');
    expect(netfilter.get(getGeneration(), decodeGeneration)).toBe(before + 1);
    netfilter.close();
  });

  it('is nothing where there is nothing', () => {
    expect(socket.dump(dumpRoutes(), decodeRoute, ['ENOENT'])).toEqual([]);
    expect(socket.dump(dumpFdb(), decodeNeighbour)).toEqual([]);
    expect(() => socket.get(lookUpRoute('192.0.2.1'), decodeRoute)).toThrow(/ENETUNREACH/);
  });
});
