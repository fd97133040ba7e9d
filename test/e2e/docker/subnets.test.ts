/** Networks of several subnets in Docker: made on either side, and given another one while containers use them. */
import { describe, expect, test } from 'vitest';
import { addressOf, pings, runContainer, untilOffered, untilPings, withEngines } from '../../lab/docker-network.ts';
import { IMAGE } from '../../lab/image.ts';
import { attach } from '../../lab/network.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

describe('on two hosts', () => {
  const lab = useLab({ hosts: 2, cluster: true, prepare: withEngines });
  const hosts = () => [lab().host(1), lab().host(2)] as const;

  test('a network of the cluster has all of them, and the next container is in the second when the first is full', async () => {
    const [one, two] = hosts();
    await one.mustOverlayd('network', 'create', '--subnet', '10.60.0.0/30', '--subnet', '10.61.0.0/29', 'web');
    await untilOffered(two, ['web']);
    const [seen] = JSON.parse(await two.engine.mustDocker('network', 'inspect', 'web'));
    expect(seen.IPAM.Config).toEqual([
      { Subnet: '10.60.0.0/30', Gateway: '10.60.0.1' },
      { Subnet: '10.61.0.0/29', Gateway: '10.61.0.1' },
    ]);
    await runContainer(one, 'c1', '--network', 'web');
    expect(await addressOf(one, 'c1')).toBe('10.60.0.2');
    await runContainer(two, 'c2', '--network', 'web');
    expect(await addressOf(two, 'c2')).toBe('10.61.0.2');
    await runContainer(two, 'c3', '--network', 'web', '--ip', '10.61.0.6');
    await runContainer(one, 'c4', '--network', 'web', '-p', '8080:80');
    for (const [host, name] of [
      [one, 'c1'],
      [one, 'c4'],
      [two, 'c2'],
    ] as const) {
      for (const other of ['c1', 'c2', 'c3', 'c4']) await untilPings(host, name, other);
    }
    expect(await pings(one, 'c1', '10.61.0.6')).toBe(true);
  });

  test('one more makes room when all are full, and containers that are there reach the new ones', async () => {
    const [one, two] = hosts();
    await runContainer(one, 'c5', '--network', 'web');
    await runContainer(one, 'c6', '--network', 'web');
    const full = await two.engine.docker('run', '-d', '--name', 'none', '--network', 'web', IMAGE);
    expect(full.code).not.toBe(0);
    await two.mustOverlayd('network', 'subnet', 'add', 'web', '10.62.0.0/29');
    await runContainer(two, 'c7', '--network', 'web');
    expect(await addressOf(two, 'c7')).toBe('10.62.0.2');
    await untilPings(two, 'c7', 'c1');
    await untilPings(one, 'c1', 'c7');
    for (const container of ['c1', 'c4', 'c5', 'c6']) {
      // The ways themselves: a gateway tells of a neighbour by a redirect, which would hide that one is not there.
      await until(`${container} to have the way`, async () => {
        const { stdout } = await one.engine.docker('exec', container, 'ip', 'route');
        return stdout.includes('10.62.0.0/29 dev eth0');
      });
    }
    await untilPings(one, 'c4', 'c7');
    const address = await attach(two, 'n1', 'web');
    expect(address).toBe('10.62.0.3');
    await untilPings(one, 'c6', 'n1');
    await one.engine.mustDocker('restart', '-t', '0', 'c1');
    await untilPings(one, 'c1', 'c7');
  });

  test('docker network create makes one with each its gateway and range', async () => {
    const [one, two] = hosts();
    await two.engine.mustDocker(
      ...['network', 'create', '-d', 'overlayd', '--ipam-driver', 'overlayd', '--ipam-opt', 'net=shop'],
      ...['--subnet', '10.70.0.0/24', '--subnet', '10.71.0.0/24', '--gateway', '10.70.0.1', '--gateway', '10.71.0.254'],
      ...['--ip-range', '10.71.0.64/26', '--aux-address', 'router=10.71.0.9', 'shop'],
    );
    const [shop] = await one.json('network', 'inspect', 'shop');
    expect(
      shop.IPAM.Config.sort((a: { Subnet: string }, b: { Subnet: string }) => (a.Subnet < b.Subnet ? -1 : 1)),
    ).toEqual([
      { Subnet: '10.70.0.0/24', Gateway: '10.70.0.1' },
      {
        Subnet: '10.71.0.0/24',
        IPRange: '10.71.0.64/26',
        Gateway: '10.71.0.254',
        AuxiliaryAddresses: { router: '10.71.0.9' },
      },
    ]);
    await untilOffered(one, ['shop', 'web']);
    await runContainer(one, 's1', '--network', 'shop', '--ip', '10.71.0.70');
    await runContainer(two, 's2', '--network', 'shop', '--ip', '10.70.0.70');
    await untilPings(one, 's1', 's2');
  });
});
