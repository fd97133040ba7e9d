/** Networks with IPv6: which subnets they get, whoever makes them at the same moment, and from when a cluster can have them. */
import { afterEach, describe, expect, it } from 'vitest';
import { containsCidr, requireCidr } from '../../src/core/cidr.ts';
import { type AgentVersion, STORE_LEVEL } from '../../src/core/levels.ts';
import type { NetworkRequest } from '../../src/core/network-request.ts';
import { decodeCluster, encodeRecord } from '../../src/core/record-codec.ts';
import { keys } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import type { SimulatedClusterOptions } from './cluster-options.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

const OLD: AgentVersion = { version: '0.1.0', levels: { from: 1, to: 1 } };
const NEW: AgentVersion = { version: '0.2.0', levels: { from: 1, to: 2 } };
const ULA = 'fd12:3456:789a::/48';

let cluster: SimulatedCluster;
let one: SimulatedHost;
let two: SimulatedHost;

/** Clusters that speak more have a prefix, which keepers draw. */
const BEFORE: AgentVersion = { version: '0.1.0', levels: { from: 1, to: STORE_LEVEL - 1 } };

async function make(options: Partial<SimulatedClusterOptions> = {}): Promise<void> {
  cluster = new SimulatedCluster({ seed: 1, agent: BEFORE, ...options });
  await cluster.start(2);
  [one, two] = cluster.hosts as [SimulatedHost, SimulatedHost];
}

afterEach(() => cluster.stop());

const until = <T>(promise: Promise<T>) => cluster.clock.until(promise);
const pass = (ms: number) => cluster.clock.advance(ms);
const inEtcd = () => decodeCluster(cluster.etcd.entries(keys.cluster)[0]!.value)!;
const write = (parts: object) =>
  cluster.etcd.txn([], [{ kind: 'put', key: keys.cluster, value: encodeRecord({ ...inEtcd(), ...parts }) }]);

async function create(host: SimulatedHost, name: string, overrides: Partial<NetworkRequest> = {}): Promise<string[]> {
  const { subnets } = await host.running.networks.create(networkRequest(name, { ipv6: true, ...overrides }));
  return subnets.map(({ cidr }) => cidr);
}

const add = (host: SimulatedHost, subnet: string) => host.running.networks.addSubnet('web', { subnet });

/** The addresses that it gets. */
async function connect(host: SimulatedHost): Promise<string[]> {
  const container = host.addContainer();
  const { endpoint } = await host.running.endpoints.connect({ network: 'web', container, aliases: [] });
  return endpoint.record.addresses.map(({ ip }) => ip);
}

describe('a network with IPv6', () => {
  it('has a subnet of each of its families, IPv4 first, the next free ones', async () => {
    await make();
    write({ ulaPrefix: ULA });
    await pass(1_000);
    expect(await until(create(one, 'dual'))).toEqual(['10.0.0.0/24', 'fd12:3456:789a::/64']);
    expect(await until(create(two, 'six', { ipv4: false }))).toEqual(['fd12:3456:789a:1::/64']);
    expect(await until(create(one, 'four', { ipv6: false }))).toEqual(['10.0.1.0/24']);
    expect(await until(create(one, 'asked', { subnets: ['2001:db8:1::/64'] }))).toEqual([
      '10.0.2.0/24',
      '2001:db8:1::/64',
    ]);
    const both = { subnets: ['fd12:3456:789a:2::/64', '10.0.3.0/24', 'fd12:3456:789a:4::/64'] };
    expect(await until(create(two, 'both', both))).toEqual([
      '10.0.3.0/24',
      'fd12:3456:789a:2::/64',
      'fd12:3456:789a:4::/64',
    ]);
    expect(await until(create(two, 'next'))).toEqual(['10.0.4.0/24', 'fd12:3456:789a:3::/64']);
    await expect(until(create(two, 'taken', { subnets: ['2001:db8::/32'] }))).rejects.toThrow(
      'pool overlaps with other one on this address space: 2001:db8:1::/64 of network asked',
    );
    await checkQuiet(cluster);
  });

  it('gives its subnets back with its removal', async () => {
    await make();
    const made = await until(create(one, 'web'));
    await pass(1_000);
    await until(two.running.networks.remove('web', new AbortController().signal));
    await pass(1_000);
    expect(await until(create(two, 'again'))).toEqual(made);
  });

  it('is as wide as IPv6 needs it', async () => {
    await make();
    await expect(until(create(one, 'web', { options: { mtu: '1279' } }))).rejects.toThrow('IPv6 needs an MTU of 1280');
    await until(create(one, 'web', { ipv6: false, options: { mtu: '1279' } }));
    await expect(until(add(two, 'fd00:1::/64'))).rejects.toThrow('the option gives the network one of 1279');
    two.facts.mtuBytes = 1_300;
    two.running.noteHostChange();
    await pass(6_000);
    await expect(until(create(one, 'other'))).rejects.toThrow(
      'and h2 (link eth0, 1300) leaves 1250 inside of networks',
    );
  });
});

