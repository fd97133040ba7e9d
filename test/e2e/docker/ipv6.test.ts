/** Networks with IPv6 in Docker, made on either side. */
import { describe, expect, test } from 'vitest';
import { untilReady } from '../../lab/cluster.ts';
import {
  endpointRows,
  expectNothingLeft,
  pings,
  runContainer,
  untilOffered,
  untilPings,
  withEngines,
} from '../../lab/docker-network.ts';
import { addIpv6, OUTSIDE_IPV6, UNDERLAY_IPV6 } from '../../lab/dual-stack.ts';
import type { Host } from '../../lab/host.ts';
import { IMAGE } from '../../lab/image.ts';
import { INTERNET } from '../../lab/internet.ts';
import { attach } from '../../lab/network.ts';
import { fetchPage } from '../../lab/page.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

const lab = useLab({
  hosts: 2,
  cluster: true,
  prepare: async (made) => {
    await addIpv6(made);
    await withEngines(made);
  },
});
const hosts = () => [lab().host(1), lab().host(2)] as const;
const OURS = ['network', 'create', '-d', 'overlayd', '--ipam-driver', 'overlayd'];

const inContainer = ({ engine }: Host, name: string, ...command: readonly string[]) =>
  engine.mustDocker('exec', name, ...command);

/** What Docker says of a container on a network. */
async function seenBy({ engine }: Host, container: string, network: string) {
  const [found] = JSON.parse(await engine.mustDocker('inspect', container));
  const { IPAddress, GlobalIPv6Address, MacAddress } = found.NetworkSettings.Networks[network];
  return { address: IPAddress as string, ipv6: GlobalIPv6Address as string, mac: MacAddress as string };
}

/** The same of the cluster, as another host tells it. */
async function knownOn(host: Host, container: string) {
  return until(`endpoint ${container} on ${host.name}`, async () => {
    const row = (await endpointRows(host)).find(({ Name }) => Name === container);
    if (!row) return undefined;
    const [address = '', ipv6 = ''] = [row.IPv4Address, row.IPv6Address].map((each) => each.split('/')[0]!);
    return { address, ipv6, mac: row.MacAddress };
  });
}

async function untilLooksUp6(host: Host, container: string, name: string, address: string): Promise<void> {
  await until(`${name} to be ${address} in ${container} on ${host.name}`, async () => {
    const { stdout } = await host.engine.docker('exec', container, 'nslookup', '-type=aaaa', name);
    if (stdout.includes(`Address: ${address}\n`)) return true;
    throw new Error(stdout);
  });
}

async function majorOf({ engine }: Host): Promise<number> {
  return Number.parseInt(await engine.mustDocker('version', '-f', '{{.Server.Version}}'), 10);
}

