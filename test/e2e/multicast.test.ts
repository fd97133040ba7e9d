/** Broadcasts and multicasts between containers on three hosts, as users of the command have them. */
import { expect, test } from 'vitest';
import type { Host } from '../lab/host.ts';
import { answerMdns, askMdns, hear, MDNS_GROUP, say } from '../lab/multicast.ts';
import { attach, untilReaches } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({ hosts: 3, cluster: true });
const hosts = () => [lab().host(1), lab().host(2), lab().host(3)] as const;
const GROUP = '239.1.2.3';

/** Hosts that the network's packets for all are sent to. */
async function receiversOf(host: Host, network: string): Promise<string[]> {
  const { Vni } = (await host.json('network', 'inspect', network))[0];
  const rows = await host.must(['bridge', '-n', `ovl-${Vni}`, 'fdb', 'show', 'dev', 'vx0']);
  return [...rows.matchAll(/^00:00:00:00:00:00 dst (\S+)/gm)].map(([, vtep]) => vtep!).sort();
}

const untilSentTo = (host: Host, network: string, receivers: readonly Host[]) =>
  until(`${host.name} to send to ${receivers.map(({ name }) => name).join()}`, async () => {
    const found = await receiversOf(host, network);
    return found.join() === receivers.map(({ address }) => address).join();
  });

test('multicast DNS, groups and broadcasts reach every host with a container, with agents and without', async () => {
  const [one, two, three] = hosts();
  await one.mustOverlayd('network', 'create', '--subnet', '10.90.0.0/24', '-o', 'multicast=true', 'room');
  expect((await two.json('network', 'inspect', 'room'))[0].Options).toEqual({ multicast: 'true' });
  await attach(one, 'c1', 'room');
  await attach(two, 'c2', 'room', '--ip', '10.90.0.20');
  await untilSentTo(one, 'room', [two]);
  await attach(three, 'c3', 'room', '--ip', '10.90.0.30');
  await untilSentTo(one, 'room', [two, three]);
  await untilSentTo(three, 'room', [one, two]);

  const listeners = [await hear(two, 'c2', 7000, GROUP), await hear(three, 'c3', 7000, GROUP)];
  const everybodyHears = async (text: string) => {
    for (const to of [GROUP, '10.90.0.255', '255.255.255.255']) await say(one, 'c1', to, 7000, `${text} ${to}`);
    const all = [GROUP, '10.90.0.255', '255.255.255.255'].map((to) => `${text} ${to}`);
    await until('all to hear it', () => listeners.every(({ heard }) => heard.includes(all.at(-1)!)));
    for (const listener of listeners) expect(listener.heard.slice(-all.length)).toEqual(all);
  };
  await everybodyHears('first');
  const answering = [
    await answerMdns(two, 'c2', 'printer.local', '10.90.0.20'),
    await answerMdns(three, 'c3', 'scanner.local', '10.90.0.30'),
  ];
  expect(await askMdns(one, 'c1', 'printer.local')).toBe('10.90.0.20');
  expect(await askMdns(one, 'c1', 'scanner.local')).toBe('10.90.0.30');

  for (const { agent } of hosts()) await agent.kill();
  await everybodyHears('without agents');
  expect(await askMdns(one, 'c1', 'scanner.local')).toBe('10.90.0.30');
  for (const { agent } of hosts()) await agent.start();
  await everybodyHears('with agents again');
  for (const each of [...listeners, ...answering]) await each.stop();
});

test('a network of both families has both, and a subnet that is added later its own', async () => {
  const [one, two, three] = hosts();
  await one.mustOverlayd('network', 'create', '--ipv6', '-o', 'multicast=1', '-o', 'multicast_rate=50', 'both');
  await one.mustOverlayd('network', 'create', '-o', 'multicast=1', 'grown');
  for (const [network, container] of [
    ['both', 'b'],
    ['grown', 'g'],
  ] as const) {
    await attach(one, `${container}1`, network);
    await attach(two, `${container}2`, network);
    await untilSentTo(one, network, [two]);
    await untilSentTo(two, network, [one]);
  }
  // Those that are connected from then on have addresses of both.
  await three.mustOverlayd('network', 'subnet', 'add', 'grown', 'fd00:90::/64');
  await attach(one, 'h1', 'grown');
  await attach(two, 'h2', 'grown');
  for (const [asker, answerer] of [
    ['b1', 'b2'],
    ['h1', 'h2'],
  ] as const) {
    for (const group of Object.values(MDNS_GROUP)) {
      const answering = await answerMdns(two, answerer, 'printer.local', '192.0.2.7', group);
      expect(await askMdns(one, asker, 'printer.local', group)).toBe('192.0.2.7');
      await answering.stop();
    }
  }
});

test('a host that has no container of the network any more, or leaves, is not sent to', async () => {
  const [one, two, three] = hosts();
  await two.mustOverlayd('network', 'disconnect', 'room', 'netns:c2');
  await untilSentTo(one, 'room', [three]);
  await attach(two, 'c4', 'room');
  await untilSentTo(one, 'room', [two, three]);
  await three.mustOverlayd('network', 'disconnect', 'room', 'netns:c3');
  await three.mustOverlayd('leave');
  await untilSentTo(one, 'room', [two]);
});

test('a network without the option has none of it', async () => {
  const [one, two] = hosts();
  await one.mustOverlayd('network', 'create', 'quiet');
  await attach(one, 'q1', 'quiet');
  const address = await attach(two, 'q2', 'quiet', '--name', 'other');
  const listener = await hear(two, 'q2', 7000, GROUP);
  await untilReaches(one, 'q1', 'other');
  for (const to of [GROUP, '255.255.255.255']) await say(one, 'q1', to, 7000, 'to all');
  await say(one, 'q1', address.trim(), 7000, 'to one');
  await until('what is for one', () => listener.heard.length > 0);
  expect(listener.heard).toEqual(['to one']);
  expect(await receiversOf(one, 'quiet')).toEqual([]);
  await listener.stop();
});
