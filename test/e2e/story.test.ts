import { describe, expect, test } from 'vitest';
import { joinArguments } from '../lab/cluster.ts';
import { etcdPid } from '../lab/etcd.ts';
import { reaches, resolve, untilReaches } from '../lab/network.ts';
import { observeKernel, overlayNamespaces, overlayTraces } from '../lab/observation.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

describe('from init to the last disconnect on two hosts, as a user types it', () => {
  const lab = useLab({ hosts: 2 });
  const before = new Map<string, string>();

  test('an agent that was told nothing waits and says so', async () => {
    for (const host of lab().hosts) before.set(host.name, await observeKernel(host));
    const text = await lab().host(1).mustOverlayd('status');
    expect(text).toMatch(/State: waiting/);
    expect(text).toMatch(/overlayd init/);
    expect((await lab().host(1).json('status')).State).toBe('waiting');
  });

  test('init prints the exact join line, which makes the other host a member', async () => {
    const [one, two] = [lab().host(1), lab().host(2)];
    const output = await one.mustOverlayd('init', '--advertise-addr', one.address);
    const join = joinArguments(output);
    expect(join[0]).toBe('join');
    expect(join[2]).toMatch(/^OVLTKN-1-/);
    expect(join[3]).toBe(`${one.address}:2377`);
    expect(await two.mustOverlayd(...join)).toMatch(/joined cluster/);
    for (const host of lab().hosts) {
      const nodes = await host.json('node', 'ls');
      expect(nodes.map((node: { Name: string }) => node.Name).sort()).toEqual(['h1', 'h2']);
    }
  });

  test('a network can be used on every host the moment create returns', async () => {
    const [one, two] = [lab().host(1), lab().host(2)];
    const id = await one.mustOverlayd('network', 'create', '--attachable', 'web');
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    await two.container('c2');
    const address = await two.mustOverlayd('network', 'connect', '--name', 'shop', 'web', 'netns:c2');
    expect(address).toMatch(/^10\.\d+\.\d+\.\d+$/);
  });

  test('containers reach each other by name and by alias across the hosts', async () => {
    const [one, two] = [lab().host(1), lab().host(2)];
    await one.container('c1');
    await one.mustOverlayd('network', 'connect', '--name', 'api', '--alias', 'backend', 'web', 'netns:c1');
    await untilReaches(two, 'c2', 'api');
    await untilReaches(two, 'c2', 'backend');
    await untilReaches(one, 'c1', 'shop');
    await untilReaches(two, 'c2', 'api.web');
  });

  test('what is too large for one frame passes too', async () => {
    const { Mtu } = (await lab().host(1).json('network', 'inspect', 'web'))[0];
    expect(Mtu).toBe(1450);
    const ping = ['ping', '-q', '-c', '3', '-i', '0.2', '-W', '2'];
    await lab()
      .host(2)
      .mustExec('c2', [...ping, '-M', 'do', '-s', String(Mtu - 28), 'api']);
    await lab()
      .host(2)
      .mustExec('c2', [...ping, '-s', '8000', 'api']);
  });

  test('a container reaches the outside world through its host, by name', async () => {
    for (const [number, container] of [
      [1, 'c1'],
      [2, 'c2'],
    ] as const) {
      const host = lab().host(number);
      expect(await reaches(host, container, '198.51.100.1')).toBe(true);
      expect(await resolve(host, container, 'www.example')).toEqual({ status: 'NOERROR', values: ['198.51.100.1'] });
    }
  });

  test('disconnect takes name and address away everywhere', async () => {
    const [one, two] = [lab().host(1), lab().host(2)];
    await two.mustOverlayd('network', 'disconnect', 'web', 'netns:c2');
    expect(await two.mustExec('c2', ['ip', '-o', 'link'])).not.toMatch(/eth0/);
    await until('shop to be unknown', async () => (await resolve(one, 'c1', 'shop')).status === 'NXDOMAIN');
    const [network] = await one.json('network', 'inspect', 'web');
    const names = Object.values(network.Containers as Record<string, { Name: string }>).map(({ Name }) => Name);
    expect(names).toEqual(['api']);
  });

  test('with the last container and the network nothing of ours is left in the kernel', async () => {
    const [one, two] = [lab().host(1), lab().host(2)];
    await one.mustOverlayd('network', 'disconnect', 'web', 'netns:c1');
    await two.mustOverlayd('network', 'rm', 'web');
    for (const host of [one, two]) {
      await until('the namespaces to be gone', async () => (await overlayNamespaces(host)).length === 0);
      expect(await overlayTraces(host)).toBe('');
      expect(await host.json('network', 'ls')).toEqual([]);
    }
  });

  test('nor anything at all once both have left and their agents have stopped', async () => {
    const [one, two] = [lab().host(1), lab().host(2)];
    await two.mustOverlayd('leave');
    await until('h2 to be down', async () => (await one.json('node', 'inspect', 'h2'))[0].State === 'down');
    await one.mustOverlayd('node', 'rm', 'h2');
    await one.mustOverlayd('leave');
    for (const host of [one, two]) {
      expect((await host.json('status')).State).toBe('waiting');
      expect(await host.agent.stop()).toBe(0);
      await host.run(['ip', 'netns', 'del', host === one ? 'c1' : 'c2']);
      expect(await observeKernel(host)).toBe(before.get(host.name));
      expect(await etcdPid(host)).toBe('');
    }
  });
});
