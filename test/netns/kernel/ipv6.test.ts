/** Packets of IPv6 over the data path that the reconciler makes, on an underlay of IPv4: what reaches whom, and what does not. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NetworkRecord } from '../../../src/core/records.ts';
import {
  CUT_ECHO,
  ECHO,
  HOP_BY_HOP,
  type Ipv6Packet,
  ipv6Frame,
  neighbourAdvertisement,
  ROUTER_ADVERTISEMENT,
  redirect,
  SEND_FRAMES,
} from '../../lab/frames.ts';
import type { Host } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { until } from '../../lab/until.ts';
import { Station } from './station.ts';

let lab: Lab;
let a: Station;
let b: Station;
let six: NetworkRecord;
let inner: NetworkRecord;
let apart: NetworkRecord;
let isolated: NetworkRecord;

const OUTSIDE = '2001:db8:ffff::1';
const [MAC1, MAC2, MAC3] = ['02:42:00:00:00:02', '02:42:00:00:00:03', '02:42:00:00:00:04'];

function publish(from: Station, to: Station): void {
  for (const [id, record] of from.world.endpointRecords)
    if (record.nodeId === from.world.selfId) to.world.endpointRecords.set(id, record);
  to.reconciler.markDirty('all');
}

async function ping(host: Host, container: string, address: string, ...options: string[]): Promise<boolean> {
  const argv = ['ping', '-6', '-q', '-c', '1', '-W', '1', ...options, address];
  return (await host.exec(container, argv)).code === 0;
}

/** Name of the link to the underlay. */
async function underlayOf(host: Host): Promise<string> {
  return /\d+: (\S+) +inet 10\.77\./.exec(await host.must(['ip', '-o', '-4', 'address', 'show']))![1]!;
}

