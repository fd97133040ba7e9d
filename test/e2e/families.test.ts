/** Endpoints of both families, and of IPv6 alone, on two hosts: addresses, names, and nothing left. */
import { describe, expect, test } from 'vitest';
import { Etcdctl } from '../lab/etcd.ts';
import { attach, resolve, untilReaches } from '../lab/network.ts';
import { observeKernel, overlayNamespaces } from '../lab/observation.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({ hosts: 2, cluster: true });
const one = () => lab().host(1);
const two = () => lab().host(2);

/** Keys in etcd. */
async function held(prefix: string): Promise<string[]> {
  return [...(await Etcdctl.ofBundled(one()).records()).keys()].filter((key) => key.startsWith(prefix));
}

/** As one command writes them. */
const lines = (text: string) => text.split('\n');

describe('a network of both families', () => {
  test('gives an address of each, and both are reached by name from the other host', async () => {
    await one().mustOverlayd(
      'network',
      'create',
      '--ipv6',
      '--subnet',
      '10.70.0.0/24',
      '--subnet',
      'fd00:70::/64',
      'dual',
    );
    expect(lines(await attach(one(), 'd1', 'dual'))).toEqual(['10.70.0.2', 'fd00:70::2']);
    expect(lines(await attach(two(), 'd2', 'dual', '--ip6', 'fd00:70:0::2:2', '--ip', '10.70.0.22'))).toEqual([
      '10.70.0.22',
      'fd00:70::2:2',
    ]);
    for (const target of ['10.70.0.22', 'fd00:70::2:2', 'd2']) await untilReaches(one(), 'd1', target);
    for (const target of ['10.70.0.2', 'fd00:70::2', 'fd00:70::1']) await untilReaches(two(), 'd2', target);
    expect((await resolve(one(), 'd1', 'd2', 'A')).values).toEqual(['10.70.0.22']);
    expect((await resolve(one(), 'd1', 'd2', 'AAAA')).values).toEqual(['fd00:70::2:2']);
    expect((await resolve(two(), 'd2', 'fd00:70::2', 'PTR')).values).toEqual(['d1.dual.']);
  });

  test('shows both, in Docker’s words', async () => {
    const [endpoint] = await one().json('endpoint', 'inspect', 'd2');
    expect(endpoint).toMatchObject({
      ...{ IPv4Address: '10.70.0.22/24', IPv6Address: 'fd00:70::2:2/64', MacAddress: '02:42:0a:46:00:16' },
      Addresses: [
        { Subnet: '10.70.0.0/24', Address: '10.70.0.22' },
        { Subnet: 'fd00:70::/64', Address: 'fd00:70::2:2' },
      ],
    });
    const [network] = await two().json('network', 'inspect', 'dual');
    expect(Object.values(network.Containers)).toContainEqual(
      expect.objectContaining({ Name: 'd1', IPv4Address: '10.70.0.2/24', IPv6Address: 'fd00:70::2/64' }),
    );
    expect(network.Addresses).toMatchObject({ Total: 256, Used: 2, Reserved: 3, Quarantined: 0, Free: 251 });
    expect(network.AddressesIPv6).toMatchObject({
      Used: 2,
      Reserved: 2,
      Quarantined: 0,
      Free: Number.MAX_SAFE_INTEGER,
    });
    expect(await one().mustOverlayd('endpoint', 'ls')).toContain('10.70.0.2/24, fd00:70::2/64');
    await one().mustOverlayd('ipam', 'check');
  });

  test('waits for no duplicate address detection', async () => {
    const shown = await two().mustExec('d2', ['ip', '-6', '-o', 'addr', 'show', 'dev', 'eth0']);
    for (const line of lines(shown.trim())) expect(line).toMatch(/ nodad /);
    expect(shown).toContain('fd00:70::2:2/64');
    expect(shown).not.toMatch(/tentative|dadfailed/);
  });

  test('refuses addresses that are somebody’s, or of no subnet, and takes nothing then', async () => {
    const ref = await one().container('d3');
    const connect = (...options: readonly string[]) => one().overlayd('network', 'connect', ...options, 'dual', ref);
    expect((await connect('--ip6', 'fd00:70::2:2')).stderr).toContain('fd00:70::2:2 belongs to d2 on h2');
    expect((await connect('--ip6', 'fd00:70::1')).stderr).toContain('fd00:70::1 is the gateway');
    expect((await connect('--ip6', 'fd00:71::5')).stderr).toContain(
      "out of range: the network's subnet is fd00:70::/64",
    );
    expect(await held('addresses/')).toHaveLength(4);
  });

  test('gives an IPv6 address that is asked for again the MAC that others know it by', async () => {
    const attached = async (container: string) => {
      expect(lines(await attach(one(), container, 'dual', '--ip6', 'fd00:70::77'))[1]).toBe('fd00:70::77');
      return (await one().json('endpoint', 'inspect', container))[0];
    };
    const former = await attached('d5');
    await untilReaches(two(), 'd2', 'fd00:70::77');
    await one().mustOverlayd('network', 'disconnect', 'dual', 'netns:d5');
    const next = await attached('d6');
    expect(next.MacAddress).toBe(former.MacAddress);
    expect(next.IPv4Address).not.toBe(former.IPv4Address);
    await untilReaches(two(), 'd2', 'fd00:70::77');
    await one().mustOverlayd('network', 'disconnect', 'dual', 'netns:d6');
    for (const container of ['d5', 'd6']) await one().must(['ip', 'netns', 'del', container]);
  });

  test('leaves nothing of an endpoint that is disconnected', async () => {
    const before = await observeKernel(one());
    expect(lines(await attach(one(), 'd4', 'dual'))).toHaveLength(2);
    await one().mustOverlayd('network', 'disconnect', 'dual', 'netns:d4');
    await one().must(['ip', 'netns', 'del', 'd4']);
    expect(await observeKernel(one())).toBe(before);
    expect(await held('addresses/')).toHaveLength(4);
    expect((await resolve(two(), 'd2', 'd4', 'AAAA')).status).toBe('NXDOMAIN');
  });
});

