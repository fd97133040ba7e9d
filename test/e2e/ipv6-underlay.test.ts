/** A cluster whose hosts have addresses of IPv6 alone. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { formCluster, joinArguments, untilFlawless, untilMade, untilReady } from '../lab/cluster.ts';
import { EtcdServer } from '../lab/etcd.ts';
import type { Host } from '../lab/host.ts';
import { hear, say } from '../lab/multicast.ts';
import { attach, resolve, untilReaches } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({ hosts: 4, family: 6, prepare: (made) => formCluster(made.hosts.slice(0, 3)) });
const members = () => lab().hosts.slice(0, 3);
const problemsOf = async (host: Host) => (await host.json('status')).Problems.join('; ') as string;
const shownAddress = async (host: Host, name: string) => (await host.json('node', 'inspect', name))[0].AdvertiseAddress;

/** Every container reaches every other one by name. */
async function allReach(): Promise<void> {
  for (const from of [1, 2, 3]) {
    for (const to of [1, 2, 3].filter((number) => number !== from)) {
      await untilReaches(lab().host(from), `c${from}`, `n${to}`);
    }
  }
}

async function changeAddress(host: Host, from: string, to: string): Promise<void> {
  const lines = [
    `address delete ${from}/64 dev eth0`,
    `address add ${to}/64 dev eth0 nodad`,
    'route replace default via 2001:db8:77::254',
  ];
  await host.must(['ip', '-6', '-batch', '-'], { input: lines.join('\n') });
}

describe('members that have addresses of IPv6 alone', () => {
  test('are listed with them, and the line for the next one is as it has to be typed', async () => {
    const [one, two] = [lab().host(1), lab().host(2)];
    await until('h2 to keep the store, so that it lets others in', async () => {
      return (await two.json('node', 'inspect', 'h2'))[0].HoldsStore;
    });
    expect(await two.mustOverlayd('token', 'create')).toMatch(/ \[2001:db8:77::2\]:2377$/m);
    expect(await two.mustOverlayd('node', 'ls')).toMatch(/h3 .*2001:db8:77::3/);
    const status = await two.json('status');
    for (const url of status.Store.Endpoints) expect(url).toMatch(/^https:\/\/\[2001:db8:77::\d\]:2379$/);
    expect(status.Peers.map(({ Address }: { Address: string }) => Address)).toContain('[2001:db8:77::3]:7946');
    await untilFlawless(two);
    expect(await one.must(['ss', '-Hltn'])).toMatch(/(\*|\[::\]):7946/);
  });

  test('carry a network of IPv4: names and packets both ways, with what the larger header leaves', async () => {
    await lab().host(1).mustOverlayd('network', 'create', 'web');
    for (const number of [1, 2, 3]) await attach(lab().host(number), `c${number}`, 'web', '--name', `n${number}`);
    await allReach();
    const two = lab().host(2);
    expect(await two.must(['ip', '-n', 'ovl-4096', '-d', 'link', 'show', 'vx0'])).toMatch(
      /mtu 1430 [\s\S]*local 2001:db8:77::2 /,
    );
    const most = (bytes: number) =>
      two.exec('c2', ['ping', '-q', '-c', '1', '-W', '1', '-M', 'do', '-s', `${bytes}`, 'n3']);
    expect((await most(1402)).code).toBe(0);
    expect((await most(1403)).code).not.toBe(0);
    await until('the paths to be known', async () => {
      const { Peers } = await two.json('status');
      return Peers.every(({ Path }: { Path: { Mtu: number } | null }) => Path?.Mtu === 1_430);
    });
  });

  test('carry a network of both families', async () => {
    const [one, two] = [lab().host(1), lab().host(2)];
    await one.mustOverlayd('network', 'create', '--ipv6', 'both');
    await attach(one, 'd1', 'both', '--name', 'd1');
    await attach(two, 'd2', 'both', '--name', 'd2');
    const ping = (...options: string[]) => two.exec('d2', ['ping', '-q', '-c', '1', '-W', '1', ...options, 'd1']);
    for (const family of ['-4', '-6']) {
      await until(`d1 to answer ping ${family}`, async () => (await ping(family)).code === 0);
    }
    expect((await ping('-6', '-M', 'do', '-s', '1382')).code).toBe(0);
    expect((await ping('-6', '-M', 'do', '-s', '1383')).code).not.toBe(0);
  });

  test('send packets for all to every host with a container of the network', async () => {
    const [one, two, three] = [lab().host(1), lab().host(2), lab().host(3)];
    await one.mustOverlayd('network', 'create', '-o', 'multicast=true', 'room');
    await attach(one, 'r1', 'room');
    await attach(two, 'r2', 'room');
    await attach(three, 'r3', 'room');
    const { Vni } = (await one.json('network', 'inspect', 'room'))[0];
    await until('both others to be sent to', async () => {
      const rows = await one.must(['bridge', '-n', `ovl-${Vni}`, 'fdb', 'show', 'dev', 'vx0']);
      return [two, three].every(({ address }) => rows.includes(`00:00:00:00:00:00 dst ${address} `));
    });
    const listeners = [await hear(two, 'r2', 7000, '239.1.2.3'), await hear(three, 'r3', 7000, '239.1.2.3')];
    for (const to of ['239.1.2.3', '255.255.255.255']) await say(one, 'r1', to, 7000, to);
    await until('all to hear it', () => listeners.every(({ heard }) => heard.length === 2));
    for (const listener of listeners) await listener.stop();
  });

  test('ask their own name servers, at addresses of IPv6, for what is not theirs', async () => {
    const answer = await resolve(lab().host(2), 'c2', 'www.example', 'AAAA');
    expect(answer).toEqual({ status: 'NOERROR', values: ['2001:db8:5100::1'] });
  });

  test('let nobody but members and those who join in', async () => {
    const one = lab().host(1);
    const connect = (port: number) =>
      lab().internet.run(['timeout', '1', 'bash', '-c', `exec 3<>/dev/tcp/2001:db8:77::1/${port}`]);
    expect((await connect(7946)).code).not.toBe(0);
    expect((await connect(2379)).code).not.toBe(0);
    const rules = await one.must(['nft', 'list', 'table', 'inet', 'overlayd']);
    expect(rules).toMatch(/set members6 \{[^}]*2001:db8:77::2/);
  });

  test('follow the MTU that a router names for the link of one of them', async () => {
    const [one, three] = [lab().host(1), lab().host(3)];
    const mtuOf = async (host: Host) =>
      /mtu (\d+)/.exec(await host.must(['ip', '-n', 'ovl-4096', 'link', 'show', 'vx0']))![1];
    // What the kernel does when an advertisement says so.
    await three.must(['sysctl', '-q', '-w', 'net.ipv6.conf.eth0.mtu=1400']);
    await until('the others to follow', async () => (await mtuOf(one)) === '1330');
    expect(await one.mustOverlayd('status')).toMatch(/h3 \(link eth0, 1400\)/);
    await three.must(['sysctl', '-q', '-w', 'net.ipv6.conf.eth0.mtu=1500']);
  });

  test('go on without a packet lost while an agent is away', async () => {
    const [two, three] = [lab().host(2), lab().host(3)];
    const traffic = three.spawn(['ip', 'netns', 'exec', 'c3', 'ping', '-n', '-i', '0.05', 'n2']);
    await until('an answer', () => traffic.output.includes('ttl='));
    await two.agent.kill();
    await two.agent.start();
    await untilReady(members());
    await traffic.kill('SIGINT');
    await traffic.exited;
    expect(traffic.output).toMatch(/ 0% packet loss/);
    await attach(two, 'late', 'web', '--name', 'late');
    await untilReaches(three, 'c3', 'late');
  });
});

