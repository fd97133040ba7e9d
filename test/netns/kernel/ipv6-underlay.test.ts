/** The data path over an underlay of IPv6, with networks of both families on it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NetworkRecord } from '../../../src/core/records.ts';
import type { Host } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { until } from '../../lab/until.ts';
import { Station } from './station.ts';

let lab: Lab;
let a: Station;
let b: Station;
let web: NetworkRecord;
let six: NetworkRecord;
const VTEPS = ['2001:db8:77::1', '2001:db8:77::2', '2001:db8:77::99'] as const;

async function addAddress(host: Host, address: string): Promise<void> {
  const link = /\d+: (\S+) +inet 10\.77\./.exec(await host.must(['ip', '-o', '-4', 'address', 'show']))![1]!;
  await host.must(['ip', 'address', 'add', `${address}/64`, 'dev', link, 'nodad']);
}

async function ping(host: Host, container: string, address: string, ...options: string[]): Promise<boolean> {
  return (await host.exec(container, ['ping', '-q', '-c', '1', '-W', '1', ...options, address])).code === 0;
}

function publish(from: Station, to: Station): void {
  for (const [id, record] of from.world.endpointRecords)
    if (record.nodeId === from.world.selfId) to.world.endpointRecords.set(id, record);
  to.reconciler.markDirty('all');
}

/** Perl: so many datagrams from one address to another's data port. */
const SEND = `
  use Socket qw(:all);
  my ($count, $from, $to) = @ARGV;
  my $at = sub { pack_sockaddr_in6($_[1], inet_pton(AF_INET6, $_[0])) };
  socket my $socket, AF_INET6, SOCK_DGRAM, 0 or die $!;
  bind $socket, $at->($from, 0) or die $!;
  for (1 .. $count) { send $socket, 'x', 0, $at->($to, 4789) }
`;

beforeAll(async () => {
  lab = await Lab.open({ hosts: 2 });
  a = new Station(lab.host(1), { store: { port: 2379, here: false } });
  b = new Station(lab.host(2), { store: { port: 2379, here: true } });
  for (const [at, { world, host }] of [a, b].entries()) {
    await addAddress(host, VTEPS[at]!);
    world.addNode('h1', VTEPS[0]);
    world.addNode('h2', VTEPS[1]);
    web = world.addNetwork('web', { vni: 4096, cidr: '10.0.0.0/24', gateway: '10.0.0.1' });
    six = world.addNetwork('six', { vni: 4100, cidr: 'fd00:6::/64', gateway: 'fd00:6::1' });
  }
  a.start();
  b.start();
  for (const [{ host }, names] of [
    [a, ['web1', 'six1']],
    [b, ['web2', 'six2']],
  ] as const)
    for (const name of names) await host.container(name);
  await a.attach(web, '10.0.0.2', 'web1');
  await a.attach(six, 'fd00:6::2', 'six1');
  await b.attach(web, '10.0.0.3', 'web2');
  await b.attach(six, 'fd00:6::3', 'six2');
  publish(a, b);
  publish(b, a);
  await Promise.all([a, b].flatMap(({ reconciler }) => [web, six].map(({ id }) => reconciler.converge(id))));
});

afterAll(async () => {
  await Promise.all([a?.stop(), b?.stop()]);
  await lab?.close();
});

const counted = async (name: string): Promise<number> =>
  Number(/packets (\d+)/.exec(await b.host.must(['nft', 'list', 'counter', 'inet', 'wire', name]))![1]);

it('containers of both families reach each other, in packets of IPv6 alone', async () => {
  const table = `table inet wire {
    counter four {}
    counter six {}
    chain input {
      type filter hook input priority -400;
      udp dport 4789 meta nfproto ipv4 counter name four
      udp dport 4789 meta nfproto ipv6 counter name six
    }
  }`;
  await b.host.must(['nft', '-f', '-'], { input: table });
  expect(await ping(a.host, 'web1', '10.0.0.3')).toBe(true);
  expect(await ping(a.host, 'six1', 'fd00:6::3')).toBe(true);
  expect([await counted('four'), await counted('six')]).toEqual([0, 2]);
  expect(await b.host.must(['cat', '/proc/net/nf_conntrack'])).not.toContain('dport=4789');
});

