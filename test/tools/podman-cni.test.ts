/** Podman 4.3, as on Debian 12, with the networks of the cluster by CNI: `network_backend = "cni"`. */
import { expect, test } from 'vitest';
import { addressOf, endpointNames, endpointRows } from '../lab/docker-network.ts';
import { IMAGE } from '../lab/image.ts';
import { attach } from '../lab/network.ts';
import { Podman } from '../lab/podman.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

let podman: Podman;
const lab = useLab({
  hosts: 2,
  cluster: true,
  prepare: async ({ hosts }) => {
    const one = hosts[0]!;
    await one.mustOverlayd('network', 'create', '--subnet', '10.62.0.0/24', 'web');
    await one.mustOverlayd('network', 'create', '--subnet', '10.63.0.0/24', '--internal', 'vault');
    podman = new Podman(one, { backend: 'cni' });
    await podman.start();
    await one.mustOverlayd('cni', 'install', '--network', 'web', '--network', 'vault');
  },
});
const one = () => lab().host(1);
const two = () => lab().host(2);

async function pings(container: string, target: string): Promise<boolean> {
  return (await podman.podman('exec', container, 'ping', '-c', '1', '-W', '5', target)).code === 0;
}

test('is the release that has no plugins of its own', async () => {
  expect(await podman.must('--version')).toMatch(/^podman version 4\.3\./);
  expect(await podman.must('network', 'ls', '--format', '{{.Name}} {{.Driver}}')).toMatch(/^web overlayd$/m);
});

test('a container is on the network by its name, has its aliases, and knows the names of all hosts', async () => {
  await attach(two(), 'far', 'web');
  await podman.runContainer('api', '--network', 'web', '--network-alias', 'backend');
  expect(await endpointNames(one())).toEqual(['api', 'far']);
  const row = (await endpointRows(two())).find(({ Node }) => Node === 'h1')!;
  expect(row).toMatchObject({ Tool: 'cni', Aliases: expect.arrayContaining(['backend']) });
  expect(await pings('api', 'far')).toBe(true);
  await two().mustExec('far', ['ping', '-c', '1', '-W', '5', 'backend']);
});

test('an address and a MAC address that are asked for are had; of others it is told who has them', async () => {
  await podman.runContainer('wish', '--network', 'web', '--ip', '10.62.0.77', '--mac-address', '02:42:0a:3e:00:77');
  expect(await addressOf(one(), 'wish')).toBe('10.62.0.77');
  expect(await podman.must('exec', 'wish', 'cat', '/sys/class/net/eth0/address')).toBe('02:42:0a:3e:00:77');
  const other = await podman.podman('run', '-d', '--name', 'late', '--network', 'web', '--ip', '10.62.0.77', IMAGE);
  expect(other.stderr).toContain('10.62.0.77 belongs to wish');
  await podman.must('rm', '-f', '-t', '0', 'wish', 'late');
});

test('a port leads to the container, which sees who calls, until the container is removed', async () => {
  await podman.runContainer('open', '--network', 'web', '-p', '8085:80');
  await podman.must('exec', '-d', 'open', 'nc', '-ll', '-p', '80', '-e', 'sh', '-c', 'echo here');
  const call = () => two().run(['busybox', 'nc', '-w', '5', one().address, '8085'], { input: '' });
  await until('the container to serve', async () => (await call()).stdout === 'here\n');
  expect(await one().json('publish', 'ls')).toMatchObject([{ HostPort: 8085, Tool: 'cni' }]);
  await podman.must('rm', '-f', '-t', '0', 'open');
  expect(await one().json('publish', 'ls')).toEqual([]);
});

test('one of two networks that leads nowhere is told of no ports', async () => {
  await podman.runContainer('both', '--network', 'vault', '--network', 'web', '-p', '8086:80');
  expect(await one().json('publish', 'ls')).toMatchObject([{ HostPort: 8086, NetworkName: 'web' }]);
  await podman.must('rm', '-f', '-t', '0', 'both');
});

test('a container that is started again has its alias again, and leaves nothing when it is removed', async () => {
  await podman.must('restart', '-t', '0', 'api');
  expect(await pings('api', 'far')).toBe(true);
  await two().mustExec('far', ['ping', '-c', '1', '-W', '5', 'backend']);
  await podman.must('rm', '-f', '-t', '0', 'api');
  expect(await endpointNames(one())).toEqual(['far']);
});
