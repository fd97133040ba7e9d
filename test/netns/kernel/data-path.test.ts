/** Packets: what reaches whom over the data path that the reconciler makes, and what does not. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LocalEndpoint } from '../../../src/core/container.ts';
import type { NetworkRecord } from '../../../src/core/records.ts';
import { firstAddress } from '../../../src/core/records.ts';
import { SEND_FRAMES } from '../../lab/frames.ts';
import type { Host } from '../../lab/host.ts';
import { INTERNET } from '../../lab/internet.ts';
import { Lab } from '../../lab/lab.ts';
import { until } from '../../lab/until.ts';
import { Station } from './station.ts';

let lab: Lab;
let a: Station;
let b: Station;
let web: NetworkRecord;
let api: NetworkRecord;
let inner: NetworkRecord;

/** What the members of a cluster learn of each other. */
function publish(from: Station, to: Station): void {
  for (const [id, record] of from.world.endpointRecords) {
    if (record.nodeId === from.world.selfId) to.world.endpointRecords.set(id, record);
  }
  to.reconciler.markDirty('all');
}

/** Perl: sends a datagram from an address and port to another one. */
const SEND_DATAGRAM = `
  use IO::Socket::INET;
  my ($from, $to) = @ARGV;
  IO::Socket::INET->new(Proto => 'udp', LocalAddr => $from, PeerAddr => $to)->send('x') or die $!;
`;

async function ping(host: Host, container: string, address: string, ...options: string[]): Promise<boolean> {
  const outcome = await host.exec(container, ['ping', '-q', '-c', '1', '-W', '1', ...options, address]);
  return outcome.code === 0;
}

beforeAll(async () => {
  lab = await Lab.open({ hosts: 2 });
  a = new Station(lab.host(1));
  b = new Station(lab.host(2));
  for (const { world } of [a, b]) {
    world.addNode('h1', lab.host(1).address);
    world.addNode('h2', lab.host(2).address);
    web = world.addNetwork('web', { vni: 4096, cidr: '10.0.0.0/24', gateway: '10.0.0.1' });
    api = world.addNetwork('api', { vni: 4097, cidr: '10.0.1.0/24', gateway: '10.0.1.1' });
    inner = world.addNetwork('inner', { vni: 4098, cidr: '10.0.2.0/24', gateway: '10.0.2.1', internal: true });
  }
  a.start();
  b.start();
  for (const name of ['web1', 'web2', 'api1', 'inner1']) await a.host.container(name);
  for (const name of ['web3', 'api2', 'inner2']) await b.host.container(name);
  await a.attach(web, '10.0.0.2', 'web1');
  await a.attach(web, '10.0.0.3', 'web2');
  await a.attach(api, '10.0.1.2', 'api1');
  await a.attach(inner, '10.0.2.2', 'inner1');
  await b.attach(web, '10.0.0.4', 'web3');
  await b.attach(api, '10.0.1.3', 'api2');
  await b.attach(inner, '10.0.2.3', 'inner2');
  publish(a, b);
  publish(b, a);
  await Promise.all([a, b].map(({ reconciler }) => reconciler.converge(web.id)));
});

afterAll(async () => {
  await Promise.all([a?.stop(), b?.stop()]);
  await lab?.close();
});

describe('between containers', () => {
  it('of a network, on one host and across hosts, everything passes', async () => {
    expect(await ping(a.host, 'web1', '10.0.0.3')).toBe(true);
    expect(await ping(a.host, 'web1', '10.0.0.4')).toBe(true);
    expect(await ping(b.host, 'inner2', '10.0.2.2')).toBe(true);
    expect(await ping(a.host, 'web1', '10.0.0.4', '-M', 'do', '-s', '1422')).toBe(true);
    expect(await ping(a.host, 'web1', '10.0.0.1')).toBe(true);
  });

  it('of different networks, nothing passes', async () => {
    expect(await ping(a.host, 'web1', '10.0.1.2')).toBe(false);
    expect(await ping(a.host, 'web1', '10.0.1.3')).toBe(false);
    expect(await ping(a.host, 'api1', '10.0.2.2')).toBe(false);
  });
});

