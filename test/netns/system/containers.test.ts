/** Containers and facts of a host, against real namespaces. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { askRouting } from '../../../src/adapters/kernel/host-routing.ts';
import { createHostFacts } from '../../../src/adapters/system/host-facts.ts';
import { Lab } from '../../lab/lab.ts';
import { openKernel } from '../kernel/kernel-host.ts';

let lab: Lab;
let adapters: ReturnType<typeof openKernel>;
beforeAll(async () => {
  lab = await Lab.open({ hosts: 1 });
  adapters = openKernel(lab.host(1));
});
afterAll(() => lab?.close());

describe('a container', () => {
  it('is known by name, by path and by process', async () => {
    const host = lab.host(1);
    await host.container('c1');
    const byName = await adapters.containers.resolve('netns:c1');
    expect(byName).toMatchObject({ text: 'netns:c1', path: '/run/netns/c1' });
    expect(await adapters.containers.resolve('netns:/var/run/netns/c1')).toEqual(byName);
    const sleeper = host.spawn(['ip', 'netns', 'exec', 'c1', 'sh', '-c', 'echo $$; exec sleep 1000']);
    await expect.poll(() => sleeper.output).toMatch(/^\d+\n/);
    const pid = sleeper.output.trim();
    const byPid = await adapters.containers.resolve(`pid:${pid}`);
    expect(byPid).toMatchObject({ text: `pid:${pid}`, path: `/proc/${pid}/ns/net` });
    expect(await adapters.containers.isAlive(byPid)).toBe(true);
    await sleeper.kill('SIGKILL');
    await sleeper.exited;
    await expect.poll(() => adapters.containers.isAlive(byPid)).toBe(false);
    expect(await adapters.containers.isAlive(byName)).toBe(true);
  });

  it('is not the one before of the same name', async () => {
    const host = lab.host(1);
    const seen = new Set<string>();
    for (let round = 0; round < 6; round++) {
      await host.container('again');
      const ref = await adapters.containers.resolve('netns:again');
      expect(seen.has(ref.identity)).toBe(false);
      seen.add(ref.identity);
      expect(await adapters.containers.isAlive(ref)).toBe(true);
      await host.deleteContainer('again');
      expect(await adapters.containers.isAlive(ref)).toBe(false);
    }
  });

  it('is refused with the cause', async () => {
    const host = lab.host(1);
    const { resolve } = adapters.containers;
    await expect(resolve('netns:nobody')).rejects.toMatchObject({ code: 'namespace-not-found' });
    await expect(resolve('pid:999999')).rejects.toMatchObject({ code: 'namespace-not-found' });
    await expect(resolve('pid:1')).rejects.toMatchObject({ code: 'namespace-unusable' });
    await expect(resolve('netns:/etc/hostname')).rejects.toMatchObject({ code: 'namespace-unusable' });
    await expect(resolve('netns:/proc/1/ns/mnt')).rejects.toMatchObject({
      code: 'namespace-unusable',
      message: expect.stringContaining('is not a network namespace'),
    });
    await expect(resolve('netns:ovl-4096')).rejects.toMatchObject({ code: 'namespace-unusable' });
    for (const text of ['c1', 'netns:', 'netns:a b', 'netns:../x', 'netns:-x', 'pid:x', 'pid:0', 'netns:a\nb']) {
      await expect(resolve(text), text).rejects.toMatchObject({ code: 'invalid-argument' });
    }
    expect(host.isOn).toBe(true);
  });
});

describe('facts of the host', () => {
  it('are its addresses, its routes without ours, and the MTU towards peers', async () => {
    const host = lab.host(1);
    await host.must(['ip', '-batch', '-'], {
      input: [
        'route add 172.20.0.0/16 via 10.77.0.254 mtu 1300',
        'route add 172.21.0.9 via 10.77.0.254',
        'route add 172.22.0.0/16 nexthop via 10.77.0.252 nexthop via 10.77.0.253',
        'route add 10.9.0.0/16 dev eth0',
        'link add name ovl4096 type veth peer name x0',
        'link set dev ovl4096 up',
        'route add 10.0.0.0/24 dev ovl4096 proto 79',
      ].join('\n'),
    });
    const facts = createHostFacts({
      routing: async (question) => askRouting(question, `/proc/${host.pid}/ns/net`),
      nameServers: async () => [],
    });
    expect(await facts.addresses()).toEqual([{ link: 'eth0', address: host.address, prefix: 24 }]);
    const routes = (await facts.routes()).toSorted((a, b) => (a.destination < b.destination ? -1 : 1));
    const via = (destination: string, gateways: readonly string[]) => ({
      ...{ destination, link: 'eth0', onLink: false, gateways },
    });
    expect(routes).toEqual([
      via('0.0.0.0/0', ['10.77.0.254']),
      { ...via('10.77.0.0/24', []), onLink: true },
      via('10.9.0.0/16', []),
      via('172.20.0.0/16', ['10.77.0.254']),
      via('172.21.0.9/32', ['10.77.0.254']),
      via('172.22.0.0/16', ['10.77.0.252', '10.77.0.253']),
    ]);
    const link = { mtuBytes: 1500, limit: 'link eth0' };
    expect(await facts.underlay(host.address, [])).toEqual(link);
    expect(await facts.underlay(host.address, ['10.77.0.2', '172.21.0.9'])).toEqual(link);
    const route = { mtuBytes: 1300, limit: 'a route by eth0' };
    expect(await facts.underlay(host.address, ['10.77.0.2', '172.20.1.1'])).toEqual(route);
    await expect(facts.underlay('192.0.2.1', [])).rejects.toMatchObject({ code: 'invalid-address' });
    expect([...(await facts.links())].sort()).toEqual(['eth0', 'lo', 'ovl4096', 'x0']);
    await host.must(['ip', 'route', 'add', 'blackhole', '172.23.0.0/16']);
    const many = Array.from({ length: 1_000 }, (_, index) => `10.9.${index >> 8}.${index & 255}`);
    const links = await facts.linksTo([...many, host.address, '172.23.0.1', '10.0.0.7']);
    expect(links).toEqual(
      new Map([...many.map((address) => [address, 'eth0'] as const), [host.address, 'lo'], ['10.0.0.7', 'ovl4096']]),
    );
  });
});
