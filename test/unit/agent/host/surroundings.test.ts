import { expect, it } from 'vitest';
import { lookAround, remembering } from '../../../../src/agent/host/surroundings.ts';
import { formatCidr } from '../../../../src/core/cidr.ts';
import type { HostAddress, HostRoute } from '../../../../src/core/host-facts.ts';
import { hostHolders } from '../../../../src/core/ipam/host-holders.ts';
import { checkSubnet, chooseSubnet } from '../../../../src/core/ipam/subnet.ts';

const route = (destination: string, parts: Partial<HostRoute> = {}): HostRoute => ({
  ...{ destination, link: 'eth0', onLink: false, gateways: [] },
  ...parts,
});
const facts = (
  routes: readonly HostRoute[],
  nameServers: readonly string[] = [],
  addresses: readonly HostAddress[] = [],
) => ({
  addresses: async () => addresses,
  routes: async () => routes,
  nameServers: async () => nameServers,
  lookUp: async (name: string) => (name === 'etcd.example' ? ['10.0.7.1', '10.0.7.2'] : []),
});

it('publishes routes, name servers, gateways of every next hop and etcd', async () => {
  const routes = [
    route('10.0.1.0/24', { onLink: true }),
    route('0.0.0.0/0', { gateways: ['10.0.1.254', '10.0.1.253'] }),
    route('0.0.0.0/0', { gateways: ['10.0.2.254'] }),
    route('172.16.0.0/12', { gateways: ['10.8.0.1'] }),
  ];
  const endpoints = ['https://10.0.6.1:2379', 'https://etcd.example:2379', 'http://127.0.0.1:2379'];
  expect(await lookAround(facts(routes, ['10.0.0.2', '10.0.1.254']), endpoints)).toEqual({
    hostRoutes: ['10.0.1.0/24', '172.16.0.0/12'],
    linkRoutes: ['10.0.1.0/24'],
    hasIpv6: false,
    neededAddresses: [
      { address: '10.0.0.2', what: 'name server' },
      { address: '10.0.1.254', what: 'name server' },
      { address: '10.0.1.253', what: 'default gateway' },
      { address: '10.0.2.254', what: 'default gateway' },
      { address: '10.0.6.1', what: 'etcd server' },
      { address: '10.0.7.1', what: 'etcd server' },
      { address: '10.0.7.2', what: 'etcd server' },
      { address: '10.8.0.1', what: 'gateway' },
    ],
  });
});

it('says the same whatever the order in which the kernel and the files do', async () => {
  const routes = [route('10.0.2.0/24'), route('10.0.1.0/24'), route('10.0.1.0/24')];
  const one = await lookAround(facts(routes, ['10.0.0.3', '10.0.0.2']), []);
  expect(await lookAround(facts(routes.toReversed(), ['10.0.0.2', '10.0.0.3']), [])).toEqual(one);
});

it('publishes addresses of the host that no route of a link holds, so that no network takes them', async () => {
  const own = (link: string, address: string, prefix = 32): HostAddress => ({ link, address, prefix });
  const routes = [route('192.0.2.0/24', { onLink: true }), route('10.0.0.0/8', { gateways: ['192.0.2.254'] })];
  const addresses = [own('lo', '10.0.1.1'), own('eth0', '192.0.2.1', 24), own('wg0', '10.0.0.2')];
  const { neededAddresses, ...rest } = await lookAround(facts(routes, [], addresses), []);
  expect(neededAddresses).toEqual([
    { address: '192.0.2.254', what: 'gateway' },
    { address: '10.0.0.2', what: 'address' },
    { address: '10.0.1.1', what: 'address' },
  ]);

  const node = { name: 'h2', left: false, advertiseAddress: '192.0.2.1', vtep: '192.0.2.1', neededAddresses, ...rest };
  const holders = hostHolders([node]);
  expect(formatCidr(chooseSubnet([{ base: '10.0.0.0/8', prefix: 24 }], holders))).toBe('10.0.2.0/24');
  expect(() => checkSubnet('10.0.1.0/24', holders)).toThrow('10.0.1.1, an address of host h2; choose a subnet without');
});

