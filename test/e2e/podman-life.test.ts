/** What becomes of Podman's containers and networks over their lives, told by Podman or not. */
import { expect, test } from 'vitest';
import { addressOf, type EndpointRow, endpointNames, endpointRows } from '../lab/docker-network.ts';
import { call } from '../lab/echoing.ts';
import { IMAGE } from '../lab/image.ts';
import { podmanOf, withPodman } from '../lab/podman-hosts.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({
  hosts: 1,
  cluster: true,
  prepare: async (of) => {
    await withPodman(of);
    await of.host(1).mustOverlayd('network', 'create', '--subnet', '10.50.0.0/24', 'web');
    await of.host(1).mustOverlayd('network', 'create', '--subnet', '10.51.0.0/24', '--internal', 'back');
  },
});
const host = () => lab().host(1);
const podman = () => podmanOf(host());
const names = () => endpointNames(host());

async function rowsOf(name: string): Promise<readonly EndpointRow[]> {
  return (await endpointRows(host())).filter((row) => row.Name === name);
}

const serversOf = async (name: string) =>
  [...(await podman().must('exec', name, 'cat', '/etc/resolv.conf')).matchAll(/^nameserver (.*)$/gm)]
    .map(([, server]) => server!)
    .sort();

test('a container is on several networks, leaves one and comes back, and asks the gateway of each', async () => {
  await podman().runContainer('api', '--network', 'web', '--network', 'back');
  expect(await serversOf('api')).toEqual(['10.50.0.1', '10.51.0.1']);
  await podman().must('network', 'disconnect', 'back', 'api');
  expect(await rowsOf('api')).toMatchObject([{ Network: 'web' }]);
  expect(await serversOf('api')).toEqual(['10.50.0.1']);
  await podman().must('network', 'connect', '--alias', 'store', '--ip', '10.51.0.9', 'back', 'api');
  expect((await rowsOf('api')).map(({ IPv4Address }) => IPv4Address).sort()).toEqual([
    expect.stringContaining('10.50.0.'),
    '10.51.0.9/24',
  ]);
  expect(await podman().lookUp('api', 'store')).toEqual(['10.51.0.9']);
});

test('a reload keeps addresses, a restart gives others at most, and both the names', async () => {
  const before = await addressOf(host(), 'api', 'web');
  await podman().must('network', 'reload', 'api');
  expect(await addressOf(host(), 'api', 'web')).toBe(before);
  await podman().must('restart', '-t', '0', 'api');
  expect(await rowsOf('api')).toHaveLength(2);
  const after = await addressOf(host(), 'api', 'web');
  expect(await podman().lookUp('api', 'api.web.overlayd.internal')).toEqual([after]);
});

test('a renamed container goes by its new name', async () => {
  await podman().must('rename', 'api', 'shop');
  await until('the new name', async () => (await names()).join() === 'shop,shop');
  expect(await podman().lookUp('shop', 'shop.web.overlayd.internal')).toEqual([await addressOf(host(), 'shop', 'web')]);
  await podman().must('rm', '-f', '-t', '0', 'shop');
  expect(await names()).toEqual([]);
});

test('the containers of a pod share its endpoint', async () => {
  await podman().must('pod', 'create', '--name', 'team', '--network', 'web:alias=member');
  await podman().runContainer('member', '--pod', 'team');
  const [row] = await rowsOf('team');
  expect(row).toMatchObject({ Network: 'web' });
  expect(await podman().lookUp('member', 'member')).toEqual([row!.IPv4Address.split('/')[0]]);
  await podman().must('pod', 'rm', '-f', '-t', '0', 'team');
  expect(await names()).toEqual([]);
});

test('a port that Podman is asked for leads to the container, once for all of its networks', async () => {
  await podman().runContainer('open', '--network', 'back', '--network', 'web', '-p', '8080:80');
  await podman().must('exec', '-d', 'open', 'nc', '-ll', '-p', '80', '-e', 'echo', 'here');
  await until('the container to serve', async () => (await call(host(), 'tcp', host().address, 8080)) === 'here');
  const { stderr } = await host().overlayd('publish', '8080:web/open:80');
  expect(stderr).toMatch(/8080\/tcp of this host is published by podman for its container open already/);
  await podman().must('rm', '-f', '-t', '0', 'open');
  expect(await host().json('publish', 'ls')).toEqual([]);
  expect(await call(host(), 'tcp', host().address, 8080)).toBeUndefined();
});