describe('a network of both families', () => {
  test('of the cluster is there with both subnets, and containers have an address of each, as everybody sees', async () => {
    const [one, two] = hosts();
    const subnets = ['--subnet', '10.60.0.0/24', '--subnet', 'fd00:60::/64'];
    await one.mustOverlayd('network', 'create', '--ipv6', ...subnets, 'web');
    await untilOffered(two, ['web']);
    const [seen] = JSON.parse(await two.engine.mustDocker('network', 'inspect', 'web'));
    expect(seen.EnableIPv6).toBe(true);
    expect(seen.IPAM.Config).toEqual([
      { Subnet: '10.60.0.0/24', Gateway: '10.60.0.1' },
      { Subnet: 'fd00:60::/64', Gateway: 'fd00:60::1' },
    ]);
    await runContainer(one, 'c1', '--network', 'web');
    await runContainer(two, 'c2', '--network', 'web', '--network-alias', 'backend');
    await attach(two, 'n1', 'web');
    for (const [host, other, name] of [
      [one, two, 'c1'],
      [two, one, 'c2'],
    ] as const) {
      const docker = await seenBy(host, name, 'web');
      expect(docker.ipv6).toMatch(/^fd00:60::/);
      expect(await knownOn(other, name)).toEqual(docker);
    }
  });

  test('carries both, by address and by name, at once and without duplicate address detection', async () => {
    const [one, two] = hosts();
    const [c1, c2] = [await seenBy(one, 'c1', 'web'), await seenBy(two, 'c2', 'web')];
    for (const target of [c2.address, c2.ipv6, 'c2']) await untilPings(one, 'c1', target);
    for (const target of [c1.address, c1.ipv6, 'fd00:60::1']) await untilPings(two, 'c2', target);
    for (const name of ['c2', 'backend', 'c2.web.overlayd.internal']) await untilLooksUp6(one, 'c1', name, c2.ipv6);
    expect(await two.exec('n1', ['ping', '-6', '-n', '-c', '1', '-W', '2', c1.ipv6])).toMatchObject({ code: 0 });
    expect(await inContainer(one, 'c1', 'ip', '-6', 'route')).toMatch(/^default via fd00:60::1 dev eth0/m);
    const shown = await inContainer(one, 'c1', 'ip', '-6', 'addr', 'show', 'dev', 'eth0');
    expect(shown).toContain(`${c1.ipv6}/64`);
    expect(shown).not.toMatch(/dadfailed|dynamic/);
    expect(await inContainer(one, 'c1', 'cat', '/etc/hosts')).toMatch(new RegExp(`^${c1.ipv6}\\s`, 'm'));
  });

  test('gives containers the addresses that they ask for, and says whose they are', async () => {
    const [one, two] = hosts();
    await runContainer(one, 'fixed', '--network', 'web', '--ip', '10.60.0.77', '--ip6', 'fd00:60::77');
    expect(await knownOn(two, 'fixed')).toMatchObject({ address: '10.60.0.77', ipv6: 'fd00:60::77' });
    const clash = await two.engine.docker('run', '-d', '--network', 'web', '--ip6', 'fd00:60::77', IMAGE);
    expect(clash.stderr).toContain('fd00:60::77 belongs to fixed on h1 (address-in-use)');
    await one.engine.mustDocker('network', 'create', 'other');
    await runContainer(one, 'late', '--network', 'other');
    await one.engine.mustDocker('network', 'connect', '--ip6', 'fd00:60::99', 'web', 'late');
    expect(await knownOn(two, 'late')).toEqual(await seenBy(one, 'late', 'web'));
    await untilPings(two, 'c2', 'fd00:60::99');
    await one.engine.mustDocker('network', 'disconnect', 'web', 'late');
    await one.mustOverlayd('network', 'connect', '--ip6', 'fd00:60::98', 'web', 'docker:late');
    expect((await seenBy(one, 'late', 'web')).ipv6).toBe('fd00:60::98');
    await one.engine.mustDocker('restart', '-t', '0', 'fixed');
    await untilPings(two, 'c2', 'fd00:60::77');
  });

  test('publishes ports at the host’s addresses of both families, and such containers have a way out of IPv6', async () => {
    const [one, two] = hosts();
    await runContainer(one, 'front', '--network', 'web', '-p', '8080:80');
    await inContainer(one, 'front', 'httpd', '-p', '80', '-h', '/etc');
    for (const address of [one.address, `[${UNDERLAY_IPV6}1]`])
      await until(`port 8080 of ${address}`, async () => fetchPage(two, `http://${address}:8080/hostname`));
    const way = /^default via fd00:60::1 dev eth0 +metric 2048/m;
    await until('the way out', async () => way.test(await inContainer(one, 'front', 'ip', '-6', 'route')));
    await untilPings(one, 'front', (await seenBy(two, 'c2', 'web')).ipv6);
    for (const name of ['c1', 'front']) {
      for (const address of [INTERNET, OUTSIDE_IPV6]) await untilPings(one, name, address);
    }
    await one.engine.mustDocker('restart', '-t', '0', 'front');
    await until('the way out again', async () => way.test(await inContainer(one, 'front', 'ip', '-6', 'route')));
  });

  test('outlives the agent and the engine', async () => {
    const [one, two] = hosts();
    const { ipv6 } = await seenBy(one, 'c1', 'web');
    await one.agent.kill();
    expect(await pings(two, 'c2', ipv6)).toBe(true);
    await one.agent.start();
    await untilReady(lab().hosts);
    await one.engine.restart();
    await one.engine.mustDocker('start', 'c1');
    const again = await seenBy(one, 'c1', 'web');
    await untilPings(two, 'c2', again.ipv6);
    expect(await knownOn(two, 'c1')).toEqual(again);
  });
});