it('leaves out addresses of the host that come and go, that a link holds, or that no network could take', async () => {
  const passing: readonly (readonly [link: string, address: string, prefix: number])[] = [
    ['docker0', '172.17.0.1', 16],
    ['br-1234', '172.18.0.1', 16],
    ['veth1', '10.0.4.1', 32],
    ['kube-ipvs0', '10.96.0.1', 32],
    ['eth0', '192.0.2.100', 32],
    ['lo', '169.254.53.53', 32],
  ];
  const addresses = passing.map(([link, address, prefix]) => ({ link, address, prefix }));
  const routes = [route('192.0.2.0/24', { onLink: true })];
  expect((await lookAround(facts(routes, [], addresses), [])).neededAddresses).toEqual([]);
});

it('keeps what a name of etcd led to, as a name server says some of its addresses, others each time, or none', async () => {
  const answers = [['10.0.7.2', '10.0.7.1'], ['10.0.7.3'], [], ['10.0.7.1']];
  const lookUp = remembering(async () => answers.shift()!);
  const said = [];
  for (let time = 0; time < 4; time++) said.push((await lookUp('etcd.example')).join());
  const all = '10.0.7.1,10.0.7.2,10.0.7.3';
  expect(said).toEqual(['10.0.7.1,10.0.7.2', all, all, all]);
});

it('says of IPv6 what it says of IPv4', async () => {
  const routes = [
    route('10.0.1.0/24', { onLink: true }),
    route('2001:db8:1::/64', { onLink: true }),
    route('fd00:8::/32', { gateways: ['2001:db8:1::8'] }),
    route('::/0'),
    route('::/0', { gateways: ['2001:db8:1::fe'] }),
  ];
  const addresses: readonly HostAddress[] = [
    { link: 'eth0', address: '2001:db8:1::1', prefix: 64 },
    { link: 'eth0', address: '2001:db8:1::abc', prefix: 128 },
    { link: 'eth0', address: '2001:db8:2::1', prefix: 128 },
    { link: 'eth0', address: '2001:db8:3::9c3f', prefix: 128, unfit: 'temporary' },
  ];
  const endpoints = ['https://[2001:db8:6::1]:2379', 'http://[::1]:2379'];
  const said = await lookAround(facts(routes, ['2001:db8::53'], addresses), endpoints);
  expect(said).toEqual({
    hostRoutes: ['10.0.1.0/24', '2001:db8:1::/64', 'fd00:8::/32'],
    linkRoutes: ['10.0.1.0/24', '2001:db8:1::/64'],
    hasIpv6: true,
    neededAddresses: [
      { address: '2001:db8::53', what: 'name server' },
      { address: '2001:db8:1::fe', what: 'default gateway' },
      { address: '2001:db8:6::1', what: 'etcd server' },
      { address: '2001:db8:1::8', what: 'gateway' },
      { address: '2001:db8:2::1', what: 'address' },
    ],
  });
  const holders = hostHolders([{ name: 'h2', left: false, advertiseAddress: '192.0.2.1', vtep: '192.0.2.1', ...said }]);
  expect(formatCidr(chooseSubnet([{ base: 'fd00:8::/31', prefix: 64 }], holders))).toBe('fd00:9::/64');
});

it.each<[string, boolean, HostAddress['unfit']?]>([
  ['10.0.0.1', false],
  ['fe80::1', false],
  ['2001:db8::1', true],
  ['fd00:1::1', true],
  ['2001:db8::1', true, 'temporary'],
  ['2001:db8::1', true, 'deprecated'],
  ['2001:db8::1', false, 'tentative'],
  ['2001:db8::1', false, 'duplicate'],
])('a host with %s has IPv6 beyond its links: %s', async (address, hasIpv6, unfit) => {
  const addresses: HostAddress[] = [{ link: 'docker0', address, prefix: 64, ...(unfit && { unfit }) }];
  expect(await lookAround(facts([], [], addresses), [])).toMatchObject({ hasIpv6 });
});

it('publishes so many routes of each family', async () => {
  const many = Array.from({ length: 300 }, (_, at) => [
    route(`10.${at >> 8}.${at & 255}.0/24`),
    route(`2001:db8:${at.toString(16)}::/48`),
  ]);
  const { hostRoutes } = await lookAround(facts(many.flat()), []);
  expect(hostRoutes.filter((destination) => destination.includes(':'))).toHaveLength(256);
  expect(hostRoutes).toHaveLength(512);
});