describe('a host with temporary addresses', () => {
  test('is known by the one that stays, and heard, though its kernel prefers the others for what it sends', async () => {
    const two = lab().host(2);
    await two.must(['sysctl', '-q', '-w', 'net.ipv6.conf.eth0.use_tempaddr=2']);
    await two.must(['ip', 'address', 'change', '2001:db8:77::2/64', 'dev', 'eth0', 'mngtmpaddr']);
    await until('a temporary address in use', async () =>
      / src 2001:db8:77:0:/.test(await two.must(['ip', 'route', 'get', '2001:db8:77::1'])),
    );
    await two.agent.kill();
    await two.agent.start();
    await untilReady(members());
    await allReach();
    expect(await shownAddress(two, 'h2')).toBe('2001:db8:77::2');
    await two.must(['sysctl', '-q', '-w', 'net.ipv6.conf.eth0.use_tempaddr=0']);
  });
});

describe('a host that changes its address', () => {
  test('is followed', async () => {
    const [one, three] = [lab().host(1), lab().host(3)];
    await changeAddress(three, '2001:db8:77::3', '2001:db8:77::33');
    await until('the new address to be known', async () => (await shownAddress(one, 'h3')) === '2001:db8:77::33');
    await untilReady(members());
    await allReach();
    expect(await three.must(['ip', '-n', 'ovl-4096', '-d', 'link', 'show', 'vx0'])).toContain('local 2001:db8:77::33');
  });

  test('is followed when it runs the cluster’s etcd', async () => {
    const [one, two] = [lab().host(1), lab().host(2)];
    await changeAddress(one, '2001:db8:77::1', '2001:db8:77::11');
    await until('etcd to be reached again', async () =>
      (await two.json('status')).Store.Endpoints.includes('https://[2001:db8:77::11]:2379'),
    );
    await untilReady(members());
    await allReach();
    await untilMade(two, 'later');
  });

  test('is not followed to the other family', async () => {
    const three = lab().host(3);
    const lines = ['address delete 2001:db8:77::33/64 dev eth0', 'address add 10.77.0.3/24 dev eth0'];
    await three.must(['ip', '-batch', '-'], { input: lines.join('\n') });
    await until('the loss to be told', async () => (await problemsOf(three)).includes('has lost the address'));
    expect(await problemsOf(three)).toContain(
      'eth0 has no IPv6 address now, but 10.77.0.3; members reach each other by',
    );
    const back = ['address add 2001:db8:77::33/64 dev eth0 nodad', 'address delete 10.77.0.3/24 dev eth0'];
    await three.must(['ip', '-batch', '-'], { input: back.join('\n') });
    await until('all to be well', async () => (await problemsOf(three)) === '');
    await untilReady(members());
    await allReach();
  });
});