describe('the prefix of a cluster that has none', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])('is drawn once, whoever needs it at the same moment (seed %i)', async (seed) => {
    await make({ seed, etcdMs: 5 });
    expect(inEtcd().ulaPrefix).toBeUndefined();
    const makers = Array.from({ length: 6 }, (_, i) => create(i % 2 ? one : two, `n${i}`, { ipv4: i % 3 === 0 }));
    const made = (await until(Promise.all(makers))).map((cidrs) => requireCidr(cidrs.at(-1)!, 'subnet'));
    const prefix = requireCidr(inEtcd().ulaPrefix!, 'prefix');
    expect(prefix.prefix).toBe(48);
    expect(made.every((subnet) => subnet.prefix === 64 && containsCidr(prefix, subnet))).toBe(true);
    expect(new Set(made.map(({ ip }) => ip.value)).size).toBe(6);
    await pass(1_000);
    for (const host of [one, two]) expect(host.running.view.cluster()).toEqual(inEtcd());
    await checkQuiet(cluster);
  });

  it('stays where nobody needs it, and is what another host drew meanwhile', async () => {
    await make();
    await until(create(one, 'four', { ipv6: false }));
    await until(create(one, 'asked', { subnets: ['fd00:1::/64'] }));
    expect(inEtcd().ulaPrefix).toBeUndefined();
    one.store.cut();
    await pass(3_000);
    write({ ulaPrefix: ULA });
    one.store.heal();
    expect(await until(create(one, 'six', { ipv4: false }))).toEqual(['fd12:3456:789a::/64']);
  });

  it('leaves what another version wrote into the record', async () => {
    await make();
    write({ later: { a: 1 } });
    await until(create(one, 'web'));
    expect(inEtcd()).toMatchObject({ later: { a: 1 }, ulaPrefix: expect.any(String) });
  });
});