describe('a container', () => {
  it('cannot speak as another address', async () => {
    await a.host.mustExec('web2', ['ip', 'address', 'add', '10.0.0.77/24', 'dev', 'eth0']);
    const neighbours = () => a.host.mustExec('web1', ['ip', 'neigh', 'show', '10.0.0.77']);
    expect(await ping(a.host, 'web2', '10.0.0.2', '-I', '10.0.0.77')).toBe(false);
    expect(await ping(a.host, 'web2', '10.0.0.4', '-I', '10.0.0.77')).toBe(false);
    // Nor does anybody believe its announcements.
    await a.host.exec('web2', ['ping', '-q', '-c', '1', '-W', '1', '-I', '10.0.0.77', '10.0.0.2']);
    expect(await neighbours()).not.toContain('lladdr');
    await a.host.mustExec('web2', ['ip', 'address', 'delete', '10.0.0.77/24', 'dev', 'eth0']);
    await until('its own address to be used again', () => ping(a.host, 'web2', '10.0.0.4'));
  });

  it('cannot speak as another MAC', async () => {
    const observed = a.reconciler.status().repairs;
    await a.host.mustExec('web2', ['ip', 'link', 'set', 'eth0', 'address', '02:42:0a:00:00:63']);
    const passed = await ping(a.host, 'web2', '10.0.0.4');
    // Unless the audit was quicker and had put the MAC right.
    if (passed) expect(a.reconciler.status().repairs).toBeGreaterThan(observed);
    await until('the MAC to be put right', () => ping(a.host, 'web2', '10.0.0.4'));
  });

  it('sends nothing but IPv4 and ARP as they are: no VLAN tag, whatever follows it', async () => {
    const counter = `table netdev frames {
      chain ingress {
        type filter hook ingress device eth0 priority 0;
        ether saddr 02:42:0a:00:00:03 counter
      }
    }`;
    await a.host.mustExec('web1', ['nft', '-f', '-'], { input: counter });
    const arrived = async () =>
      Number(/packets (\d+)/.exec(await a.host.mustExec('web1', ['nft', 'list', 'table', 'netdev', 'frames']))![1]);
    const macs = '02420a00000202420a000003';
    const packet = '08004500001c0000000040110000' + '0a0000030a000002' + '0007000700080000';
    const tagged = ['81000005', '88a80005', '88a8000581000006', '9100000581000006', '86dd', '88cc', '8863'];
    const frames = [...tagged.map((tag) => macs + tag + packet), macs + packet];
    await a.host.mustExec('web2', ['perl', '-e', SEND_FRAMES, 'eth0', ...frames]);
    await until('the last one', async () => (await arrived()) > 0);
    expect(await arrived()).toBe(1);
  });

  it('is not configured by router advertisements, and sends nothing but IPv4', async () => {
    expect(await a.host.mustExec('web1', ['ip', '-6', 'address', 'show', 'dev', 'eth0'])).toBe('');
    await a.host.mustExec('web2', ['ip', 'address', 'add', 'fd00::2/64', 'dev', 'eth0', 'nodad']);
    await a.host.mustExec('web1', ['ip', 'address', 'add', 'fd00::1/64', 'dev', 'eth0', 'nodad']);
    expect(await ping(a.host, 'web2', 'fd00::1')).toBe(false);
    await a.host.mustExec('web1', ['ip', 'address', 'delete', 'fd00::1/64', 'dev', 'eth0']);
    await a.host.mustExec('web2', ['ip', 'address', 'delete', 'fd00::2/64', 'dev', 'eth0']);
  });
});

describe('a port where nobody listens', () => {
  it('is told to be closed each time that it is asked', async () => {
    const ask = `
      use IO::Socket::INET;
      my $refused = 0;
      for (1 .. 40) {
        my $socket = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '10.0.0.1', PeerPort => 53) or die $!;
        $socket->send('x');
        my $ready = ''; vec($ready, fileno $socket, 1) = 1;
        select $ready, undef, undef, 2;
        $refused++ if !defined $socket->recv(my $answer, 9) && $!{ECONNREFUSED};
      }
      print $refused;
    `;
    expect(await a.host.mustExec('web1', ['timeout', '100', 'perl', '-e', ask])).toBe('40');
  });
});