it('what fits into a packet is less by the larger header', async () => {
  const most = ['-M', 'do', '-s'];
  expect(await ping(a.host, 'web1', '10.0.0.3', ...most, '1402')).toBe(true);
  expect(await ping(a.host, 'web1', '10.0.0.3', ...most, '1403')).toBe(false);
  expect(await ping(a.host, 'six1', 'fd00:6::3', ...most, '1382')).toBe(true);
  expect(await ping(a.host, 'six1', 'fd00:6::3', ...most, '1383')).toBe(false);
});

describe('who reaches the data port', () => {
  const admitted = async () => {
    const chain = await b.host.must(['nft', 'list', 'chain', 'inet', 'overlayd', 'admitted']);
    return Number(/counter packets (\d+)/.exec(chain)![1]);
  };
  const dropped = async () => {
    const chain = await b.host.must(['nft', 'list', 'chain', 'inet', 'overlayd', 'input']);
    return Number(/counter packets (\d+) bytes \d+ drop/.exec(chain)![1]);
  };

  it('not a host that is no member', async () => {
    const stranger = await lab.addHost('stranger', 99);
    await addAddress(stranger, VTEPS[2]);
    const [before, passed] = [await dropped(), await admitted()];
    await stranger.must(['perl', '-e', SEND, '3', VTEPS[2], VTEPS[1]]);
    await until('them to arrive', async () => (await dropped()) === before + 3);
    expect(await admitted()).toBe(passed);
  });

  it("not a process of a member's, in its host's name", async () => {
    const before = await counted('six');
    await a.host.run(['perl', '-e', SEND, '3', VTEPS[0], VTEPS[1]]);
    // What comes after it has arrived, and nothing else.
    expect(await ping(a.host, 'six1', 'fd00:6::3')).toBe(true);
    expect(await counted('six')).toBe(before + 1);
  });
});

describe('who reaches the control ports', () => {
  const listen = `
    for (const port of [2377, 7946, 2379]) require("net").createServer().listen(port, "::", () => console.log(port))
  `;
  const PORTS = [2377, 7946, 2379];
  const CONNECT = ['timeout', '1', 'perl', '-MIO::Socket::IP', '-e'];
  const attempt = (address: string, port: number) => [
    ...CONNECT,
    'IO::Socket::IP->new(PeerHost => $ARGV[0], PeerPort => $ARGV[1]) or exit 1',
    address,
    String(port),
  ];
  const reaching = async (run: (argv: string[]) => Promise<{ readonly code: number }>, address: string) => {
    const codes = await Promise.all(PORTS.map(async (port) => (await run(attempt(address, port))).code));
    return PORTS.filter((_, at) => codes[at] === 0);
  };
  const inside = (argv: string[]) => a.host.exec('six1', argv);

  beforeAll(async () => {
    for (const { host } of [a, b]) {
      const listeners = host.spawn([process.execPath, '-e', listen]);
      await until('the listeners', async () => listeners.output.includes('2379'));
    }
  });

  it('members do', async () => {
    expect(await reaching((argv) => a.host.run(argv), VTEPS[1])).toEqual(PORTS);
    expect(await reaching((argv) => b.host.run(argv), '::1')).toEqual(PORTS);
  });

  it('containers do not, of their own host or of another member', async () => {
    expect((await inside(['ping', '-q', '-c', '1', '-W', '1', VTEPS[1]])).code).toBe(0);
    expect(await reaching(inside, VTEPS[1])).toEqual([]);
    expect((await inside(['ping', '-q', '-c', '1', '-W', '1', VTEPS[0]])).code).toBe(0);
    // The cluster's etcd is on the other one: here the port is somebody's, as any.
    expect(await reaching(inside, VTEPS[0])).toEqual([2379]);
  });

  it('nor do they reach a data port', async () => {
    const before = await counted('six');
    await inside(['perl', '-e', SEND, '3', 'fd00:6::2', VTEPS[1]]);
    expect(await ping(a.host, 'six1', 'fd00:6::3')).toBe(true);
    expect(await counted('six')).toBe(before + 1);
  });

  it('a stranger does, when he has called the join port', async () => {
    const stranger = await lab.addHost('caller', 98);
    await addAddress(stranger, '2001:db8:77::98');
    const call = async (port: number) => (await stranger.run(attempt(VTEPS[1], port))).code === 0;
    expect(await call(7946)).toBe(false);
    expect(await call(2377)).toBe(true);
    expect(await call(7946)).toBe(true);
  });
});

it('a new one that takes over finds nothing to do', async () => {
  await a.quiet();
  await a.restart();
  await a.reconciler.converge(web.id);
  await a.quiet();
  expect(a.reconciler.status().writes).toBe(0);
});