describe('docker network create --ipv6', () => {
  test('makes a network of the cluster, with the subnets that it names', async () => {
    const [one, two] = hosts();
    const subnets = ['--subnet', '10.61.0.0/24', '--subnet', 'FD00:61::/64', '--gateway', 'fd00:61::fe'];
    await two.engine.mustDocker(...OURS, '--ipam-opt', 'net=shop', '--ipv6', ...subnets, 'shop');
    const [shop] = await one.json('network', 'inspect', 'shop');
    expect(shop).toMatchObject({ EnableIPv6: true });
    expect(shop.IPAM.Config).toEqual(
      expect.arrayContaining([
        { Subnet: '10.61.0.0/24', Gateway: '10.61.0.1' },
        { Subnet: 'fd00:61::/64', Gateway: 'fd00:61::fe' },
      ]),
    );
    await untilOffered(one, ['shop', 'web']);
    await runContainer(one, 's1', '--network', 'shop');
    await runContainer(two, 's2', '--network', 'shop', '--ip6', 'fd00:61::5');
    await untilPings(one, 's1', 'fd00:61::5');
    const wrong = await one.engine.docker(...OURS, '--ipam-opt', 'net=shop', 'again');
    expect(wrong.stderr).toContain('network shop is there already and has IPv6; add --ipv6');
  });

  test('names none, and gets one of the cluster’s own', async () => {
    const [one, two] = hosts();
    await one.engine.mustDocker(...OURS, '--ipam-opt', 'net=auto', '--ipv6', 'auto');
    await untilOffered(two, ['auto', 'shop', 'web']);
    await runContainer(one, 'a1', '--network', 'auto');
    await runContainer(two, 'a2', '--network', 'auto');
    const { ipv6 } = await seenBy(two, 'a2', 'auto');
    expect(ipv6).toMatch(/^fd/);
    await untilPings(one, 'a1', ipv6);
  });
});

test('published ports are open at the container’s own address of IPv6, where that is routed', async () => {
  const [one, two] = hosts();
  const subnets = ['--subnet', '10.67.0.0/24', '--subnet', 'fd00:67::/64'];
  await one.mustOverlayd('network', 'create', '--ipv6', ...subnets, '-o', 'gateway_mode_ipv6=routed', 'edge');
  await runContainer(one, 'e1', '--network', 'edge', '--ip6', 'fd00:67::9', '-p', '8067:80');
  for (const port of ['80', '81']) await inContainer(one, 'e1', 'httpd', '-p', port, '-h', '/etc');
  await two.must(['ip', 'route', 'add', 'fd00:67::/64', 'via', `${UNDERLAY_IPV6}1`]);
  const fetch = (url: string) => fetchPage(two, `http://${url}/hostname`);
  await until('the port at its own address', () => fetch('[fd00:67::9]'));
  expect(await fetch('[fd00:67::9]:81')).toBeUndefined();
  await until('the port at the host’s address', () => fetch(`${one.address}:8067`));
  await one.engine.mustDocker('rm', '-f', 'e1');
  await one.mustOverlayd('network', 'rm', 'edge');
});

test('Compose has networks of both families', async () => {
  const [one, two] = hosts();
  const file = `version: "3.9"
networks:
  jobs:
    driver: overlayd
    driver_opts: { net: jobs }
    enable_ipv6: true
    ipam: { driver: overlayd }
services:
  api:
    image: ${IMAGE}
    networks: [jobs]
  store:
    image: ${IMAGE}
    networks: [jobs]
`;
  const project = { name: 'team', file };
  await one.engine.mustCompose(project, 'up', '-d', 'api');
  await two.engine.mustCompose(project, 'up', '-d', 'store');
  const [api = ''] = await one.engine.composed(project, 'api');
  const [store = ''] = await two.engine.composed(project, 'store');
  const { ipv6 } = await seenBy(one, api, 'team_jobs');
  await untilLooksUp6(two, store, 'api', ipv6);
  await untilPings(two, store, ipv6);
  await two.engine.mustCompose(project, 'down');
  await one.engine.mustCompose(project, 'down');
  expect((await one.json('network', 'ls')).map(({ Name }: { Name: string }) => Name).sort()).toEqual([
    'auto',
    'shop',
    'web',
  ]);
});