test('what cannot be is refused with the cause, and leaves nothing', async () => {
  const run = (...options: string[]) => podman().podman('run', '-d', '--name', 'bad', ...options, IMAGE);
  await podman().runContainer('holder', '--network', 'web', '--ip', '10.50.0.88');
  const taken = await run('--network', 'web', '--ip', '10.50.0.88');
  expect(taken.stderr).toContain('10.50.0.88 belongs to holder');
  await podman().must('rm', '-f', 'bad');
  const odd = await podman().podman('network', 'create', '-d', 'overlayd', '-o', 'colour=red', 'odd');
  expect(odd.stderr).toContain('unknown option "colour"');
  const other = await podman().podman('network', 'create', '-d', 'overlayd', '-o', 'net=web', '--internal', 'mine');
  expect(other.stderr).toContain('network web is there already and is not --internal');
  await podman().must('rm', '-f', '-t', '0', 'holder');
  expect(await names()).toEqual([]);
  expect(await podman().networks()).toEqual(['back', 'web']);
});

test('what happens while no agent runs is made good by the next one', async () => {
  await podman().runContainer('gone', '--network', 'web');
  await podman().runContainer('stays', '--network', 'web');
  const stays = await addressOf(host(), 'stays', 'web');
  await host().agent.kill();
  const removed = await podman().podman('rm', '-f', '-t', '0', 'gone');
  expect(removed.code).toBe(0);
  await podman().must('rename', 'stays', 'stayed');
  await host().agent.start();
  await until('the one that is left', async () => (await names()).join() === 'stayed');
  expect(await addressOf(host(), 'stayed', 'web')).toBe(stays);
});

test('a container that is killed together with who watches it loses its endpoint', async () => {
  const id = (await podman().must('inspect', '-f', '{{.Id}} {{.State.Pid}} {{.State.ConmonPid}}', 'stayed')).split(' ');
  await host().must(['kill', '-9', id[2]!, id[1]!]);
  await until('nothing to be left', async () => (await names()).length === 0, 150_000);
  // Podman shows it as running, and takes two goes to find out.
  await until('it to be removed', async () => (await podman().podman('rm', '-f', '-t', '0', 'stayed')).code === 0);
  await podman().runContainer('stayed', '--network', 'web');
  expect(await names()).toEqual(['stayed']);
  await podman().must('rm', '-f', '-t', '0', 'stayed');
});

test('networks go as they came', async () => {
  await podman().must('network', 'create', '-d', 'overlayd', 'mine');
  await podman().must('network', 'create', '-d', 'overlayd', '-o', 'net=web', 'other');
  await podman().must('network', 'rm', 'mine', 'other', 'back');
  await until('the one that Podman made to be gone, and the offered one back', async () => {
    const found = (await host().json('network', 'ls')).map(({ Name }: { Name: string }) => Name).sort();
    return found.join() === 'back,web' && (await podman().networks()).join() === 'back,web';
  });
  await host().mustOverlayd('network', 'rm', 'back');
  await until('it to be gone from Podman', async () => (await podman().networks()).join() === 'web');
});

test('a container whose own check fails is in no answers, until it is well', async () => {
  const check = ['--health-cmd', 'test -e /tmp/well', '--health-retries', '1', '--health-interval', 'disable'];
  await podman().runContainer('sick', '--network', 'web:alias=pool', ...check);
  await podman().runContainer('fit', '--network', 'web:alias=pool');
  const [sick, fit] = [await addressOf(host(), 'sick'), await addressOf(host(), 'fit')];
  const both = [sick, fit].sort();
  await until('both names', async () => (await podman().lookUp('fit', 'pool')).join() === both.join());
  expect((await podman().podman('healthcheck', 'run', 'sick')).code).not.toBe(0);
  await until('one to be left out', async () => (await podman().lookUp('fit', 'pool')).join() === fit);
  expect((await rowsOf('sick'))[0]).toMatchObject({ Health: 'unhealthy' });
  await podman().must('exec', 'sick', 'touch', '/tmp/well');
  await podman().must('healthcheck', 'run', 'sick');
  await until('both again', async () => (await podman().lookUp('fit', 'pool')).join() === both.join());
  await podman().must('rm', '-f', '-t', '0', 'sick', 'fit');
});
