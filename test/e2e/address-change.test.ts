import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { pointerOf, startAsking } from '../lab/asking.ts';
import { formLabCluster, joinArguments, untilReady } from '../lab/cluster.ts';
import { untilFound } from '../lab/finding.ts';
import type { Host } from '../lab/host.ts';
import { stopwatch, tell } from '../lab/measuring.ts';
import { attach } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({ hosts: 3, agents: true });

/** What a DHCP client does with another lease. */
async function changeAddress(host: Host, from: string, to: string): Promise<void> {
  await dropAddress(host, from);
  await giveAddress(host, to);
}

async function dropAddress(host: Host, address: string): Promise<void> {
  await host.must(['ip', 'address', 'delete', `${address}/24`, 'dev', 'eth0']);
}

/** The default route has gone with the last address. */
async function giveAddress(host: Host, address: string): Promise<void> {
  const lines = [`address add ${address}/24 dev eth0`, 'route replace default via 10.77.0.254'];
  await host.must(['ip', '-batch', '-'], { input: lines.join('\n') });
}

/** Lines of the agent's log that tell of such an event. */
function eventsOf(host: Host, event: string): readonly string[] {
  const log = readFileSync(join(host.directory, 'agent.log'), 'utf8');
  return log.split('\n').filter((line) => line.includes(` event=${event} `));
}

/** Every container reaches every other one by name. */
async function allReach(): Promise<void> {
  const pairs = [1, 2, 3].flatMap((from) => [1, 2, 3].filter((to) => to !== from).map((to) => [from, to] as const));
  const reaches = async ([from, to]: readonly [number, number]) => {
    const ping = await lab()
      .host(from)
      .exec(`c${from}`, ['ping', '-q', '-c', '1', '-W', '1', `n${to}`]);
    return ping.code === 0;
  };
  await until('all containers to reach each other', async () => (await Promise.all(pairs.map(reaches))).every(Boolean));
}

/** What the log said of lost addresses. */
async function lostLines(host: Host): Promise<readonly string[]> {
  const log = readFileSync(join(host.directory, 'agent.log'), 'utf8');
  return log.split('\n').filter((line) => line.includes(' warn  address lost '));
}

const shownAddress = async (host: Host, name: string) => (await host.json('node', 'inspect', name))[0].AdvertiseAddress;

const problemsOf = async (host: Host) => (await host.json('status')).Problems.join('; ') as string;