describe('from and to the outside', () => {
  it('a container reaches it masqueraded, one of an internal network does not', async () => {
    expect(await ping(a.host, 'web1', INTERNET)).toBe(true);
    expect(await ping(a.host, 'inner1', INTERNET)).toBe(false);
  });

  it('answers to the former owner of an address do not reach the next one', async () => {
    const datagram = (from: string, to: string) => ['perl', '-e', SEND_DATAGRAM, from, to];
    const question = datagram('10.0.0.30:5000', `${INTERNET}:7000`);
    const answer = () => lab.internet.must(datagram(`${INTERNET}:7000`, `${a.host.address}:5000`));
    const counter = `table ip answers { chain c { type filter hook input priority -400; udp sport 7000 counter; }; }`;
    const counted = async (name: string) =>
      Number(/packets (\d+)/.exec(await a.host.mustExec(name, ['nft', 'list', 'table', 'ip', 'answers']))![1]);
    const attach = async (name: string) => {
      await a.host.container(name);
      await a.host.mustExec(name, ['nft', '-f', '-'], { input: counter });
      return a.attach(web, '10.0.0.30', name);
    };
    const release = async ({ record }: LocalEndpoint) => {
      a.world.remove(record.id);
      await a.reconciler.converge(web.id);
    };
    const first = await attach('first');
    await a.host.mustExec('first', question);
    await until('an answer', async () => {
      await answer();
      return (await counted('first')) > 0;
    });
    await release(first);
    const flows = () => a.host.must(['cat', '/proc/net/nf_conntrack']);
    // The release does not wait for that.
    await until('its connections to be forgotten', async () => !(await flows()).includes('src=10.0.0.30 '));

    // An entry that comes in between, by whatever way, does not outlast the next owner's coming either.
    const second = await attach('second');
    await a.host.mustExec('second', question);
    expect(await flows()).toContain('src=10.0.0.30 ');
    await a.host.must(['ip', '-n', 'second', 'link', 'del', 'eth0']);
    await until('its port to be made again', () => ping(a.host, 'second', '10.0.0.1'));
    // The container may be a step ahead of whoever has it made.
    await a.reconciler.converge(web.id);
    expect(await flows()).not.toContain('src=10.0.0.30 dst=198.51.100.1 sport=5000');
    await release(second);

    await attach('third');
    await answer();
    expect(await ping(a.host, 'third', INTERNET)).toBe(true);
    expect(await counted('third')).toBe(0);
  });

  it('nobody reaches a container who was not asked', async () => {
    await lab.internet.must(['ip', 'route', 'add', '10.0.0.0/24', 'via', a.host.address]);
    expect((await lab.internet.run(['ping', '-q', '-c', '1', '-W', '1', '10.0.0.2'])).code).not.toBe(0);
    await lab.internet.must(['ip', 'route', 'delete', '10.0.0.0/24']);
    expect((await a.host.run(['ping', '-q', '-c', '1', '-W', '1', '10.0.0.2'])).code).toBe(0);
  });

  it('VXLAN of a host that is no member is dropped', async () => {
    const stranger = await lab.addHost('stranger', 99);
    await stranger.must(['ip', '-batch', '-'], {
      input: [
        `link add name vx0 type vxlan id 4096 local ${stranger.address} dstport 4789 nolearning`,
        'link set dev vx0 address 02:42:0a:00:00:63 up',
        'address add 10.0.0.99/24 dev vx0',
        'neigh replace 10.0.0.2 lladdr 02:42:0a:00:00:02 dev vx0 nud permanent',
      ].join('\n'),
    });
    await stranger.must(['bridge', 'fdb', 'append', '02:42:0a:00:00:02', 'dev', 'vx0', 'dst', a.host.address]);
    const dropped = async () => {
      const chain = await a.host.must(['nft', 'list', 'chain', 'inet', 'overlayd', 'input']);
      return Number(/counter packets (\d+) bytes \d+ drop/.exec(chain)![1]);
    };
    const before = await dropped();
    const received = async () =>
      JSON.parse(await a.host.must(['ip', '-n', 'ovl-4096', '-s', '-j', 'link', 'show', 'vx0']))[0].stats64.rx.packets;
    const packets = await received();
    expect((await stranger.run(['ping', '-q', '-c', '1', '-W', '1', '10.0.0.2'])).code).not.toBe(0);
    expect(await dropped()).toBeGreaterThan(before);
    expect(await received()).toBe(packets);
  });
});

