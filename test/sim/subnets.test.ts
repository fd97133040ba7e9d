/** Networks of several subnets: claimed and freed together, filled one behind the other, and given more while they are in use. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { firstAddress, keys } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;
let one: SimulatedHost;
let two: SimulatedHost;

beforeEach(async () => {
  cluster = new SimulatedCluster({ seed: 1 });
  await cluster.start(2);
  [one, two] = cluster.hosts as [SimulatedHost, SimulatedHost];
});

afterEach(() => cluster.stop());

const until = <T>(promise: Promise<T>) => cluster.clock.until(promise);
const pass = (ms: number) => cluster.clock.advance(ms);
const create = (host: SimulatedHost, name: string, ...subnets: readonly string[]) =>
  host.running.networks.create(networkRequest(name, { subnets }));
const held = () =>
  cluster.etcd
    .entries(keys.subnets)
    .map(({ key }) => key.slice(keys.subnets.length))
    .filter((key) => key !== 'guard')
    .sort();

async function connect(host: SimulatedHost, ip?: string): Promise<string> {
  const container = host.addContainer();
  const { endpoint } = await host.running.endpoints.connect({ network: 'web', container, aliases: [], ip });
  return firstAddress(endpoint.record);
}

/** Ways inside of each of the host's containers, its own subnet's excluded. */
const ways = (host: SimulatedHost) =>
  host.running.local.all().map(({ container }) =>
    host.kernel.machine
      .snapshot(container.path)!
      .routes.filter(({ gateway }) => gateway === undefined)
      .map(({ destination }) => destination),
  );

describe('a network of two subnets', () => {
  it('holds both, and frees both', async () => {
    await until(create(one, 'web', '10.5.0.0/29', '10.6.0.0/29'));
    expect(held()).toEqual(['10.5.0.0_29', '10.6.0.0_29']);
    await pass(1_000);
    await expect(until(create(two, 'other', '10.7.0.0/24', '10.6.0.0/16'))).rejects.toThrow(
      '10.6.0.0/29 of network web',
    );
    expect(held()).toEqual(['10.5.0.0_29', '10.6.0.0_29']);
    await until(two.running.networks.remove('web', new AbortController().signal));
    await pass(1_000);
    expect(held()).toEqual([]);
    await until(create(two, 'other', '10.7.0.0/24', '10.6.0.0/16'));
  });

  it('gives addresses of the second when the first has none, and each container has a way to the other', async () => {
    await until(create(one, 'web', '10.5.0.0/29', '10.6.0.0/29'));
    await pass(1_000);
    const addresses: string[] = [];
    for (let i = 0; i < 7; i++) addresses.push(await until(connect(i % 2 ? one : two)));
    expect(addresses.slice(0, 5).every((address) => address.startsWith('10.5.0.'))).toBe(true);
    expect(addresses.slice(5)).toEqual(['10.6.0.2', '10.6.0.3']);
    expect(await until(connect(one, '10.6.0.6'))).toBe('10.6.0.6');
    await pass(1_000);
    expect(ways(one).flat().sort()).toEqual(['10.5.0.0/29', '10.5.0.0/29', '10.6.0.0/29', '10.6.0.0/29'].sort());
    for (const host of [two, one, two]) await until(connect(host).catch(() => undefined));
    await expect(until(connect(two))).rejects.toThrow('(10.5.0.0/29, 10.6.0.0/29): 10 used, 0 free');
    await checkQuiet(cluster);
  });

  it('is one of several that race for the same blocks', async () => {
    const made = await until(
      Promise.allSettled([
        create(one, 'a', '10.5.0.0/24', '10.6.0.0/24'),
        create(two, 'b', '10.6.0.0/24', '10.7.0.0/24'),
        create(two, 'c', '10.7.0.0/25', '10.5.0.0/25'),
      ]),
    );
    expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(held()).toHaveLength(2);
  });
});

describe('another subnet', () => {
  beforeEach(async () => {
    await until(create(one, 'web', '10.5.0.0/29'));
    await pass(1_000);
  });

  const add = (host: SimulatedHost, subnet: string) => host.running.networks.addSubnet('web', { subnet });

  it('makes room on a full network, and containers that are there get the way to it', async () => {
    for (let i = 0; i < 5; i++) await until(connect(two));
    await expect(until(connect(two))).rejects.toThrow('overlayd network subnet add web CIDR');
    const { subnets } = await until(add(one, '10.6.0.0/29'));
    expect(subnets.map(({ cidr, gateway }) => `${cidr} ${gateway}`)).toEqual([
      '10.5.0.0/29 10.5.0.1',
      '10.6.0.0/29 10.6.0.1',
    ]);
    await pass(1_000);
    expect(ways(two)).toEqual(Array.from({ length: 5 }, () => ['10.6.0.0/29']));
    expect(await until(connect(two))).toBe('10.6.0.2');
    expect(await until(connect(one))).toBe('10.6.0.3');
    await checkQuiet(cluster);
  });

  it('is not what others hold, nor the network itself', async () => {
    await until(create(two, 'other', '10.6.0.0/24'));
    await expect(until(add(one, '10.6.0.0/29'))).rejects.toThrow('10.6.0.0/24 of network other');
    await expect(until(add(one, '10.5.0.0/24'))).rejects.toThrow('10.5.0.0/29 of network web');
    await expect(until(add(one, '10.7.0.1/24'))).rejects.toThrow('did you mean 10.7.0.0/24?');
    await expect(until(one.running.networks.addSubnet('none', { subnet: '10.7.0.0/24' }))).rejects.toMatchObject({
      code: 'network-not-found',
    });
    expect(held()).toEqual(['10.5.0.0_29', '10.6.0.0_24']);
  });

  it('and another one at the same moment are both there', async () => {
    await until(Promise.all([add(one, '10.6.0.0/29'), add(two, '10.7.0.0/29'), create(two, 'other', '10.8.0.0/29')]));
    await pass(1_000);
    for (const host of [one, two]) {
      const web = host.running.networks.list().find(({ name }) => name === 'web');
      expect(web?.subnets.map(({ cidr }) => cidr).sort()).toEqual(['10.5.0.0/29', '10.6.0.0/29', '10.7.0.0/29']);
    }
    expect(held()).toEqual(['10.5.0.0_29', '10.6.0.0_29', '10.7.0.0_29', '10.8.0.0_29']);
  });

  it('that comes while containers are connected disturbs none of them', async () => {
    const connecting = [one, two, one, two, one].map((host) => connect(host));
    const added = add(one, '10.6.0.0/29');
    const further = [two, one, two].map((host) => added.then(() => connect(host)));
    const addresses = await until(Promise.all([...connecting, ...further]));
    expect(new Set(addresses).size).toBe(8);
    await checkQuiet(cluster);
  });

  it('and the removal of its network leave nothing, whichever is first', async () => {
    const removal = one.running.networks.remove('web', new AbortController().signal);
    const added = add(two, '10.6.0.0/29').then(
      () => 'added',
      (error: { code: string }) => error.code,
    );
    await until(removal);
    expect(['added', 'network-not-found']).toContain(await until(added));
    await pass(5_000);
    expect(held()).toEqual([]);
  });
});
