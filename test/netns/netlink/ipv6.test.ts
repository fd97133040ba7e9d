/** What is of IPv6, as iproute2 sees it and as it reads it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RowReader, writeRows } from '../../../src/adapters/kernel/rows.ts';
import {
  decodeAddress,
  deleteAddress,
  dumpAddresses,
  isInUse,
  replaceAddress,
} from '../../../src/adapters/netlink/address.ts';
import {
  decodeLink,
  dumpLinks,
  getLink,
  newBridge,
  newVxlan,
  setAddrGenMode,
  setLink,
} from '../../../src/adapters/netlink/link.ts';
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
import {
  decodeRoute,
  deleteRoute,
  dumpRoutes,
  lookUpRoute,
  replaceRoute,
} from '../../../src/adapters/netlink/route.ts';
import { NetlinkSocket } from '../../../src/adapters/netlink/socket.ts';
import { fdbRows, fdbTable, neighbourRows, neighbourTable } from '../../../src/core/row-table.ts';
import { until } from '../../lab/until.ts';
import { TestNamespace } from './namespace.ts';

let space: TestNamespace;
let socket: NetlinkSocket;
beforeEach(() => {
  space = new TestNamespace('netlink6');
  socket = new NetlinkSocket({ namespace: space.path });
});
afterEach(() => {
  socket?.close();
  space?.remove();
});

const [BRIDGE, TUNNEL] = [11, 12];
const AF_INET6 = 10;
const MTU = 1430;
const MAC = '02:42:0a:00:00:09';
const done = (count: number) => Array.from({ length: count }, () => ({ ok: true }));
const address = { link: BRIDGE, address: 'fd00::1', prefix: 64, scope: 0 };
const byDefault = { destination: '::', prefix: 0, gateway: 'fe80::1', link: BRIDGE, protocol: 79, onlink: true };
const toSubnet = { destination: 'fd00:9::', prefix: 48, gateway: 'fe80::2', link: BRIDGE, protocol: 79, metric: 4_000 };
const toHost = { destination: 'fd00:8::8', prefix: 128, link: BRIDGE, protocol: 79 };
const neighbour = { link: TUNNEL, address: 'fd00::9', mac: MAC };
const row = { link: TUNNEL, mac: MAC, vtep: '2001:db8::2', port: 8472 };

/** A bridge, and a tunnel over IPv6. */
function makeNetwork(udpChecksum = true): void {
  const data = { vni: 4096, local: '::1', port: 4790, learning: false, proxy: true, ttl: 64, udpChecksum };
  const requests = [
    newBridge(
      { name: 'br0', mac: '02:00:00:00:00:01', mtu: MTU, index: BRIDGE },
      { stp: false, multicastSnooping: false },
    ),
    newVxlan({ name: 'vx0', mac: '02:00:00:00:00:02', mtu: MTU, index: TUNNEL }, data),
    setLink({ index: TUNNEL }, { master: BRIDGE }),
    ...[BRIDGE, TUNNEL].flatMap((index) => [setAddrGenMode({ index }, 1), setLink({ index }, { up: true })]),
    ...[address, { ...address, address: 'fe80::42:aff:fe00:1', scope: 253 }].map(replaceAddress),
    replaceAddress({ link: BRIDGE, address: '10.0.0.1', prefix: 24, scope: 0 }),
    ...[byDefault, toSubnet, toHost].map(replaceRoute),
    replaceNeighbour(neighbour),
    replaceNeighbour({ ...neighbour, address: '10.0.0.9' }),
    replaceFdb(row),
  ];
  expect(socket.request(requests)).toEqual(done(requests.length));
}

