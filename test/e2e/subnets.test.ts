/** A network of several subnets on two hosts: the next one when the first is full, all reach all, and one more while it is in use. */
import { describe, expect, test } from 'vitest';
import { attach, reaches, resolve, untilReaches, untilResolves } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

describe.each([
  ['with a way out', []],
  ['without one', ['--internal']],
])('a network %s', (_, options) => {
  const lab = useLab({ hosts: 2, cluster: true });
  const overlayd = (...args: readonly string[]) =>
    lab()
      .host(1)
      .mustOverlayd(...args);
  /** By container: its address. The odd ones are on the first host. */
  const addresses = new Map<string, string>();
  const hostOf = (container: string) => lab().host(Number(container.slice(1)) % 2 ? 1 : 2);

  async function add(container: string, ...flags: readonly string[]): Promise<string> {
    const address = await attach(hostOf(container), container, 'web', ...flags);
    addresses.set(container, address);
    return address;
  }

  async function allReachAll(): Promise<void> {
    for (const container of addresses.keys())
      for (const [other, address] of addresses) {
        await untilReaches(hostOf(container), container, address);
        await untilResolves(hostOf(container), container, other, [address]);
      }
  }

  test('of two subnets gives addresses of the second when the first is full', async () => {
    await overlayd('network', 'create', ...options, '--subnet', '10.60.0.0/29', '--subnet', '10.61.0.0/29', 'web');
    for (const container of ['c1', 'c2', 'c3', 'c4', 'c5']) expect(await add(container)).toMatch(/^10\.60\.0\.[2-6]$/);
    expect(await add('c6')).toBe('10.61.0.2');
    expect(await add('c7', '--ip', '10.61.0.6')).toBe('10.61.0.6');
    await allReachAll();
    expect((await resolve(lab().host(1), 'c1', '10.61.0.2', 'PTR')).values).toEqual(['c6.web.']);
    expect(await lab().host(2).mustExec('c6', ['cat', '/etc/resolv.conf'])).toContain('nameserver 10.61.0.1');
  });

  test('goes on while another subnet is added, and gives addresses of that', async () => {
    const ping = lab()
      .host(1)
      .exec('c1', ['ping', '-n', '-i', '0.05', '-c', '100', addresses.get('c6')!]);
    for (const container of ['c8', 'c9', 'c10']) await add(container);
    const ref = await lab().host(1).container('c11');
    const full = await lab().host(1).overlayd('network', 'connect', 'web', ref);
    expect(full.stderr).toContain('10 used, 0 free, 0 quarantined; disconnect containers, or give it another subnet');
    const added = await lab()
      .host(2)
      .mustOverlayd('network', 'subnet', 'add', '--gateway', '10.62.0.6', 'web', '10.62.0.0/29');
    expect(added.split('\n')).toEqual(['10.60.0.0/29', '10.61.0.0/29', '10.62.0.0/29']);
    const connected = await lab().host(1).mustOverlayd('network', 'connect', 'web', ref);
    expect(connected).toBe('10.62.0.1');
    addresses.set('c11', connected);
    expect(await add('c12')).toBe('10.62.0.2');
    await allReachAll();
    const [web] = await lab().host(2).json('network', 'inspect', 'web');
    expect(web.IPAM.Config).toEqual([
      { Subnet: '10.60.0.0/29', Gateway: '10.60.0.1' },
      { Subnet: '10.61.0.0/29', Gateway: '10.61.0.1' },
      { Subnet: '10.62.0.0/29', Gateway: '10.62.0.6' },
    ]);
    expect(web.Addresses).toMatchObject({ Total: 24, Used: 12, Reserved: 9 });
    expect((await ping).stdout).toMatch(/100 received, 0% packet loss/);
  });

  test('has the way out for each of its subnets, or none', async () => {
    for (const container of ['c1', 'c6', 'c12']) {
      await untilReaches(hostOf(container), container, '10.62.0.6');
      const leaves = await reaches(hostOf(container), container, '198.51.100.1');
      expect(leaves).toBe(options.length === 0);
    }
  });

  test('frees all of them', async () => {
    for (const container of addresses.keys()) {
      await hostOf(container).mustOverlayd('network', 'disconnect', 'web', `netns:${container}`);
    }
    await overlayd('network', 'rm', 'web');
    await until('its subnets to be free', async () => {
      const args = ['--subnet', '10.62.0.0/24', '--subnet', '10.60.0.0/23', 'next'];
      return (
        (
          await lab()
            .host(2)
            .overlayd('network', 'create', ...args)
        ).code === 0
      );
    });
    await overlayd('network', 'rm', 'next');
  });
});