describe('a subnet of IPv6 for a network of IPv4', () => {
  it('is added at one host and there on all, and one of IPv4 for one of IPv6', async () => {
    await make();
    await until(create(one, 'web', { ipv6: false }));
    await pass(1_000);
    const { subnets } = await until(add(two, 'fd00:1::/64'));
    expect(subnets.map(({ cidr, gateway }) => [cidr, gateway])).toEqual([
      ['10.0.0.0/24', '10.0.0.1'],
      ['fd00:1::/64', 'fd00:1::1'],
    ]);
    await pass(1_000);
    expect(one.running.networks.list()[0]!.subnets).toEqual(subnets);
    await expect(until(add(one, 'fd00:1::/60'))).rejects.toThrow('fd00:1::/64 of network web');
    await until(create(one, 'six', { ipv4: false }));
    const six = await until(one.running.networks.addSubnet('six', { subnet: '10.9.0.0/24' }));
    expect(six.subnets.map(({ cidr }) => cidr)).toEqual([expect.stringMatching('^fd'), '10.9.0.0/24']);
    await checkQuiet(cluster);
  });

  it.each([1, 2, 3, 4, 5])(
    'comes while containers are connected: each has all families or those of before (seed %i)',
    async (seed) => {
      await make({ seed, etcdMs: 5 });
      await until(create(one, 'web', { ipv6: false }));
      await pass(1_000);
      const former = await until(connect(two));
      const connecting = [one, two, one, two, one, two].map((host) => connect(host));
      const added = add(one, 'fd00:1::/64');
      const further = [two, one].map((host) => added.then(() => connect(host)));
      const during = await until(Promise.all(connecting));
      const after = await until(Promise.all(further));
      await pass(1_000);
      expect(former).toHaveLength(1);
      for (const addresses of during) expect([1, 2]).toContain(addresses.length);
      for (const addresses of after)
        expect(addresses).toEqual([expect.stringMatching('^10.'), expect.stringMatching('^fd')]);
      expect(new Set([former, ...during, ...after].flat()).size).toBe(1 + during.flat().length + 4);
      await one.stop();
      await until(one.start());
      await checkQuiet(cluster);
      expect(two.running.local.all()[0]!.record.addresses).toHaveLength(1);
    },
  );

  it('and another one at the same moment are both there', async () => {
    await make({ etcdMs: 5 });
    await until(create(one, 'web', { ipv6: false }));
    await pass(1_000);
    await until(Promise.all([add(one, 'fd00:1::/64'), add(two, 'fd00:2::/64'), create(two, 'dual')]));
    await pass(1_000);
    const web = two.running.networks.list().find(({ name }) => name === 'web')!;
    expect(web.subnets.map(({ cidr }) => cidr).sort()).toEqual(['10.0.0.0/24', 'fd00:1::/64', 'fd00:2::/64']);
  });
});

describe('a cluster with older agents', () => {
  async function install(host: SimulatedHost, agent: AgentVersion): Promise<void> {
    await host.stop();
    host.agent = agent;
    await until(host.start());
    await pass(3_000);
  }

  it('refuses IPv6 and names their hosts, until they are upgraded', async () => {
    await make({ agent: OLD });
    await install(one, NEW);
    const refusal = { code: 'version-mismatch', message: expect.stringContaining('upgrade it on h2 (0.1.0), or') };
    await expect(until(create(one, 'web'))).rejects.toMatchObject(refusal);
    await until(create(one, 'web', { ipv6: false }));
    await expect(until(add(one, 'fd00:1::/64'))).rejects.toMatchObject(refusal);
    expect(inEtcd()).toMatchObject({ level: 1 });
    expect(inEtcd().ulaPrefix).toBeUndefined();
    await install(two, NEW);
    await until(create(one, 'dual'));
    await until(add(two, 'fd00:1::/64'));
    await checkQuiet(cluster);
  });

  it('does not rise, and refuses IPv6, while a member’s record cannot be read', async () => {
    await make({ agent: OLD });
    cluster.etcd.txn([], [{ kind: 'put', key: keys.node('node9'), value: '{"id":9}' }]);
    for (const host of [one, two]) await install(host, NEW);
    await expect(until(create(one, 'web'))).rejects.toMatchObject({
      code: 'version-mismatch',
      message: expect.stringContaining(`${keys.node('node9')} in etcd cannot be read`),
    });
    cluster.etcd.txn([], [{ kind: 'delete', key: keys.node('node9') }]);
    await pass(3_000);
    await until(create(one, 'web'));
  });

  it('has risen where another host says so first', async () => {
    await make({ agent: OLD });
    await install(one, NEW);
    one.store.cut();
    cluster.partition([one], [two], []);
    await two.stop();
    two.agent = NEW;
    await until(two.start());
    await pass(3_000);
    expect(inEtcd().level).toBe(2);
    cluster.heal();
    // Before its watch has told it.
    await until(create(one, 'web'));
  });
});