describe('a network of IPv6 alone', () => {
  test('has its names answered by its gateway', async () => {
    await one().mustOverlayd('network', 'create', '--ipv6', '--ipv4=false', '--subnet', 'fd00:71::/64', 'six');
    expect(await attach(one(), 's1', 'six')).toBe('fd00:71::2');
    expect(await attach(two(), 's2', 'six')).toBe('fd00:71::3');
    expect(await two().mustExec('s2', ['cat', '/etc/resolv.conf'])).toContain('nameserver fd00:71::1\n');
    await untilReaches(two(), 's2', 's1');
    expect((await resolve(two(), 's2', 's1', 'AAAA')).values).toEqual(['fd00:71::2']);
    expect(await resolve(two(), 's2', 's1', 'A')).toEqual({ status: 'NOERROR', values: [] });
    expect((await resolve(one(), 's1', 'fd00:71::3', 'PTR')).values).toEqual(['s2.six.']);
    expect((await one().overlayd('network', 'connect', '--ip', '10.70.0.9', 'six', 'netns:s1')).code).not.toBe(0);
    const ref = await one().container('s3');
    expect((await one().overlayd('network', 'connect', '--ip', '10.70.0.9', 'six', ref)).stderr).toContain(
      'network six has no IPv4 subnet; leave out --ip',
    );
  });

  test('gives MACs that are claimed, and frees them', async () => {
    const [endpoint] = await two().json('endpoint', 'inspect', 's1');
    expect(endpoint).toMatchObject({ IPv4Address: '', IPv6Address: 'fd00:71::2/64' });
    expect(endpoint.MacAddress).toMatch(/^62:/);
    expect(await one().mustExec('s1', ['ip', 'link', 'show', 'eth0'])).toContain(endpoint.MacAddress);
    expect(await held('macs/')).toHaveLength(2);
    for (const [host, container] of [
      [one(), 's1'],
      [two(), 's2'],
    ] as const) {
      await host.mustOverlayd('network', 'disconnect', 'six', `netns:${container}`);
    }
    expect(await held('macs/')).toEqual([]);
  });

  test('goes on without the agent, and with the next one', async () => {
    for (const [host, container] of [
      [one(), 's1'],
      [two(), 's2'],
    ] as const) {
      await host.mustOverlayd('network', 'connect', 'six', `netns:${container}`);
    }
    const [{ IPv6Address }] = await two().json('endpoint', 'inspect', 's1');
    await untilReaches(two(), 's2', IPv6Address.split('/')[0]);
    const before = await observeKernel(one());
    await one().agent.kill();
    await untilReaches(two(), 's2', 's1');
    await one().agent.start();
    expect(await observeKernel(one())).toBe(before);
    await untilReaches(one(), 's1', 's2');
  });

  test('leaves nothing when it is removed', async () => {
    for (const [host, container, network] of [
      [one(), 's1', 'six'],
      [two(), 's2', 'six'],
      [one(), 'd1', 'dual'],
      [two(), 'd2', 'dual'],
    ] as const) {
      await host.mustOverlayd('network', 'disconnect', network, `netns:${container}`);
    }
    for (const network of ['six', 'dual']) await one().mustOverlayd('network', 'rm', network);
    for (const kind of ['endpoints/', 'addresses/', 'macs/', 'networks/']) {
      await until(`${kind} to be empty`, async () => (await held(kind)).length === 0);
    }
    for (const host of [one(), two()]) expect(await overlayNamespaces(host)).toEqual([]);
  });
});