describe('the reconciler', () => {
  const drifts: Record<string, readonly string[]> = {
    'an FDB row': [
      'bridge',
      '-n',
      'ovl-4096',
      'fdb',
      'del',
      '02:42:0a:00:00:04',
      'dev',
      'vx0',
      'dst',
      '10.77.0.2',
      'self',
    ],
    'a neighbour row': ['ip', '-n', 'ovl-4096', 'neigh', 'del', '10.0.0.4', 'dev', 'vx0'],
    "a port's place in the bridge": ['ip', '-n', 'ovl-4096', 'link', 'set', 'PORT', 'nomaster'],
    'the filter of the host': ['nft', 'flush', 'ruleset'],
    'the filter of a network': ['nsenter', '--net=/run/netns/ovl-4096', 'nft', 'flush', 'ruleset'],
    'the route into a network': ['ip', 'route', 'del', '10.0.0.0/24'],
    'the default route of a container': ['ip', '-n', 'web1', 'route', 'del', 'default'],
    'the interface of a container': ['ip', '-n', 'web1', 'link', 'del', 'eth0'],
    'the forwarding of the host': ['sysctl', '-q', '-w', 'net.ipv4.ip_forward=0'],
  };

  it.each(Object.entries(drifts))('restores %s', async (_, argv) => {
    const port = [...a.world.local.values()].find(({ record }) => firstAddress(record) === '10.0.0.2')!;
    await a.quiet();
    const { repairs } = a.reconciler.status();
    await a.host.must(argv.map((word) => (word === 'PORT' ? `e${port.record.id.slice(0, 12)}` : word)));
    await until('the repair', () => a.reconciler.status().repairs > repairs);
    expect(await ping(a.host, 'web1', '10.0.0.4')).toBe(true);
    expect(await ping(a.host, 'web1', INTERNET)).toBe(true);
  });

  it("restores a network's filter as often as it goes", async () => {
    await a.quiet();
    const namespace = ['nsenter', '--net=/run/netns/ovl-4096', 'nft'];
    const isThere = async () => (await a.host.run([...namespace, 'list', 'table', 'bridge', 'overlayd'])).code === 0;
    for (let round = 0; round < 4; round++) {
      await a.host.must([...namespace, 'flush', 'ruleset']);
      await until('the filter to be back', isThere);
    }
    expect(await ping(a.host, 'web1', '10.0.0.4')).toBe(true);
  });

  it('writes nothing when all is well, and loses no packet while a new one takes over', async () => {
    await a.quiet();
    const pinging = a.host.exec('web1', ['ping', '-q', '-i', '0.01', '-c', '150', '-W', '1', '10.0.0.4']);
    await a.restart();
    await a.reconciler.converge(web.id);
    await a.restart();
    await a.reconciler.converge(web.id);
    await a.quiet();
    expect(a.reconciler.status().writes).toBe(0);
    expect((await pinging).stdout).toContain(' 0% packet loss');
  });

  it('tells of a container that ended, and takes its port apart', async () => {
    await a.host.container('short');
    const endpoint = await a.attach(web, '10.0.0.20', 'short');
    await a.host.deleteContainer('short');
    await until('it to be told', () => a.gone.some(({ record }) => record.id === endpoint.record.id));
    await a.reconciler.converge(web.id);
    expect(await a.host.must(['ip', '-n', 'ovl-4096', 'neigh', 'show', '10.0.0.20', 'dev', 'vx0'])).toBe('');
  });

  it('removes a network with its last endpoint, and leaves nothing of it', async () => {
    for (const { record } of [...a.world.local.values()]) if (record.networkId === api.id) a.world.remove(record.id);
    await a.reconciler.converge(api.id);
    expect(await a.host.must(['ip', 'netns', 'list'])).not.toContain('ovl-4097');
    expect(await a.host.must(['ip', 'link', 'show'])).not.toContain('ovl4097');
    expect(await a.host.must(['ip', 'route', 'show'])).not.toContain('10.0.1.0/24');
    expect(await a.host.must(['ip', '-n', 'api1', 'link', 'show'])).not.toContain('eth0');
    expect(await ping(a.host, 'web1', '10.0.0.4')).toBe(true);
  });
});
