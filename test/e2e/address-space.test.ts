import { expect, test } from 'vitest';
import { formLabCluster } from '../lab/cluster.ts';
import type { Host } from '../lab/host.ts';
import { attach } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({ hosts: 2, agents: true });

async function subnetOf(host: Host, network: string): Promise<string> {
  const [found] = await host.json('network', 'inspect', network);
  return found.IPAM.Config[0].Subnet;
}

/** A name server that nothing but the default route leads to, behind a stub on the host, as clouds have it. */
async function putBehindStub(host: Host, server: string): Promise<void> {
  await lab().internet.must(['ip', 'address', 'replace', `${server}/32`, 'dev', 'lo']);
  const script = `mkdir -p /run/systemd/resolve && echo "nameserver ${server}" > /run/systemd/resolve/resolv.conf
    echo "nameserver 127.0.0.53" > /etc/resolv.conf`;
  await host.must(['sh', '-c', script]);
}

test('networks keep clear of what a member needs, and of nothing that a VPN covers by the way', async () => {
  const [one, two] = [lab().host(1), lab().host(2)];
  await putBehindStub(two, '10.0.0.2');
  await formLabCluster(lab());

  await one.mustOverlayd('network', 'create', 'first');
  expect(await subnetOf(one, 'first')).toBe('10.0.1.0/24');
  await attach(two, 'c1', 'first');
  expect((await two.run(['ping', '-q', '-c', '1', '-W', '5', '10.0.0.2'])).code).toBe(0);
  const asked = await one.overlayd('network', 'create', '--subnet', '10.0.0.0/16', 'asked');
  expect(asked.stderr).toMatch(/10\.0\.0\.0\/16 pool overlaps .*10\.0\.\d\.\d/);
  const named = await one.overlayd('network', 'create', '--subnet', '10.0.0.0/24', 'named');
  expect(named.stderr).toContain('10.0.0.2, a name server of host h2; choose a subnet without it');

  await one.must(['sh', '-c', 'echo nameserver 10.0.1.9 >> /etc/resolv.conf']);
  const covered = 'network first (10.0.1.0/24) covers 10.0.1.9, a name server of host h1';
  await until('status to tell', async () => (await one.json('status')).Problems.join().includes(covered));

  await two.must(['ip', '-batch', '-'], {
    input: '0.0.0.0/1 128.0.0.0/1 10.0.0.0/8'
      .split(' ')
      .map((route) => `route add ${route} via 10.77.0.254`)
      .join('\n'),
  });
  await until('the routes to be known', async () => {
    await one.overlayd('network', 'rm', 'probe');
    await one.mustOverlayd('network', 'create', 'probe');
    return (await subnetOf(one, 'probe')).startsWith('172.16.');
  });
  await one.mustOverlayd('network', 'create', '--subnet', '10.3.0.0/24', 'explicit');
  await one.mustOverlayd('network', 'create', '--internal', '--subnet', '10.4.0.0/24', 'inner');
  await attach(one, 'a1', 'explicit');
  await attach(two, 'a2', 'explicit');
  await until('the containers to reach each other', async () => {
    return (await two.exec('a2', ['ping', '-q', '-c', '1', '-W', '1', '10.3.0.2'])).code === 0;
  });
});
