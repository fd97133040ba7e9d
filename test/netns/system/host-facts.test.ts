/** What a host's kernel tells of its addresses, routes and MTU of IPv6. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { askRouting } from '../../../src/adapters/kernel/host-routing.ts';
import { createHostFacts } from '../../../src/adapters/system/host-facts.ts';
import type { HostFacts } from '../../../src/ports/host.ts';
import type { Host } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { until } from '../../lab/until.ts';

let lab: Lab;
let host: Host;
let facts: HostFacts;

beforeAll(async () => {
  lab = await Lab.open({ hosts: 2, family: 6 });
  host = lab.host(1);
  facts = createHostFacts({
    routing: async (question) => askRouting(question, `/proc/${host.pid}/ns/net`),
    nameServers: async () => [],
  });
});
afterAll(() => lab?.close());

const ip = (...lines: readonly string[]) => host.must(['ip', '-batch', '-'], { input: lines.join('\n') });
const set = (...settings: readonly string[]) =>
  host.must(['sysctl', '-q', '-w', ...settings.map((setting) => `net.ipv6.conf.eth0.${setting}`)]);

it('addresses are told with what a host cannot be known by', async () => {
  await ip('address add 10.77.0.1/24 dev eth0', 'address add 10.77.0.8/24 dev eth0');
  expect(await facts.addresses()).toEqual([
    { link: 'eth0', address: '10.77.0.1', prefix: 24 },
    // Of IPv4 the bit of temporary ones says that another one comes first.
    { link: 'eth0', address: '10.77.0.8', prefix: 24 },
    { link: 'eth0', address: '2001:db8:77::1', prefix: 64 },
  ]);
  await ip('address flush dev eth0 scope global');

  await set('use_tempaddr=2', 'dad_transmits=0');
  await ip('address add 2001:db8:77::1/64 dev eth0 mngtmpaddr');
  await until('a temporary address beside the other', async () => {
    const addresses = (await facts.addresses()).map(({ address, unfit }) => unfit ?? address);
    return addresses.sort().join() === '2001:db8:77::1,temporary';
  });
  await ip('address flush dev eth0 scope global');

  await set('use_tempaddr=0', 'dad_transmits=1');
  await ip(
    'address add 2001:db8:77::1/64 dev eth0 nodad',
    'address add 2001:db8:77::7/64 dev eth0 nodad preferred_lft 0',
    'address add 2001:db8:77::2/64 dev eth0',
  );
  await until('the other host to defend its address', async () =>
    (await facts.addresses()).some(({ unfit }) => unfit === 'duplicate'),
  );
  await set('dad_transmits=1000');
  await ip('address add 2001:db8:77::9/64 dev eth0');
  const byAddress = new Map((await facts.addresses()).map(({ address, unfit }) => [address, unfit]));
  expect([...byAddress].sort()).toEqual([
    ['2001:db8:77::1', undefined],
    ['2001:db8:77::2', 'duplicate'],
    ['2001:db8:77::7', 'deprecated'],
    ['2001:db8:77::9', 'tentative'],
  ]);
  await ip('address flush dev eth0 scope global', 'address add 2001:db8:77::1/64 dev eth0 nodad');
  await set('dad_transmits=1');
});

it('routes are told of both families, but for those of each link, and gateways that are of one link', async () => {
  await ip(
    'route add 2001:db8:8::/48 via 2001:db8:77::fe',
    'route add 2001:db8:9::/64 dev eth0 proto ra',
    'route add fd00:8::/32 nexthop via 2001:db8:77::fd nexthop via 2001:db8:77::fc',
    'route add blackhole fd00:9::/48',
    'route replace default via fe80::1 dev eth0',
    'route add fd00:a::/64 dev eth0 proto 79',
  );
  const routes = (await facts.routes()).toSorted((a, b) => (a.destination < b.destination ? -1 : 1));
  const via = (destination: string, gateways: readonly string[] = []) => ({
    ...{ destination, link: 'eth0', onLink: false, gateways },
  });
  expect(routes).toEqual([
    { ...via('2001:db8:77::/64'), onLink: true },
    via('2001:db8:8::/48', ['2001:db8:77::fe']),
    { ...via('2001:db8:9::/64'), onLink: true },
    via('::/0'),
    via('fd00:8::/32', ['2001:db8:77::fd', '2001:db8:77::fc']),
    expect.objectContaining({ destination: 'fd00:9::/48', onLink: false }),
  ]);
});

it('the MTU is that of the way of IPv6, or of what a router has told for the link', async () => {
  const source = '2001:db8:77::1';
  expect(await facts.underlay(source, [])).toEqual({ mtuBytes: 1500, limit: 'link eth0' });
  await ip('route add 2001:db8:10::/48 via 2001:db8:77::fe mtu 1300');
  const peers = ['2001:db8:77::2', '2001:db8:10::1', '192.0.2.1'];
  expect(await facts.underlay(source, peers)).toEqual({ mtuBytes: 1300, limit: 'a route by eth0' });
  await set('mtu=1400');
  expect((await facts.underlay(source, ['2001:db8:77::2'])).mtuBytes).toBe(1400);
  expect((await facts.underlay(source, [])).mtuBytes).toBe(1400);
  await set('mtu=1500');
  await expect(facts.underlay('2001:db8::1', [])).rejects.toMatchObject({ code: 'invalid-address' });
});

it('the way of a packet is told as that of IPv4', async () => {
  const links = await facts.linksTo(['2001:db8:77::2', '2001:db8:77::1', 'fd00:9::1', '2001:db8:8::1']);
  expect(Object.fromEntries(links)).toEqual({
    '2001:db8:77::2': 'eth0',
    '2001:db8:77::1': 'lo',
    '2001:db8:8::1': 'eth0',
  });
});