describe('a host whose address changes', () => {
  test('is followed by everybody, under traffic, with an event on each host, and no answer to a name lost', async () => {
    await formLabCluster(lab(), ['--store-members', '1']);
    await lab().host(1).mustOverlayd('network', 'create', 'web');
    for (const number of [1, 2]) await attach(lab().host(number), `c${number}`, 'web', '--name', `n${number}`);
    const own = await attach(lab().host(3), 'c3', 'web', '--name', 'n3');
    await allReach();
    const [one, two, three] = [lab().host(1), lab().host(2), lab().host(3)];
    const traffic = two.spawn(['ip', 'netns', 'exec', 'c2', 'ping', '-q', '-i', '0.1', 'n3']);
    const names = ['n3', 'n3.web', pointerOf(own)];
    const stopAsking = await startAsking(three, 'c3', names, { gateway: own.replace(/\d+$/, '1'), least: 1_000 });
    await changeAddress(three, '10.77.0.3', '10.77.0.33');
    const changed = stopwatch();
    await until('the new address to be known', async () => (await shownAddress(one, 'h3')) === '10.77.0.33');
    await allReach();
    tell({ scenario: 'address-change', ms: changed() });
    await traffic.kill();
    await untilReady(lab().hosts);
    // The member started anew in the same process, as it does with a renewed certificate.
    expect(await stopAsking()).toMatchObject({ lost: [], wrong: [] });
    expect(eventsOf(three, 'address-changed').join()).toContain('from=10.77.0.3 to=10.77.0.33');
    for (const host of [one, two]) expect(eventsOf(host, 'member-moved').join()).toContain('"vtep":"10.77.0.33"');
    expect(await three.must(['ip', '-n', 'ovl-4096', '-d', 'link', 'show', 'vx0'])).toContain('local 10.77.0.33');
  });

  test('comes back by itself when the address is taken away and put back', async () => {
    const three = lab().host(3);
    await dropAddress(three, '10.77.0.33');
    await until('the loss to be told', async () =>
      (await problemsOf(three)).includes('has lost the address 10.77.0.33'),
    );
    expect(await problemsOf(three)).toContain('eth0 has no IPv4 address now; give it one');
    await giveAddress(three, '10.77.0.33');
    await untilReady(lab().hosts);
    await allReach();
    expect(eventsOf(three, 'address-changed')).toHaveLength(1);
    expect(await lostLines(three)).toHaveLength(1);
  });

  test('says so, there and on its peers, when the new address is not certain, until it is', async () => {
    const [two, three] = [lab().host(2), lab().host(3)];
    await dropAddress(three, '10.77.0.33');
    await giveAddress(three, '10.77.0.34');
    await giveAddress(three, '10.77.0.35');
    await until('a peer to tell', async () => (await problemsOf(two)).includes('node h3 says: this host has lost'));
    expect(await problemsOf(three)).toContain('eth0 has 10.77.0.34, 10.77.0.35 now, and which of them');
    await untilFound(three, 'address-lost', /10\.77\.0\.34, 10\.77\.0\.35 now/);
    await untilFound(two, 'address-lost h3', /node h3 says: this host has lost/);
    await dropAddress(three, '10.77.0.35');
    await until('the new address to be known', async () => (await shownAddress(two, 'h3')) === '10.77.0.34');
    await allReach();
    await untilReady(lab().hosts);
  });

  test('is followed when it happened while the agent was away, and its link was renamed', async () => {
    const [two, three] = [lab().host(2), lab().host(3)];
    await three.agent.stop();
    await changeAddress(three, '10.77.0.34', '10.77.0.3');
    await three.must(['ip', '-batch', '-'], {
      input: [
        'link set eth0 down',
        'link set eth0 name lan0',
        'link set lan0 up',
        'route add default via 10.77.0.254',
      ].join('\n'),
    });
    await three.agent.start();
    await until('the new address to be known', async () => (await shownAddress(two, 'h3')) === '10.77.0.3');
    await allReach();
    await untilReady(lab().hosts);
  });

  test('is followed when it runs the cluster’s etcd', async () => {
    const [one, two] = [lab().host(1), lab().host(2)];
    await changeAddress(one, '10.77.0.1', '10.77.0.11');
    await until('etcd to be reached again', async () =>
      (await two.json('status')).Store.Endpoints.includes('https://10.77.0.11:2379'),
    );
    await allReach();
    await untilReady(lab().hosts);
    // Refused, with the cause, while etcd is started anew for its address.
    await until('changes to be possible', async () => (await two.overlayd('network', 'create', 'later')).code === 0);
    expect(await two.mustOverlayd('token', 'create')).toContain(' 10.77.0.11:2377');
    expect(eventsOf(two, 'etcd-moved')).toHaveLength(1);
    await two.agent.kill();
    await two.agent.start();
    await untilReady(lab().hosts);
  });
});

describe('a host with a network of its own for containers, and an interface for an address', () => {
  const own = useLab({ hosts: 2, agents: true });

  test('is followed on each link by itself', async () => {
    const [one, two] = [own().host(1), own().host(2)];
    for (const [number, host] of [
      [1, one],
      [2, two],
    ] as const) {
      // Both links hang on one switch: each is to answer for its own address alone.
      await host.must(['sysctl', '-q', '-w', 'net.ipv4.conf.all.arp_ignore=1']);
      const lines = [
        'link add link eth0 name data0 type macvlan mode bridge',
        `address add 10.88.0.${number}/24 dev data0`,
      ];
      await host.must(['ip', '-batch', '-'], { input: [...lines, 'link set data0 up'].join('\n') });
    }
    const flags = ['--advertise-addr', 'eth0', '--data-path-addr', 'data0', '--listen-addr', 'eth0'];
    const output = await one.mustOverlayd('init', ...flags);
    await two.mustOverlayd(...joinArguments(output), ...flags);
    await untilReady(own().hosts);
    expect(await two.must(['ss', '-Hltn'])).toContain('10.77.0.2:7946');
    await one.mustOverlayd('network', 'create', 'web');
    await attach(one, 'c1', 'web', '--name', 'n1');
    await attach(two, 'c2', 'web', '--name', 'n2');
    const reaches = () =>
      until(
        'c1 to reach n2',
        async () => (await one.exec('c1', ['ping', '-q', '-c', '1', '-W', '1', 'n2'])).code === 0,
      );
    await reaches();

    await two.must(['ip', '-batch', '-'], {
      input: 'address delete 10.88.0.2/24 dev data0\naddress add 10.88.0.22/24 dev data0',
    });
    await until('the new data path to be known', () =>
      eventsOf(one, 'member-moved').some((line) => line.includes('"vtep":"10.88.0.22"')),
    );
    await reaches();
    await changeAddress(two, '10.77.0.2', '10.77.0.22');
    await until('the new address to be known', async () => (await shownAddress(one, 'h2')) === '10.77.0.22');
    await untilReady(own().hosts);
    await reaches();
    expect(await two.must(['ss', '-Hltn'])).toContain('10.77.0.22:7946');
    expect(await two.must(['ip', '-n', 'ovl-4096', '-d', 'link', 'show', 'vx0'])).toContain('local 10.88.0.22');
  });
});
