/** Networks of both families over the data path: each family has its own way out, and one may come while the other is in use. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LocalEndpoint } from '../../../src/core/container.ts';
import type { NetworkRecord } from '../../../src/core/records.ts';
import { addIpv6, OUTSIDE_IPV6, UNDERLAY_IPV6, underlayLink } from '../../lab/dual-stack.ts';
import type { Host } from '../../lab/host.ts';
import { INTERNET } from '../../lab/internet.ts';
import { Lab } from '../../lab/lab.ts';
import { until } from '../../lab/until.ts';
import { Station } from './station.ts';

let lab: Lab;
let a: Station;
let b: Station;

async function ping(host: Host, container: string, address: string, ...options: string[]): Promise<boolean> {
  return (await host.exec(container, ['ping', '-q', '-c', '1', '-W', '1', ...options, address])).code === 0;
}

const ipv4Of = (number: number, last: number) => `10.0.${number}.${last}`;
const ipv6Of = (number: number, last: number) => `fd00:${number}::${last}`;

/** The network with that number, on both hosts. */
function add(number: number, options: Record<string, string> = {}, parts: Partial<NetworkRecord> = {}): NetworkRecord {
  const block = { vni: 4100 + number, cidr: `10.0.${number}.0/24`, gateway: ipv4Of(number, 1), options };
  const made = [a, b].map(({ world }) => {
    const record = world.addNetwork(`n${number}`, block);
    const six = { cidr: `fd00:${number}::/64`, gateway: ipv6Of(number, 1), auxAddresses: {} };
    const network = { ...record, subnets: [...record.subnets, six], ...parts };
    world.networkRecords.set(network.id, network);
    return network;
  });
  return made[0]!;
}

/** With addresses of the network's families that end with that number. */
async function attach(at: Station, network: NetworkRecord, last: number, container: string): Promise<LocalEndpoint> {
  const number = network.vni - 4100;
  await at.host.container(container);
  const { record, ...rest } = await at.attach(network, ipv4Of(number, last), container);
  const six = network.subnets.flatMap(({ cidr }) =>
    cidr.includes(':') ? [{ subnet: cidr, ip: ipv6Of(number, last) }] : [],
  );
  const endpoint = { ...rest, record: { ...record, addresses: [...record.addresses, ...six] } };
  at.world.local.set(record.id, endpoint);
  for (const { world, reconciler } of [a, b]) {
    world.endpointRecords.set(record.id, endpoint.record);
    reconciler.markDirty('all');
  }
  await Promise.all([a, b].map(({ reconciler }) => reconciler.converge(network.id)));
  return endpoint;
}

beforeAll(async () => {
  lab = await Lab.open({ hosts: 2 });
  a = new Station(lab.host(1));
  b = new Station(lab.host(2));
  for (const { world } of [a, b]) for (const host of lab.hosts) world.addNode(host.name, host.address);
  await addIpv6(lab);
  a.start();
  b.start();
});

afterAll(async () => {
  await Promise.all([a?.stop(), b?.stop()]);
  await lab?.close();
});

describe('a family leaves as its gateway mode says', () => {
  it.each([
    { number: 1, family: 6, own: OUTSIDE_IPV6, other: INTERNET },
    { number: 2, family: 4, own: INTERNET, other: OUTSIDE_IPV6 },
  ])('where IPv$family is routed', async ({ number, family, own, other }) => {
    const network = add(number, { [`gateway_mode_ipv${family}`]: 'routed' });
    const container = `out${number}`;
    await attach(a, network, 2, container);
    expect(await ping(a.host, container, other)).toBe(true);
    // There is nobody who knows the way back.
    expect(await ping(a.host, container, own)).toBe(false);
    const [block, via, inside] =
      family === 6
        ? [`fd00:${number}::/64`, `${UNDERLAY_IPV6}1`, ipv6Of(number, 2)]
        : [`10.0.${number}.0/24`, a.host.address, ipv4Of(number, 2)];
    await lab.internet.must(['ip', 'route', 'add', block, 'via', via]);
    expect(await ping(a.host, container, own)).toBe(true);
    // By itself that opens nothing.
    expect((await lab.internet.run(['ping', '-q', '-c', '1', '-W', '1', inside])).code).not.toBe(0);
  });
});

it('a gateway that is isolated is so in its family alone', async () => {
  const networks = (['ipv4', 'ipv6'] as const).map((family, index) =>
    add(3 + index, { [`gateway_mode_${family}`]: 'isolated' }, { internal: true }),
  );
  const answers: boolean[] = [];
  for (const [index, network] of networks.entries()) {
    await attach(a, network, 2, `quiet${index}`);
    for (const gateway of [ipv4Of(3 + index, 1), ipv6Of(3 + index, 1)])
      answers.push(await ping(a.host, `quiet${index}`, gateway));
  }
  expect(answers).toEqual([false, true, true, false]);
});

