/** What is forged as a member's: no way out of a host, and none in. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findFirewall, readPassage } from '../../../src/adapters/kernel/passage.ts';
import { systemClock } from '../../../src/adapters/system/time.ts';
import { FirewallWatch } from '../../../src/agent/host/firewall-watch.ts';
import type { NetworkRecord } from '../../../src/core/records.ts';
import type { Host } from '../../lab/host.ts';
import { INTERNET } from '../../lab/internet.ts';
import { Lab } from '../../lab/lab.ts';
import { until } from '../../lab/until.ts';
import { openKernel } from './kernel-host.ts';
import { Station } from './station.ts';

let lab: Lab;
let a: Station;
let b: Station;
let inner: NetworkRecord;

/** VXLAN's header for VNI 4098, and a frame from and to addresses of that network. */
const FORGED = [
  '\\x08\\x00\\x00\\x00\\x00\\x10\\x02\\x00',
  '\\x02\\x42\\x0a\\x00\\x02\\x03\\x02\\x42\\x0a\\x00\\x02\\x02\\x08\\x00',
  '\\x45\\x00\\x00\\x1c\\x00\\x00\\x00\\x00\\x40\\x11\\x00\\x00\\x0a\\x00\\x02\\x02\\x0a\\x00\\x02\\x03',
  '\\x00\\x07\\x00\\x07\\x00\\x08\\x00\\x00',
].join('');
/** Counts what arrives, before anything of ours looks at it. */
const COUNTERS = `table ip arrivals {
  counter forged { }
  counter marks { }
  chain prerouting {
    type filter hook prerouting priority -350; policy accept;
    udp dport { 4789, 4790 } counter name forged
    udp dport 9999 counter name marks
  }
}
`;
/** As Docker has it: a bridge of the host, whose containers are masqueraded. */
const BRIDGE = [
  'link add docker0 type bridge',
  'addr add 172.17.0.1/16 dev docker0',
  'link set docker0 up',
  'link add vb0 type veth peer name eth0 netns bridged',
  'link set vb0 master docker0 up',
];
const MASQUERADE = `table ip docker {
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    ip saddr 172.17.0.0/16 oifname != "docker0" masquerade
  }
}
`;