describe('what is made', () => {
  it('is there as it was meant', () => {
    makeNetwork();
    const links = new Map(space.ipRows('link', 'show').map((link) => [link.ifname, link]));
    expect(links.get('vx0')).toMatchObject({
      inet6_addr_gen_mode: 'none',
      linkinfo: { info_data: { id: 4096, local6: '::1', port: 4790, ttl: 64, learning: false, proxy: true } },
    });
    const unchecked = ['udp_zero_csum6_tx', 'udp_zero_csum6_rx'];
    const { info_data } = links.get('vx0')!.linkinfo as { info_data: Record<string, unknown> };
    expect(unchecked.map((name) => info_data[name] ?? false)).toEqual([false, false]);

    // Of use at once: nobody was asked whether he has them, and the link made none by itself.
    expect(space.ipRows('-6', 'address', 'show', 'br0')[0]?.addr_info).toEqual([
      expect.objectContaining({ local: 'fd00::1', prefixlen: 64, scope: 'global', nodad: true }),
      expect.objectContaining({ local: 'fe80::42:aff:fe00:1', prefixlen: 64, scope: 'link', nodad: true }),
    ]);
    expect(space.ip('-6', 'address', 'show', 'tentative')).toBe('');
    expect(space.ip('-6', 'address', 'show', 'dev', 'vx0')).toBe('');
    expect(space.ipRows('-6', 'route', 'show', 'proto', '79')).toEqual([
      expect.objectContaining({ dst: 'fd00:8::8', dev: 'br0' }),
      expect.objectContaining({ dst: 'fd00:9::/48', gateway: 'fe80::2', dev: 'br0', metric: 4_000 }),
      expect.objectContaining({ dst: 'default', gateway: 'fe80::1', dev: 'br0', flags: ['onlink'] }),
    ]);
    expect(space.ipRows('-6', 'neighbour', 'show', 'nud', 'permanent')).toEqual([
      expect.objectContaining({ dst: 'fd00::9', dev: 'vx0', lladdr: MAC, state: ['PERMANENT'] }),
    ]);
    expect(space.bridgeRows('fdb', 'show')).toContainEqual(
      expect.objectContaining({ mac: MAC, ifname: 'vx0', dst: '2001:db8::2', port: 8472, state: 'permanent' }),
    );
  });

  it('is a tunnel without checksums, where they are not wanted', () => {
    makeNetwork(false);
    expect(space.ipRows('link', 'show', 'vx0')).toMatchObject([
      { linkinfo: { info_data: { local6: '::1', udp_zero_csum6_tx: true, udp_zero_csum6_rx: true } } },
    ]);
    expect(socket.get(getLink({ name: 'vx0' }), decodeLink)?.vxlan).toMatchObject({ udpChecksum: false });
  });

  it('is changed and taken away', () => {
    makeNetwork();
    const other = '02:42:0a:00:00:0a';
    const moved = { ...row, vtep: '2001:db8::3', port: undefined };
    const requests = [
      replaceNeighbour({ ...neighbour, mac: other }),
      replaceFdb(moved),
      replaceRoute({ ...byDefault, gateway: 'fe80::7' }),
      deleteRoute(toSubnet),
      deleteRoute(toHost),
      deleteAddress(address),
    ];
    expect(socket.request(requests)).toEqual(done(requests.length));
    expect(space.ipRows('-6', 'neighbour', 'show', 'nud', 'permanent')).toMatchObject([{ lladdr: other }]);
    const ends = space.bridgeRows('fdb', 'show').flatMap(({ dst }) => (dst === undefined ? [] : [dst]));
    expect(ends).toEqual(['2001:db8::3']);
    expect(space.ipRows('-6', 'route', 'show', 'proto', '79')).toMatchObject([{ dst: 'default', gateway: 'fe80::7' }]);
    expect(space.ip('-6', 'address', 'show', 'br0')).not.toContain('fd00::1');
    expect(socket.request([deleteNeighbour(neighbour), deleteFdb(moved)])).toEqual(done(2));
    expect(space.ip('-6', 'neighbour', 'show', 'nud', 'permanent')).toBe('');
    const gone = [deleteNeighbour(neighbour), deleteAddress(address), deleteRoute(toHost), deleteFdb(row)];
    expect(socket.request(gone).map((outcome) => !outcome.ok && outcome.code)).toEqual([
      'ENOENT',
      'EADDRNOTAVAIL',
      'ESRCH',
      'ENOENT',
    ]);
  });

  it('is refused in the kernel’s words', () => {
    makeNetwork();
    space.exec('sysctl', '-qw', 'net.ipv6.conf.br0.disable_ipv6=1');
    expect(socket.request([replaceAddress({ ...address, address: 'fd00::5' }), replaceRoute(byDefault)])).toEqual([
      { ok: false, code: 'EACCES', text: expect.stringMatching(/IPv6 is disabled|permission denied/) },
      { ok: false, code: 'EACCES', text: expect.stringMatching(/IPv6 is disabled/) },
    ]);
  });
});