describe('a host of both families', () => {
  test('is let in with an address of the members’ family alone, which it takes by itself', async () => {
    const four = lab().host(4);
    await four.must(['ip', 'address', 'add', '10.77.0.4/24', 'dev', 'eth0']);
    const line = joinArguments(await lab().host(2).mustOverlayd('token', 'create'));
    const refused = await four.overlayd(...line, '--advertise-addr', '10.77.0.4');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(
      /members would reach this host at 10\.77\.0\.4, which is IPv4, and this cluster does so by IPv6 \(h\d at 2001:db8:77::\d+\).*join with --advertise-addr and an IPv6 address/,
    );
    await four.mustOverlayd(...line);
    await untilReady(lab().hosts);
    expect(await shownAddress(four, 'h4')).toBe('2001:db8:77::4');
    await four.mustOverlayd('leave');
  });

  test('begins a cluster of IPv4, unless it is told otherwise', async () => {
    const four = lab().host(4);
    await four.mustOverlayd('init');
    expect(await shownAddress(four, 'h4')).toBe('10.77.0.4');
    await four.mustOverlayd('leave', '--yes-delete-cluster');
    await four.mustOverlayd('init', '--advertise-addr', '2001:db8:77::4', '--listen-addr', '2001:db8:77::4');
    expect(await four.must(['ss', '-Hltn'])).toContain('[2001:db8:77::4]:2377');
    await four.mustOverlayd('leave', '--yes-delete-cluster');
  });
});

describe('two hosts of IPv6', () => {
  const own = useLab({ hosts: 2, family: 6 });

  test.each([false, true])('have an etcd of one’s own at an address of IPv6 (TLS: %s)', async (tls) => {
    const etcd = await EtcdServer.start(await own().addHost(tls ? 'secure' : 'plain', tls ? 251 : 250), { tls });
    await formCluster(own().hosts, etcd.initArguments);
    for (const host of own().hosts) {
      expect((await host.json('status')).Store).toMatchObject({ Reachable: true, Endpoints: [etcd.url] });
    }
    const [one, two] = [own().host(1), own().host(2)];
    await one.mustOverlayd('network', 'create', 'web');
    const identity = JSON.parse(readFileSync(join(two.dataDirectory, 'identity.json'), 'utf8'));
    expect(identity.store.endpoints).toEqual([etcd.url]);
    await one.mustOverlayd('network', 'rm', 'web');
    for (const host of [two, one]) await host.mustOverlayd('leave');
  });

  test('members of IPv4 have tunnels over IPv6 where they are told so', async () => {
    const [one, two] = [own().host(1), own().host(2)];
    for (const [at, host] of [one, two].entries()) {
      await host.must(['ip', 'address', 'add', `10.77.0.${at + 1}/24`, 'dev', 'eth0']);
    }
    const addresses = (number: number) => [
      ...['--advertise-addr', `10.77.0.${number}`, '--data-path-addr', `2001:db8:77::${number}`],
    ];
    const line = joinArguments(await one.mustOverlayd('init', ...addresses(1)));
    await two.mustOverlayd(...line, ...addresses(2));
    await untilReady(own().hosts);
    await one.mustOverlayd('network', 'create', 'mixed');
    await attach(one, 'm1', 'mixed', '--name', 'm1');
    await attach(two, 'm2', 'mixed', '--name', 'm2');
    await untilReaches(two, 'm2', 'm1');
    await untilReaches(one, 'm1', 'm2');
    const [{ AdvertiseAddress, Vtep }] = await one.json('node', 'inspect', 'h2');
    expect([AdvertiseAddress, Vtep]).toEqual(['10.77.0.2', '2001:db8:77::2']);
    await untilFlawless(one);
    expect(await one.must(['ip', '-n', 'ovl-4096', 'link', 'show', 'vx0'])).toContain('mtu 1430');
  });
});