async function makeBridged(host: Host): Promise<void> {
  await host.container('bridged');
  await host.must(['ip', '-batch', '-'], { input: BRIDGE.join('\n') });
  const inside = ['addr add 172.17.0.2/16 dev eth0', 'link set eth0 up', 'route add default via 172.17.0.1'];
  await host.must(['ip', '-netns', 'bridged', '-batch', '-'], { input: inside.join('\n') });
  await host.must(['nft', '-f', '-'], { input: MASQUERADE });
  await host.must(['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
}

/** From now on what the container sends has that source. */
async function forgeSource(host: Host, container: string, source: string): Promise<void> {
  const table = `table ip forgery { chain c { type nat hook postrouting priority 100; snat to ${source}; }; }`;
  await host.mustExec(container, ['nft', '-f', '-'], { input: table });
}

function datagram(text: string, address: string, port: number): string[] {
  return ['bash', '-c', `env printf '${text}' > /dev/udp/${address}/${port}`];
}

async function count(host: Host, counter: string): Promise<number> {
  const text = await host.must(['nft', 'list', 'counter', 'ip', 'arrivals', counter]);
  return Number(/packets (\d+)/.exec(text)![1]);
}

/** How many of ten forged packets arrive at h2. What follows them on the same way tells when they are over. */
async function arrive(send: (argv: string[]) => Promise<unknown>, port = 4789): Promise<number> {
  const [forged, marks] = [await count(b.host, 'forged'), await count(b.host, 'marks')];
  for (let number = 0; number < 10; number++) await send(datagram(FORGED, b.host.address, port)).catch(() => undefined);
  await until('the mark', async () => {
    await send(datagram('mark', b.host.address, 9999));
    return (await count(b.host, 'marks')) > marks;
  });
  return (await count(b.host, 'forged')) - forged;
}

const fromContainer = (name: string) => (argv: string[]) => a.host.mustExec(name, argv);
const fromUser = (argv: string[]) =>
  a.host.must(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', ...argv]);

/** A whole pass over the station's host and network. */
async function settle(station: Station): Promise<void> {
  station.reconciler.markDirty('all');
  await station.reconciler.converge(inner.id);
}

async function received(station: Station): Promise<number> {
  const json = await station.host.must(['ip', '-n', 'ovl-4098', '-s', '-j', 'link', 'show', 'vx0']);
  return JSON.parse(json)[0].stats64.rx.packets;
}

/** Whether a TCP connection can be made. */
async function connects(host: Host, container: string | undefined, address: string, port: number): Promise<boolean> {
  const argv = ['timeout', '1', 'bash', '-c', `: < /dev/tcp/${address}/${port}`];
  return (await (container === undefined ? host.run(argv) : host.exec(container, argv))).code === 0;
}

const LISTENERS =
  'for (const port of [2377, 7946, 2379, 2380]) require("net").createServer().listen(port, "0.0.0.0", () => console.log(port))';

beforeAll(async () => {
  lab = await Lab.open({ hosts: 2 });
  a = new Station(lab.host(1), { store: { port: 2379, here: false } });
  b = new Station(lab.host(2), { store: { port: 2379, here: true } });
  for (const { world, host } of [a, b]) {
    world.addNode('h1', lab.host(1).address);
    world.addNode('h2', lab.host(2).address);
    world.addNode('h3', '10.77.0.3', { dataPathPort: 4790 });
    const web = world.addNetwork('web', { vni: 4096, cidr: '10.0.0.0/24', gateway: '10.0.0.1' });
    inner = world.addNetwork('inner', { vni: 4098, cidr: '10.0.2.0/24', gateway: '10.0.2.1', internal: true });
    await makeBridged(host);
    await host.container('web1');
    await host.container('inner1');
    const station = world === a.world ? a : b;
    station.start();
    await station.attach(web, world === a.world ? '10.0.0.2' : '10.0.0.3', 'web1');
    await station.attach(inner, world === a.world ? '10.0.2.2' : '10.0.2.3', 'inner1');
    await host.must(['nft', '-f', '-'], { input: COUNTERS });
    const listeners = host.spawn([process.execPath, '-e', LISTENERS]);
    await until('the listeners', async () => listeners.output.includes('2380'));
  }
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    for (const [id, record] of from.world.endpointRecords) to.world.endpointRecords.set(id, record);
    await settle(to);
  }
});

afterAll(async () => {
  await Promise.all([a?.stop(), b?.stop()]);
  await lab?.close();
});

describe('VXLAN that is not a member’s own', () => {
  it('is told from the kernel’s, which passes', async () => {
    expect((await a.host.exec('inner1', ['ping', '-q', '-c', '2', '-W', '1', '10.0.2.3'])).code).toBe(0);
    const options = ['-q', '-c', '2', '-W', '1', '-s', '4000'];
    expect((await a.host.exec('inner1', ['ping', ...options, '10.0.2.3'])).code).toBe(0);
  });

  it('does not leave the host of a container that has a way out', async () => {
    expect(await arrive(fromContainer('web1'))).toBe(0);
    expect(await arrive(fromContainer('web1'), 4790)).toBe(0);
  });

  it('does not leave the host of a container on another bridge', async () => {
    expect(await arrive(fromContainer('bridged'))).toBe(0);
  });

  it('does not leave the host of a namespace that is routed as it is', async () => {
    await a.host.container('routed');
    const links = [
      'link add vr0 type veth peer name eth0 netns routed',
      'addr add 172.18.0.1/24 dev vr0',
      'link set vr0 up',
    ];
    await a.host.must(['ip', '-batch', '-'], { input: links.join('\n') });
    const inside = ['addr add 172.18.0.2/24 dev eth0', 'link set eth0 up', 'route add default via 172.18.0.1'];
    await a.host.must(['ip', '-netns', 'routed', '-batch', '-'], { input: inside.join('\n') });
    expect(await arrive(fromContainer('routed'))).toBe(0);
  });

  it('does not leave the host of a user', async () => {
    expect(await arrive(fromUser)).toBe(0);
    expect(await arrive((argv) => a.host.must(argv))).toBe(0);
  });

  it('does not leave the host for a member that is not known yet', async () => {
    const node = a.world.nodeRecords.get('h2')!;
    a.world.nodeRecords.delete('h2');
    await settle(a);
    expect(await arrive(fromContainer('web1'))).toBe(0);
    expect(await arrive(fromContainer('bridged'))).toBe(0);
    expect(await arrive(fromUser)).toBe(0);
    a.world.nodeRecords.set('h2', node);
    await settle(a);
  });

  it('does not leave with another member’s address either', async () => {
    await forgeSource(a.host, 'bridged', '10.77.0.3');
    const forged = await count(b.host, 'forged');
    await fromContainer('bridged')(datagram(FORGED, b.host.address, 4789));
    await a.host.mustExec('bridged', ['nft', 'delete', 'table', 'ip', 'forgery']);
    expect(await arrive(fromContainer('bridged'))).toBe(0);
    expect(await count(b.host, 'forged')).toBe(forged);
  });

  it('does not come in from a container of the host itself', async () => {
    await forgeSource(b.host, 'bridged', a.host.address);
    const [packets, forged] = [await received(b), await count(b.host, 'forged')];
    await b.host.mustExec('bridged', datagram(FORGED, b.host.address, 4789));
    await until('it to arrive', async () => (await count(b.host, 'forged')) > forged);
    expect(await received(b)).toBe(packets);
    await b.host.mustExec('bridged', ['nft', 'delete', 'table', 'ip', 'forgery']);
  });

  it('does not come in at another address of the host', async () => {
    await b.host.must(['ip', 'address', 'add', '10.77.0.102/24', 'dev', 'eth0']);
    await a.stop();
    await a.host.must(['nft', 'delete', 'table', 'inet', 'overlayd']);
    const [packets, forged] = [await received(b), await count(b.host, 'forged')];
    // Without its guard, what h1 sends to the tunnel end does come in: the packets are good ones.
    await a.host.must(datagram(FORGED, '10.77.0.102', 4789));
    await until('it to arrive', async () => (await count(b.host, 'forged')) > forged);
    expect(await received(b)).toBe(packets);
    expect(await arrive(fromContainer('bridged'))).toBe(10);
    expect(await received(b)).toBe(packets + 10);
    await a.restart();
    await settle(a);
  });
});

describe('another firewall of the host', () => {
  const drop = (chain: string, ...match: string[]) => ['iptables', '-I', chain, ...match, '-j', 'DROP'];
  const watch = () => {
    const { exec, thread } = openKernel(b.host);
    const logger = { warn: () => undefined, info: () => undefined, debug: () => undefined };
    const passage = () => readPassage(thread);
    return new FirewallWatch({
      passage,
      firewall: () => findFirewall({ thread, run: exec.run, net: `/proc/${b.host.pid}/net` }),
      port: 4789,
      nameOf: () => undefined,
      clock: systemClock,
      logger,
    });
  };
  const ping = (host: Host, container: string, address: string) =>
    host.exec(container, ['ping', '-q', '-c', '6', '-i', '0.05', '-W', '1', address]);

  it('is seen when it drops VXLAN from members, and named with what mends it', async () => {
    const firewall = watch();
    await firewall.look();
    await ping(a.host, 'inner1', '10.0.2.3');
    await firewall.look();
    expect(firewall.findings.map(({ text }) => text)).toEqual([]);
    await b.host.must(['iptables', '-N', 'ufw-before-input']);
    await b.host.must(drop('INPUT', '-p', 'udp', '--dport', '4789'));
    await ping(a.host, 'inner1', '10.0.2.3');
    await firewall.look();
    expect(firewall.findings.map(({ text }) => text)).toEqual([expect.stringContaining('`ufw allow 4789/udp`')]);
    await b.host.must(['iptables', '-F', 'INPUT']);
    await b.host.must(['iptables', '-X', 'ufw-before-input']);
    await ping(a.host, 'inner1', '10.0.2.3');
    await firewall.look();
    expect(firewall.findings.map(({ text }) => text)).toEqual([]);
  });

  it('is seen when it drops what containers send out, though it has the last word', async () => {
    const firewall = watch();
    await ping(b.host, 'web1', INTERNET);
    await firewall.look();
    const table = `table inet firewalld {
      chain filter_FORWARD { type filter hook forward priority 10; policy accept; iifname "ovl*" drop; }
    }`;
    await b.host.must(['nft', '-f', '-'], { input: table.replace('drop; }', 'drop\n}') });
    await ping(b.host, 'web1', INTERNET);
    await firewall.look();
    expect(firewall.findings.map(({ text }) => text)).toEqual([
      expect.stringContaining('--zone=trusted --add-interface=ovl+'),
    ]);
    await b.host.must(['nft', 'delete', 'table', 'inet', 'firewalld']);
    await ping(b.host, 'web1', INTERNET);
    await firewall.look();
    expect(firewall.findings.map(({ text }) => text)).toEqual([]);
  });

  it('is seen when it is of iptables-legacy, which nft does not show', async () => {
    const firewall = watch();
    await ping(b.host, 'web1', INTERNET);
    await firewall.look();
    const change = (how: string) => b.host.must(['iptables-legacy', how, 'FORWARD', '-i', 'ovl+', '-j', 'DROP']);
    await change('-A');
    await ping(b.host, 'web1', INTERNET);
    await firewall.look();
    expect(firewall.findings.map(({ text }) => text)).toEqual([expect.stringContaining('`iptables-legacy -I FORWARD')]);
    await change('-D');
    await ping(b.host, 'web1', INTERNET);
    await firewall.look();
    expect(firewall.findings.map(({ text }) => text)).toEqual([]);
  });
});

describe('the control ports', () => {
  const ports = [2377, 7946, 2379];
  const reached = (host: Host, container: string | undefined, address: string, asked = ports) =>
    Promise.all(asked.map((port) => connects(host, container, address, port)));
  /** How long a connection takes is the machine's affair. */
  const untilReached = (host: Host, address: string, asked = ports) =>
    until(`${asked.join()} of ${address} to be reached from ${host.name}`, async () => {
      const taken = await Promise.all(asked.map((port) => connects(host, undefined, address, port)));
      return !taken.includes(false);
    });

  it('are for members', async () => {
    await untilReached(a.host, b.host.address);
    await untilReached(b.host, b.host.address);
    await untilReached(b.host, '127.0.0.1');
  });

  it.each(['web1', 'bridged'])('are not for %s, a container, on its own host and on others', async (container) => {
    expect(await reached(b.host, container, b.host.address)).toEqual([false, false, false]);
    expect(await reached(a.host, container, b.host.address)).toEqual([false, false, false]);
    expect(await reached(b.host, container, '172.17.0.1')).toEqual([false, false, false]);
    // What else members offer stays in reach.
    const echo = await a.host.exec(container, ['ping', '-q', '-c', '1', '-W', '1', b.host.address]);
    expect(echo.code).toBe(0);
  });

  it('are not for a container at another address of the host', async () => {
    const other = '10.77.0.103';
    await b.host.must(['ip', 'address', 'add', `${other}/24`, 'dev', 'eth0']);
    // Its host sends it with its own address, which is a member's.
    expect(await reached(a.host, 'bridged', other)).toEqual([false, false, false]);
    const echo = await a.host.exec('bridged', ['ping', '-q', '-c', '1', '-W', '1', other]);
    expect(echo.code).toBe(0);
  });

  it('are for a member whose own connections its host translates', async () => {
    const table = `table ip translated {
      chain postrouting { type nat hook postrouting priority 90; policy accept; oifname "eth0" masquerade fully-random; }
    }`;
    await a.host.must(['nft', '-f', '-'], { input: table });
    await untilReached(a.host, b.host.address);
    expect(await reached(a.host, 'bridged', b.host.address)).toEqual([false, false, false]);
    await a.host.must(['nft', 'delete', 'table', 'ip', 'translated']);
  });

  it('are not for strangers, but to join', async () => {
    const stranger = await lab.addHost('stranger', 99);
    expect(await connects(stranger, undefined, b.host.address, 7946)).toBe(false);
    expect(await connects(stranger, undefined, b.host.address, 2379)).toBe(false);
    await untilReached(stranger, b.host.address, [2377]);
    // Who called there may be a member by now, of which this host has not heard.
    await untilReached(stranger, b.host.address, [7946]);
    b.world.addNode('h9', stranger.address);
    await settle(b);
    await b.host.must(['nft', 'flush', 'set', 'inet', 'overlayd', 'callers']);
    await untilReached(stranger, b.host.address);
  });

  it('of etcd’s members among themselves are for hosts that keep the store', async () => {
    expect(await connects(a.host, undefined, b.host.address, 2380)).toBe(false);
    expect(await connects(b.host, undefined, b.host.address, 2380)).toBe(true);
    const node = b.world.nodeRecords.get('h1')!;
    b.world.nodeRecords.set('h1', { ...node, holdsStore: true });
    await settle(b);
    await untilReached(a.host, b.host.address, [2380]);
    expect(await reached(a.host, 'bridged', b.host.address, [2380])).toEqual([false]);
    b.world.nodeRecords.set('h1', node);
    await settle(b);
    expect(await connects(a.host, undefined, b.host.address, 2380)).toBe(false);
  });

  it('stay as they are while the view is not whole', async () => {
    await b.host.must(['nft', 'flush', 'set', 'inet', 'overlayd', 'callers']);
    const loner = await lab.addHost('loner', 98);
    b.world.isWhole = false;
    await settle(b);
    expect(await connects(loner, undefined, b.host.address, 7946)).toBe(false);
    await b.host.must(['nft', 'delete', 'table', 'inet', 'overlayd']);
    await settle(b);
    await untilReached(loner, b.host.address, [7946]);
    b.world.isWhole = true;
    await settle(b);
    expect(await connects(loner, undefined, b.host.address, 7946)).toBe(false);
  });
});