/** What a table counts, by the name of the counter. */
async function counted(list: Promise<string>): Promise<Record<string, number>> {
  const found = (await list).matchAll(/counter (\w+) \{\s+packets (\d+)/g);
  return Object.fromEntries([...found].map(([, name, packets]) => [name, Number(packets)]));
}

beforeAll(async () => {
  lab = await Lab.open({ hosts: 2 });
  // Nothing is put right but what is told by an event.
  const options = { auditIntervalMs: 3_600_000 };
  a = new Station(lab.host(1), options);
  b = new Station(lab.host(2), options);
  for (const { world } of [a, b]) {
    world.addNode('h1', lab.host(1).address);
    world.addNode('h2', lab.host(2).address);
    six = world.addNetwork('six', { vni: 4100, cidr: 'fd00:6::/64', gateway: 'fd00:6::1' });
    inner = world.addNetwork('inner', { vni: 4101, cidr: 'fd00:7::/64', gateway: 'fd00:7::1', internal: true });
    const alone = { vni: 4102, cidr: 'fd00:8::/64', gateway: 'fd00:8::1', options: { enable_icc: 'false' } };
    apart = world.addNetwork('apart', alone);
    const quiet = { vni: 4103, cidr: 'fd00:9::/64', gateway: 'fd00:9::1', internal: true };
    isolated = world.addNetwork('isolated', { ...quiet, options: { gateway_mode_ipv6: 'isolated' } });
  }
  for (const [host, number] of [
    [lab.host(1), 1],
    [lab.internet, 254],
  ] as const) {
    const link = await underlayOf(host);
    await host.must(['sysctl', '-qw', `net.ipv6.conf.${link}.accept_ra=1`]);
    await host.must(['ip', 'address', 'add', `2001:db8:77::${number}/64`, 'dev', link, 'nodad']);
  }
  await lab.internet.must(['ip', 'address', 'add', `${OUTSIDE}/128`, 'dev', 'lo', 'nodad']);
  await a.host.must(['ip', '-6', 'route', 'add', 'default', 'via', '2001:db8:77::254']);
  a.start();
  b.start();
  for (const name of ['c1', 'c2', 'inner1', 'apart1', 'apart2', 'isolated1', 'isolated2']) await a.host.container(name);
  for (const name of ['c3', 'inner2', 'apart3', 'isolated3']) await b.host.container(name);
  await a.attach(six, 'fd00:6::2', 'c1');
  await a.attach(six, 'fd00:6::3', 'c2');
  await a.attach(inner, 'fd00:7::2', 'inner1');
  await b.attach(six, 'fd00:6::4', 'c3');
  await b.attach(inner, 'fd00:7::3', 'inner2');
  for (const [network, name, block] of [
    [apart, 'apart', 'fd00:8::'],
    [isolated, 'isolated', 'fd00:9::'],
  ] as const) {
    await a.attach(network, `${block}2`, `${name}1`);
    await a.attach(network, `${block}3`, `${name}2`);
    await b.attach(network, `${block}4`, `${name}3`);
  }
  publish(a, b);
  publish(b, a);
  await Promise.all([a, b].map(({ reconciler }) => reconciler.converge(six.id)));
});

afterAll(async () => {
  await Promise.all([a?.stop(), b?.stop()]);
  await lab?.close();
});

describe('between containers', () => {
  it('of a network, on one host and across hosts, everything passes', async () => {
    expect(await ping(a.host, 'c1', 'fd00:6::3')).toBe(true);
    expect(await ping(a.host, 'c1', 'fd00:6::4')).toBe(true);
    expect(await ping(b.host, 'inner2', 'fd00:7::2')).toBe(true);
    expect(await ping(a.host, 'c1', 'fd00:6::4', '-M', 'do', '-s', '1402')).toBe(true);
    expect(await ping(a.host, 'c1', 'fd00:6::1')).toBe(true);
  });

  it('of different networks, nothing passes', async () => {
    expect(await ping(a.host, 'c1', 'fd00:7::2')).toBe(false);
    expect(await ping(a.host, 'c1', 'fd00:7::3')).toBe(false);
  });

  it('a new one is reached at once, without a look for duplicates', async () => {
    await a.host.container('new');
    const endpoint = await a.attach(six, 'fd00:6::20', 'new');
    // Looking for duplicates takes a second and more, in which nothing is sent from there.
    expect(await ping(a.host, 'new', 'fd00:6::3', '-I', 'fd00:6::20')).toBe(true);
    publish(a, b);
    await b.reconciler.converge(six.id);
    expect(await ping(a.host, 'new', 'fd00:6::4')).toBe(true);
    expect(await a.host.mustExec('new', ['ip', '-6', 'address', 'show', 'tentative'])).toBe('');
    a.world.remove(endpoint.record.id);
    b.world.remove(endpoint.record.id);
    await a.reconciler.converge(six.id);
  });

  it('no solicitation crosses the tunnel: all of them are answered from the rows', async () => {
    // Type of the frame, next header and ICMPv6 type within VXLAN.
    const inside = (type: string) => `udp dport 4789 @th,224,16 0x86dd @th,288,8 58 @th,560,8 ${type}`;
    const table = `table ip wire {
      counter discovery {}
      counter echo {}
      chain input {
        type filter hook input priority -400;
        ${inside('133-137')} counter name discovery
        ${inside('128')} counter name echo
      }
    }`;
    await b.host.must(['nft', '-f', '-'], { input: table });
    const knows = () => a.host.mustExec('c1', ['ip', '-6', 'neigh', 'show', 'fd00:6::4']);
    await a.host.mustExec('c1', ['ip', '-6', 'neigh', 'flush', 'all']);
    expect(await ping(a.host, 'c1', 'fd00:6::4')).toBe(true);
    expect(await knows()).toContain(MAC3);
    // Whether it is still there is asked of it alone, and answered here as well.
    const soon = ['base_reachable_time_ms=500', 'delay_first_probe_time=0'];
    await a.host.mustExec('c1', ['sysctl', '-qw', ...soon.map((key) => `net.ipv6.neigh.eth0.${key}`)]);
    expect(await ping(a.host, 'c1', 'fd00:6::4', '-c', '15', '-i', '0.2')).toBe(true);
    await until('it to be confirmed', async () => (await knows()).includes('REACHABLE'));
    expect(await ping(a.host, 'c1', 'fd00:6::99')).toBe(false);
    const { echo, discovery } = await counted(b.host.must(['nft', 'list', 'table', 'ip', 'wire']));
    expect(echo).toBeGreaterThanOrEqual(16);
    expect(discovery).toBe(0);
  });
});

describe('a container', () => {
  const counter = `table netdev frames {
    counter mine {}
    counter last {}
    chain ingress {
      type filter hook ingress device eth0 priority 0;
      ether saddr ${MAC2} icmpv6 type echo-request icmpv6 id 9 counter name last
      ether saddr ${MAC2} counter name mine
    }
  }`;
  const arrived = () => counted(a.host.mustExec('c1', ['nft', 'list', 'table', 'netdev', 'frames']));
  const packet = { from: 'fd00:6::3', to: 'fd00:6::2', sender: MAC2!, receiver: MAC1!, payload: ECHO };
  const last = ipv6Frame({ ...packet, payload: '8000000000090001' });
  /** How many of these arrive at another one. */
  async function passing(...packets: readonly Partial<Ipv6Packet>[]): Promise<number> {
    await a.host.exec('c1', ['nft', 'delete', 'table', 'netdev', 'frames']);
    await a.host.mustExec('c1', ['nft', '-f', '-'], { input: counter });
    const frames = packets.map((each) => ipv6Frame({ ...packet, ...each }));
    await a.host.mustExec('c2', ['perl', '-e', SEND_FRAMES, 'eth0', ...frames, last]);
    await until('the last one', async () => (await arrived()).last === 1);
    return (await arrived()).mine! - 1;
  }

  it('speaks as itself, and as its link', async () => {
    expect(await passing({}, { from: 'fe80::42:ff:fe00:3' })).toBe(2);
  });

  it.each<[string, Partial<Ipv6Packet>]>([
    ["another's address", { from: 'fd00:6::4' }],
    ['an address of nobody', { from: 'fd00:6::77' }],
    ['no address', { from: '::' }],
    ["another link's address", { from: 'fe80::42:ff:fe00:2' }],
    ["another's MAC", { sender: MAC3! }],
    ['a router', { payload: ROUTER_ADVERTISEMENT }],
    ['a router of its link', { payload: ROUTER_ADVERTISEMENT, from: 'fe80::42:ff:fe00:3' }],
    ['a router behind another header', { payload: `${HOP_BY_HOP}${ROUTER_ADVERTISEMENT}`, nextHeader: '00' }],
    ['who redirects', { payload: redirect('fe80::42:ff:fe00:3', 'fd00:6::1') }],
    ["who has another's address", { payload: neighbourAdvertisement('fd00:6::4', MAC2!) }],
    ["who has the gateway's address", { payload: neighbourAdvertisement('fd00:6::1', MAC2!) }],
  ])('cannot speak as %s', async (_, forged) => {
    expect(await passing(forged)).toBe(0);
  });

  it('says that it is there, to who asks', async () => {
    expect(await passing({ payload: neighbourAdvertisement('fd00:6::3', MAC2!) })).toBe(1);
  });

  it('is not believed as a router, whatever comes to it', async () => {
    const conf = await a.host.mustExec('c1', ['sysctl', '-n', 'net.ipv6.conf.eth0.accept_ra']);
    expect(conf.trim()).toBe('0');
    const addresses = await a.host.mustExec('c1', ['ip', '-6', '-o', 'address', 'show', 'dev', 'eth0']);
    expect([...addresses.matchAll(/inet6 (\S+)/g)].map(([, address]) => address).sort()).toEqual([
      'fd00:6::2/64',
      'fe80::42:ff:fe00:2/64',
    ]);
  });
});

it('a container that an engine set up makes its link-local address itself, and is answered there', async () => {
  await a.host.container('engine');
  const endpoint = a.world.addHandedOver(six, 'fd00:6::30');
  await a.reconciler.converge(six.id, { endpoint });
  await a.host.must(['ip', 'link', 'set', endpoint.ifname, 'netns', 'engine']);
  const lines = [
    `link set ${endpoint.ifname} name eth0`,
    'address add fd00:6::30/64 dev eth0 nodad',
    'link set eth0 up',
    'route add default via fd00:6::1',
  ];
  await a.host.mustExec('engine', ['ip', '-batch', '-'], { input: lines.join('\n') });
  const own = 'fe80::42:ff:fe00:30';
  await until('its address to be in use', async () => {
    const addresses = await a.host.mustExec('engine', ['ip', '-6', 'address', 'show', 'dev', 'eth0', '-tentative']);
    return addresses.includes(own);
  });
  expect(await ping(a.host, 'engine', 'fe80::86f:67ff:fe00:1004%eth0')).toBe(true);
  expect(await ping(a.host, 'engine', 'fd00:6::2')).toBe(true);
  expect(await ping(a.host, 'engine', OUTSIDE)).toBe(true);
  a.world.remove(endpoint.record.id);
  await a.reconciler.converge(six.id);
});

describe('containers that are not to reach each other', () => {
  it('do not, and reach the gateway and the outside', async () => {
    const link = (last: number) => `fe80::42:ff:fe00:${last}%eth0`;
    for (const other of ['fd00:8::3', 'fd00:8::4', link(3)])
      expect([other, await ping(a.host, 'apart1', other)]).toEqual([other, false]);
    expect(await ping(a.host, 'apart1', 'fd00:8::1')).toBe(true);
    expect(await ping(a.host, 'apart1', OUTSIDE)).toBe(true);
  });

  it('do not by way of the gateway either', async () => {
    const route = ['ip', '-6', 'route', 'add', 'fd00:8::3/128', 'via', 'fd00:8::1', 'dev', 'eth0'];
    await a.host.mustExec('apart1', route);
    expect(await ping(a.host, 'apart1', 'fd00:8::3')).toBe(false);
  });
});

describe('a gateway that is isolated', () => {
  it('answers no ping, to whatever address, and containers reach each other', async () => {
    for (const gateway of ['fd00:9::1', 'fe80::86f:67ff:fe00:1007%eth0'])
      expect([gateway, await ping(a.host, 'isolated1', gateway)]).toEqual([gateway, false]);
    expect(await ping(a.host, 'isolated1', 'fd00:9::3')).toBe(true);
    expect(await ping(a.host, 'isolated1', 'fd00:9::4')).toBe(true);
    // All nodes of the link: nobody but the gateway would hear it.
    expect(await ping(a.host, 'isolated1', 'ff02::1%eth0', '-L')).toBe(false);
    expect(await ping(a.host, 'inner1', 'ff02::1%eth0', '-L')).toBe(true);
  });

  it('hears nothing of what is cut within its headers', async () => {
    const inside = (...argv: string[]) => a.host.must(['nsenter', '--net=/run/netns/ovl-4103', ...argv]);
    const gateway = '0a:6f:67:00:10:07';
    const packet = { from: 'fd00:9::2', to: 'fd00:9::1', sender: MAC1!, receiver: gateway };
    const frames = [ECHO, ...CUT_ECHO].map((payload) =>
      ipv6Frame({ ...packet, payload, nextHeader: payload === ECHO ? '3a' : '2c' }),
    );
    const last = ipv6Frame({ ...packet, payload: neighbourAdvertisement('fd00:9::2', MAC1!) });
    const table = `table bridge heard {
      counter cut {}
      counter last {}
      chain input {
        type filter hook input priority 0;
        ether saddr ${MAC1} icmpv6 type nd-neighbor-advert counter name last
        ether saddr ${MAC1} ip6 nexthdr 44 counter name cut
      }
    }`;
    await a.host.must(['nsenter', '--net=/run/netns/ovl-4103', 'nft', '-f', '-'], { input: table });
    await a.host.mustExec('isolated1', ['perl', '-e', SEND_FRAMES, 'eth0', ...frames, last]);
    const heard = () => counted(inside('nft', 'list', 'table', 'bridge', 'heard'));
    await until('the last one', async () => (await heard()).last! > 0);
    expect((await heard()).cut).toBe(0);
    await inside('nft', 'delete', 'table', 'bridge', 'heard');
  });
});

describe('from and to the outside', () => {
  it('a container reaches it masqueraded, one of an internal network does not', async () => {
    expect(await ping(a.host, 'c1', OUTSIDE)).toBe(true);
    expect(await ping(a.host, 'inner1', OUTSIDE)).toBe(false);
  });

  it('nobody reaches a container who was not asked, but the host itself', async () => {
    await lab.internet.must(['ip', 'route', 'add', 'fd00:6::/64', 'via', '2001:db8:77::1']);
    expect((await lab.internet.run(['ping', '-q', '-c', '1', '-W', '1', 'fd00:6::2'])).code).not.toBe(0);
    expect((await a.host.run(['ping', '-q', '-c', '1', '-W', '1', 'fd00:6::2'])).code).toBe(0);
  });

  it('a host that begins to forward still listens to its routers', async () => {
    const of = async (link: string, key: string) =>
      (await a.host.must(['sysctl', '-n', `net.ipv6.conf.${link}.${key}`])).trim();
    expect(await of('all', 'forwarding')).toBe('1');
    expect(await of(await underlayOf(a.host), 'accept_ra')).toBe('2');
  });
});

describe('the reconciler hears of, and restores', () => {
  const drifts: Record<string, readonly string[]> = {
    'a neighbour row': ['ip', '-n', 'ovl-4100', 'neigh', 'del', 'fd00:6::4', 'dev', 'vx0'],
    "the gateway's address": ['ip', '-n', 'ovl-4100', 'address', 'del', 'fd00:6::1/64', 'dev', 'br0'],
    'the way out of a network': ['ip', '-n', 'ovl-4100', '-6', 'route', 'del', 'default'],
    'the route into a network': ['ip', '-6', 'route', 'del', 'fd00:6::/64', 'dev', 'ovl4100'],
    "a network's forwarding": ['ip', 'netns', 'exec', 'ovl-4100', 'sysctl', '-qw', 'net.ipv6.conf.all.forwarding=0'],
    "the host's forwarding": ['sysctl', '-qw', 'net.ipv6.conf.all.forwarding=0'],
    'IPv6 of a bridge': ['ip', 'netns', 'exec', 'ovl-4100', 'sysctl', '-qw', 'net.ipv6.conf.br0.disable_ipv6=1'],
    'the address of a container': ['ip', '-n', 'c1', 'address', 'del', 'fd00:6::2/64', 'dev', 'eth0'],
    'the default route of a container': ['ip', '-n', 'c1', '-6', 'route', 'del', 'default'],
    'IPv6 of a container': ['ip', 'netns', 'exec', 'c1', 'sysctl', '-qw', 'net.ipv6.conf.eth0.disable_ipv6=1'],
    'the interface of a container': ['ip', '-n', 'c1', 'link', 'del', 'eth0'],
  };

  it.each(Object.entries(drifts))('%s', async (_, argv) => {
    await a.quiet();
    const { repairs } = a.reconciler.status();
    await a.host.must(argv);
    await until('the repair', () => a.reconciler.status().repairs > repairs);
    await a.quiet();
    expect(await ping(a.host, 'c1', 'fd00:6::4')).toBe(true);
    expect(await ping(a.host, 'c1', OUTSIDE)).toBe(true);
  });

  it('an address of which somebody wants to know first whether it is free', async () => {
    await a.quiet();
    const inside = (...argv: string[]) => a.host.mustExec('c1', argv);
    await inside('sysctl', '-qw', 'net.ipv6.conf.eth0.dad_transmits=600');
    await inside('ip', 'address', 'del', 'fd00:6::2/64', 'dev', 'eth0');
    await inside('ip', 'address', 'add', 'fd00:6::2/64', 'dev', 'eth0').catch(() => '');
    // Its own may have come in between, and then both are the same one.
    await until('it to be in use', async () => (await inside('ip', '-6', 'address', 'show', 'tentative')) === '');
    await a.quiet();
    expect(await ping(a.host, 'c1', 'fd00:6::4')).toBe(true);
  });

  it('nothing, when all is well, and a new one that takes over loses no packet', async () => {
    await a.quiet();
    const pinging = a.host.exec('c1', ['ping', '-6', '-q', '-i', '0.01', '-c', '100', '-W', '1', 'fd00:6::4']);
    await a.restart();
    await a.reconciler.converge(six.id);
    await a.quiet();
    expect(a.reconciler.status().writes).toBe(0);
    expect((await pinging).stdout).toContain(' 0% packet loss');
  });
});