test('a network that gets IPv6 later has it in Docker as soon as no container is on it there', async () => {
  const [one, two] = hosts();
  await one.mustOverlayd('network', 'create', '--subnet', '10.68.0.0/24', 'later');
  await untilOffered(two, ['auto', 'later', 'shop', 'web']);
  await runContainer(one, 'l1', '--network', 'later');
  await one.mustOverlayd('network', 'subnet', 'add', 'later', 'fd00:68::/64');
  const hasIpv6 = async ({ engine }: Host) =>
    (await engine.docker('network', 'inspect', '-f', '{{.EnableIPv6}}', 'later')).stdout.trim() === 'true';
  await until('the other engine to have it', () => hasIpv6(two));
  await runContainer(two, 'l2', '--network', 'later');
  expect((await seenBy(two, 'l2', 'later')).ipv6).toMatch(/^fd00:68::/);
  await one.engine.mustDocker('restart', '-t', '0', 'l1');
  expect((await seenBy(one, 'l1', 'later')).ipv6).toBe('');
  await untilPings(one, 'l1', 'l2');
  await one.engine.mustDocker('rm', '-f', 'l1');
  await until('this engine to have it', () => hasIpv6(one));
  await runContainer(one, 'l3', '--network', 'later');
  await untilPings(one, 'l3', (await seenBy(two, 'l2', 'later')).ipv6);
  await one.engine.mustDocker('rm', '-f', 'l3');
  await two.engine.mustDocker('rm', '-f', 'l2');
  await one.mustOverlayd('network', 'rm', 'later');
});

test('a network of IPv6 alone is there for engines that know such, and the others say what is missing', async () => {
  const [one, two] = hosts();
  await one.mustOverlayd('network', 'create', '--ipv4=false', '--ipv6', '--subnet', 'fd00:66::/64', 'six');
  const before = ['auto', 'shop', 'web'];
  if ((await majorOf(one)) < 28) {
    await until('the status to say so', async () =>
      (await one.mustOverlayd('status')).includes('network six has no IPv4'),
    );
    await untilOffered(one, before);
    await attach(one, 'x1', 'six');
    await attach(two, 'x2', 'six');
    expect(await one.exec('x1', ['ping', '-n', '-c', '1', '-W', '2', 'x2'])).toMatchObject({ code: 0 });
    return;
  }
  await untilOffered(two, [...before, 'six']);
  await runContainer(one, 'x1', '--network', 'six', '--dns', 'fd00:66::1');
  await runContainer(two, 'x2', '--network', 'six', '--ip6', 'fd00:66::2:2', '-p', '8086:80');
  await untilPings(one, 'x1', 'fd00:66::2:2');
  await untilLooksUp6(one, 'x1', 'x2', 'fd00:66::2:2');
  expect(await seenBy(one, 'x1', 'six')).toMatchObject({ address: '', ipv6: expect.stringMatching(/^fd00:66::/) });
  await inContainer(two, 'x2', 'httpd', '-p', '80', '-h', '/etc');
  await until('port 8086', async () => fetchPage(one, `http://${two.address}:8086/hostname`));
});

test('nothing is left of it', async () => {
  for (const { engine } of hosts()) await engine.shell('docker ps -aq | xargs -r docker rm -f');
  const [one] = hosts();
  for (const host of hosts()) {
    for (const name of ['n1', 'x1', 'x2']) await host.overlayd('network', 'disconnect', 'web', `netns:${name}`);
    for (const name of ['x1', 'x2']) await host.overlayd('network', 'disconnect', 'six', `netns:${name}`);
  }
  await expectNothingLeft(hosts());
  expect(await one.mustOverlayd('ipam', 'check')).not.toContain('leaked');
});