describe('what is read', () => {
  it('is what iproute2 reads, of both families at once', () => {
    makeNetwork();
    const names = new Map(socket.dump(dumpLinks(), decodeLink).map(({ index, name }) => [index, name]));
    const tunnel = socket.get(getLink({ name: 'vx0' }), decodeLink)!;
    expect(tunnel.vxlan).toMatchObject({ local: '::1', udpChecksum: true });
    expect(tunnel.inet6).toEqual({ mtu: 1430, addrGenMode: 1, disabled: false, forwarding: false, acceptRa: 1 });

    expect(
      socket
        .dump(dumpAddresses(), decodeAddress)
        .map(({ address, prefix }) => `${address}/${prefix}`)
        .sort(),
    ).toEqual(
      space
        .ipRows('address', 'show')
        .flatMap(({ addr_info }) => addr_info as { local: string; prefixlen: number }[])
        .map(({ local, prefixlen }) => `${local}/${prefixlen}`)
        .sort(),
    );
    expect(socket.dump(dumpAddresses(AF_INET6), decodeAddress).every(({ family }) => family === AF_INET6)).toBe(true);

    const routes = socket.dump(dumpRoutes(), decodeRoute).map(({ destination, prefix, gateway, link, metric }) => ({
      dst: prefix === 0 ? 'default' : [32, 128].includes(prefix) ? destination : `${destination}/${prefix}`,
      gateway,
      dev: names.get(link),
      metric: metric || undefined,
    }));
    const told = [...space.ipRows('-4', 'route', 'show'), ...space.ipRows('-6', 'route', 'show')];
    expect(routes).toEqual(told.map(({ dst, gateway, dev, metric }) => ({ dst, gateway, dev, metric })));
    expect(socket.dump(dumpRoutes({ protocol: 79 }), decodeRoute)).toHaveLength(3);
    expect(socket.get(lookUpRoute('fd00:9::1'), decodeRoute)).toMatchObject({
      ...{ link: BRIDGE, gateway: 'fe80::2', preferredSource: 'fd00::1' },
    });

    const permanent = socket.dump(dumpNeighbours(TUNNEL), decodeNeighbour).filter(({ state }) => state === 0x80);
    expect(permanent.map((seen) => seen.address)).toEqual(['10.0.0.9', 'fd00::9']);
    expect(socket.dump(dumpFdb(), decodeNeighbour)).toContainEqual(
      expect.objectContaining({ mac: MAC, address: '2001:db8::2', port: 8472 }),
    );
  });

  it('is whether the namespace forwards, and whether a link has IPv6', () => {
    makeNetwork();
    const forwarding = () => socket.get(getNetconf(AF_INET6), decodeNetconf)?.forwarding;
    const bridge = () => socket.get(getLink({ name: 'br0' }), decodeLink)?.inet6;
    expect(forwarding()).toBe(false);
    space.exec('sysctl', '-qw', 'net.ipv6.conf.all.forwarding=1');
    expect(forwarding()).toBe(true);
    expect(socket.get(getNetconf(), decodeNetconf)?.forwarding).toBe(false);
    space.exec('sysctl', '-qw', 'net.ipv6.conf.br0.disable_ipv6=1', 'net.ipv6.conf.br0.accept_ra=2');
    expect(bridge()).toEqual({ mtu: 1430, addrGenMode: 1, disabled: true, forwarding: true, acceptRa: 2 });
  });

  it('is an address that is not in use, until it is known that nobody else has it', async () => {
    makeNetwork();
    const seen = () => socket.dump(dumpAddresses(AF_INET6), decodeAddress).find((each) => each.address === 'fd00::5');
    space.exec('sysctl', '-qw', 'net.ipv6.conf.br0.dad_transmits=1');
    space.ip('address', 'add', 'fd00::5/64', 'dev', 'br0');
    expect(isInUse(seen()!)).toBe(false);
    await until('it to be in use', () => isInUse(seen()!));
  });
});

describe('many rows', () => {
  it('are written and read as numbers, of both families', () => {
    makeNetwork();
    const hex = (value: number) => value.toString(16).padStart(2, '0');
    const numbers = Array.from({ length: 600 }, (_, nth) => nth);
    const mac = (nth: number) => `02:42:0a:09:${hex(nth >> 8)}:${hex(nth & 255)}`;
    const neighbours = numbers.map((nth) => ({
      link: 'vx0',
      address: nth % 3 === 0 ? `10.1.${nth >> 8}.${nth & 255}` : `fd00:7::${(nth + 1).toString(16)}`,
      mac: mac(nth),
    }));
    const ends = numbers.map((nth) => ({
      link: 'vx0',
      mac: mac(nth),
      vtep: `2001:db8::${(nth + 1).toString(16)}`,
      port: nth % 2 === 0 ? 4_789 : undefined,
    }));
    const tables = [neighbourTable(neighbours), fdbTable(ends)];
    const links = new Map(tables.flatMap((table) => [...table.links.keys()].map((number) => [number, TUNNEL])));
    const read = () => {
      const reader = { neighbours: new RowReader(), fdb: new RowReader(TUNNEL) };
      const counts = [
        socket.dump(dumpNeighbours(TUNNEL), reader.neighbours.neighbour).length,
        socket.dump(dumpFdb(), reader.fdb.fdb).length,
      ] as const;
      const named = new Map([[TUNNEL, 'vx0']]);
      const key = (each: { mac: string; address?: string }) => `${each.mac} ${each.address}`;
      const sorted = <T extends { mac: string }>(rows: readonly T[]) =>
        rows.filter((each) => each.mac !== MAC).sort((a, b) => (key(a) < key(b) ? -1 : 1));
      return [
        sorted(
          neighbourRows({ kind: 'neighbour', links: named, words: reader.neighbours.take('neighbour', counts[0]) }),
        ),
        sorted(fdbRows({ kind: 'fdb', links: named, words: reader.fdb.take('fdb', counts[1]) })),
      ];
    };
    for (const table of tables) expect(writeRows(socket, table, links, true).size).toBe(0);
    expect(read()).toEqual([neighbours, ends]);
    for (const table of tables) expect(writeRows(socket, table, links, false).size).toBe(0);
    expect(read()).toEqual([[], []]);
  });
});