it('containers that are not to reach each other do not in either family', async () => {
  const network = add(7, { enable_icc: 'false' });
  await attach(a, network, 2, 'apart1');
  await attach(a, network, 3, 'apart2');
  await attach(b, network, 4, 'apart3');
  const reached: string[] = [];
  for (const of of [ipv4Of, ipv6Of])
    for (const last of [1, 3, 4]) if (await ping(a.host, 'apart1', of(7, last))) reached.push(of(7, last));
  for (const address of [INTERNET, OUTSIDE_IPV6]) if (await ping(a.host, 'apart1', address)) reached.push(address);
  expect(reached).toEqual([ipv4Of(7, 1), ipv6Of(7, 1), INTERNET, OUTSIDE_IPV6]);
});

it('a network of IPv4 gets IPv6 while it is in use, and no packet is lost', async () => {
  const both = add(5);
  const four = { ...both, subnets: both.subnets.slice(0, 1) };
  for (const { world } of [a, b]) world.networkRecords.set(four.id, four);
  await attach(a, four, 2, 'former1');
  await attach(b, four, 3, 'former2');
  const pinging = a.host.exec('former1', ['ping', '-q', '-i', '0.01', '-c', '200', '-W', '1', ipv4Of(5, 3)]);
  for (const { world } of [a, b]) world.networkRecords.set(both.id, both);
  await attach(a, both, 4, 'later1');
  await attach(b, both, 5, 'later2');
  expect((await pinging).stdout).toContain(' 0% packet loss');
  for (const address of [ipv4Of(5, 2), ipv4Of(5, 3), ipv4Of(5, 5), ipv6Of(5, 5), ipv6Of(5, 1), OUTSIDE_IPV6])
    expect([address, await ping(a.host, 'later1', address)]).toEqual([address, true]);
  expect(await ping(a.host, 'former1', ipv4Of(5, 5))).toBe(true);
  const inside = await a.host.mustExec('former1', ['ip', '-6', '-o', 'address', 'show', 'dev', 'eth0']);
  expect(inside).not.toContain('fd00:5:');
  await a.quiet();
  await a.restart();
  await a.reconciler.converge(both.id);
  await a.quiet();
  expect(a.reconciler.status().writes).toBe(0);
});

it('what would leave a host without IPv6 is refused at once, until it has some', async () => {
  const network = add(8);
  const self = (hasIpv6: boolean) => {
    a.world.addNode('h1', a.host.address, { hasIpv6 });
    a.reconciler.markDirty('all');
    return a.reconciler.converge(network.id);
  };
  await self(false);
  await attach(a, network, 2, 'shut');
  const outcome = await a.host.exec('shut', ['ping', '-c', '1', '-W', '5', OUTSIDE_IPV6]);
  expect(outcome.stdout).toMatch(/From fd00:8::1 .*unreachable/);
  expect(await ping(a.host, 'shut', INTERNET)).toBe(true);
  await self(true);
  await until('a way out', () => ping(a.host, 'shut', OUTSIDE_IPV6));
  await self(false);
  await until('no way out', async () => !(await ping(a.host, 'shut', OUTSIDE_IPV6)));
  await self(true);
});

it('where the underlay becomes too narrow, IPv6 stays and goes in fragments, and IPv4 is told what fits', async () => {
  const network = add(6);
  await attach(a, network, 2, 'wide1');
  await attach(b, network, 3, 'wide2');
  for (const { host } of [a, b]) await host.must(['ip', 'link', 'set', await underlayLink(host), 'mtu', '1300']);
  for (const { world, reconciler } of [a, b]) {
    for (const host of lab.hosts) world.addNode(host.name, host.address, { underlayMtu: 1300 });
    reconciler.markDirty('all');
  }
  await Promise.all([a, b].map(({ reconciler }) => reconciler.converge(network.id)));
  const link = () => a.host.mustExec('wide1', ['ip', 'link', 'show', 'eth0']);
  await until('the MTU inside', async () => (await link()).includes('mtu 1280'));
  // With their headers both are 1280 bytes, and 1330 on the underlay.
  expect(await ping(a.host, 'wide1', ipv6Of(6, 3), '-s', '1232')).toBe(true);
  expect(await ping(a.host, 'wide1', ipv4Of(6, 3), '-s', '1252')).toBe(false);
  expect(await a.host.mustExec('wide1', ['ip', 'route', 'get', ipv4Of(6, 3)])).toContain('mtu 1250');
  expect(await ping(a.host, 'wide1', ipv4Of(6, 3), '-s', '1252')).toBe(true);
});
