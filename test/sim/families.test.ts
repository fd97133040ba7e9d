/** Endpoints of both families: one address of each that the network has, claimed, shown and given back together. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { proposedMac } from '../../src/core/endpoint-mac.ts';
import { encodeRecord } from '../../src/core/record-codec.ts';
import { type EndpointRecord, keys, type NetworkRecord, type SubnetSpec } from '../../src/core/records.ts';
import { networkRecord } from '../fixtures/records.ts';
import { checkQuiet } from './invariants.ts';
import { killAt, MOMENTS } from './killed-claim.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

interface Options {
  readonly ip?: string;
  readonly ip6?: string;
  readonly mac?: string;
}

const FOUR: SubnetSpec = { cidr: '10.5.0.0/24', gateway: '10.5.0.1', auxAddresses: {} };
const SIX: SubnetSpec = { cidr: 'fd00:5::/64', gateway: 'fd00:5::1', auxAddresses: {} };
/** Two endpoints each. */
const SMALL_FOUR: SubnetSpec = {
  ...FOUR,
  cidr: '10.5.0.0/29',
  auxAddresses: { a: '10.5.0.4', b: '10.5.0.5', c: '10.5.0.6' },
};
const SMALL_SIX: SubnetSpec = { ...SIX, cidr: 'fd00:5::/126' };

let cluster: SimulatedCluster;
let one: SimulatedHost;
let two: SimulatedHost;

async function make(...subnets: readonly SubnetSpec[]): Promise<NetworkRecord> {
  const web = networkRecord({ id: 'a'.repeat(64), subnets, createdAt: cluster.clock.now() });
  const writes = [
    { key: keys.network(web.id), record: web },
    { key: keys.networkName(web.name), record: { networkId: web.id } },
    { key: keys.vni(web.vni), record: { networkId: web.id } },
    ...subnets.map(({ cidr }) => ({ key: keys.subnet(cidr), record: { networkId: web.id } })),
  ];
  cluster.etcd.txn(
    [],
    writes.map(({ key, record }) => ({ kind: 'put', key, value: encodeRecord(record) })),
  );
  await cluster.clock.advance(1_000);
  return web;
}

async function begun(seed: number, etcdMs = 0): Promise<void> {
  cluster = new SimulatedCluster({ seed, etcdMs });
  await cluster.start(3);
  [one, two] = cluster.hosts as [SimulatedHost, SimulatedHost];
}

beforeEach(() => begun(1));
afterEach(() => cluster.stop());

const begin = (host: SimulatedHost, options: Options = {}) =>
  host.running.endpoints.connect({ network: 'web', container: host.addContainer(), aliases: [], ...options });
const connect = async (host: SimulatedHost, options: Options = {}) =>
  (await cluster.clock.until(begin(host, options))).endpoint.record;
const disconnect = (host: SimulatedHost, { id }: EndpointRecord) =>
  cluster.clock.until(host.running.endpoints.disconnect('web', id, false));
const ips = ({ addresses }: EndpointRecord) => addresses.map(({ ip }) => ip);
const held = (prefix: string) => cluster.etcd.entries(prefix).map(({ key }) => key.slice(prefix.length));
/** Claimed, of the network that there is. */
const claimed = () => held(keys.addresses).map((key) => key.slice(key.indexOf('/') + 1));
const remove = (key: string) => cluster.etcd.txn([], [{ kind: 'delete', key }]);

describe('a network of both families', () => {
  it('gives each endpoint an address of each, IPv4 first whatever the order of its subnets', async () => {
    await make(SIX, FOUR);
    expect(await connect(one)).toMatchObject({
      addresses: [
        { subnet: '10.5.0.0/24', ip: '10.5.0.2' },
        { subnet: 'fd00:5::/64', ip: 'fd00:5::2' },
      ],
      mac: '02:42:0a:05:00:02',
    });
    expect(ips(await connect(two))).toEqual(['10.5.0.3', 'fd00:5::3']);
    expect(held(keys.macs('a'.repeat(64)))).toEqual([]);
    await checkQuiet(cluster);
  });

  it('gives the one that is asked for, and the next free one of the other family', async () => {
    await make(FOUR, SIX);
    expect(ips(await connect(one, { ip: '10.5.0.77' }))).toEqual(['10.5.0.77', 'fd00:5::2']);
    expect(ips(await connect(one, { ip6: 'FD00:5:0::77' }))).toEqual(['10.5.0.78', 'fd00:5::77']);
    expect(ips(await connect(two, { ip: '10.5.0.9', ip6: 'fd00:5::ffff:0:9' }))).toEqual([
      '10.5.0.9',
      'fd00:5::ffff:0:9',
    ]);
    await expect(connect(two, { ip6: 'fd00:5::77' })).rejects.toThrow('fd00:5::77 belongs to c2 on h1');
    await expect(connect(two, { ip6: 'fd00:5::' })).rejects.toThrow("fd00:5:: is the routers' anycast address");
    await expect(connect(two, { ip6: 'fd00:6::5' })).rejects.toThrow(
      "out of range: the network's subnet is fd00:5::/64",
    );
    await checkQuiet(cluster);
  });

  it('gives who asks for an IPv6 address alone the MAC that it had before, whatever IPv4 address is the next', async () => {
    const { id } = await make(FOUR, SIX);
    const mac = proposedMac('fd00:5::77');
    const first = await connect(one, { ip6: 'fd00:5::77' });
    expect(first).toMatchObject({ addresses: [{ ip: '10.5.0.2' }, { ip: 'fd00:5::77' }], mac });
    expect(held(keys.macs(id))).toEqual([mac]);
    await checkQuiet(cluster);
    await disconnect(one, first);
    expect(held(keys.macs(id))).toEqual([]);
    expect(await connect(two, { ip6: 'fd00:5::77' })).toMatchObject({
      ...{ addresses: [{ ip: '10.5.0.3' }, { ip: 'fd00:5::77' }], mac },
    });
    expect(await connect(two, { ip: '10.5.0.2' })).toMatchObject({ mac: '02:42:0a:05:00:02' });
    expect(await connect(two, { ip: '10.5.0.9', ip6: 'fd00:5::9' })).toMatchObject({ mac: '02:42:0a:05:00:09' });
    await checkQuiet(cluster);
  });

  it('gives nothing when one family is full, and says which', async () => {
    await make(FOUR, SMALL_SIX);
    for (const host of [one, two]) await connect(host);
    await expect(connect(one)).rejects.toMatchObject({
      code: 'no-available-addresses',
      message: expect.stringContaining('no available IPv6 addresses on network web (fd00:5::/126): 2 used, 0 free'),
    });
    expect(claimed().sort()).toEqual(['10.5.0.2', '10.5.0.3', 'fd00:5::2', 'fd00:5::3']);
    await checkQuiet(cluster);
  });

  it('has a loser choose anew what it lost, and keep the rest', async () => {
    const { id } = await make(FOUR, SIX);
    const lost = keys.address(id, 'fd00:5::2');
    const connecting = begin(one);
    const value = encodeRecord({ endpointId: 'f'.repeat(64), nodeId: 'node2' });
    cluster.etcd.txn([], [{ kind: 'put', key: lost, value }]);
    const [four, six] = ips((await cluster.clock.until(connecting)).endpoint.record);
    expect(four).toBe('10.5.0.2');
    expect(['fd00:5::3', 'fd00:5::4']).toContain(six);
    remove(lost);
    await checkQuiet(cluster);
  });

  it('lets both rest when an endpoint goes, and gives both before their time when nothing else is free', async () => {
    const { id } = await make(SMALL_FOUR, SMALL_SIX);
    const first = await connect(one);
    await connect(two);
    await disconnect(one, first);
    expect(held(`${keys.quarantine(id, '')}`).sort()).toEqual(ips(first).sort());
    expect(claimed()).toHaveLength(2);
    expect(ips(await connect(two))).toEqual(ips(first));
    expect(held(`${keys.quarantine(id, '')}`)).toEqual([]);
    await checkQuiet(cluster);
  });

  it.each([0, 1])('has the claim of either address written again when somebody takes it away (%i)', async (at) => {
    await make(FOUR, SIX);
    const record = await connect(one);
    await cluster.clock.advance(5_000);
    const { writes } = one.kernel;
    remove(keys.address(record.networkId, ips(record)[at]!));
    await cluster.clock.advance(5_000);
    expect(claimed().sort()).toEqual(ips(record).sort());
    expect(one.kernel.writes).toBe(writes);
    await checkQuiet(cluster);
  });

  it('takes down an endpoint of which one address is another’s, and gives the other one back', async () => {
    await make(FOUR, SIX);
    const record = await connect(one);
    await cluster.clock.advance(1_000);
    const [four, six] = ips(record) as [string, string];
    const value = encodeRecord({ endpointId: 'f'.repeat(64), nodeId: 'node2' });
    // With its record in place it would take the claim back.
    cluster.etcd.txn(
      [],
      [
        { kind: 'delete', key: keys.endpoint(record) },
        { kind: 'put', key: keys.address(record.networkId, six), value },
      ],
    );
    await cluster.clock.advance(5_000);
    expect(one.running.local.all()).toEqual([]);
    expect(claimed()).toEqual([six]);
    expect(held(keys.quarantine(record.networkId, ''))).toEqual([four]);
  });
});

describe('a network of IPv6 alone', () => {
  it('gives addresses of IPv6, and MACs that are claimed', async () => {
    const { id } = await make(SIX);
    const record = await connect(one);
    expect(record).toMatchObject({ addresses: [{ ip: 'fd00:5::2' }], mac: proposedMac('fd00:5::2') });
    expect(held(keys.macs(id))).toEqual([record.mac]);
    await expect(connect(one, { ip: '10.5.0.9' })).rejects.toThrow('network web has no IPv4 subnet; leave out --ip,');
    await checkQuiet(cluster);
    await disconnect(one, record);
    expect([held(keys.macs(id)), claimed()]).toEqual([[], []]);
  });

  it('proposes another MAC where somebody chose the first, and refuses who asks for one that is taken', async () => {
    await make(SIX);
    const [first, second] = [proposedMac('fd00:5::3'), proposedMac('fd00:5::3', 1)];
    await connect(one, { mac: first });
    expect(await connect(two)).toMatchObject({ addresses: [{ ip: 'fd00:5::3' }], mac: second });
    expect(await connect(two)).toMatchObject({ addresses: [{ ip: 'fd00:5::4' }], mac: proposedMac('fd00:5::4', 1) });
    await expect(connect(two, { mac: first })).rejects.toThrow(`${first} already in use on network web by c1 on h1`);
    await checkQuiet(cluster);
  });

  it('a MAC’s claim whose endpoint somebody took away stands in nobody’s way', async () => {
    const { id } = await make(SIX);
    const value = encodeRecord({ endpointId: 'gone', nodeId: 'node1' });
    cluster.etcd.txn([], [{ kind: 'put', key: keys.mac(id, proposedMac('fd00:5::2')), value }]);
    expect(await connect(two)).toMatchObject({ addresses: [{ ip: 'fd00:5::2' }], mac: proposedMac('fd00:5::2') });
    await checkQuiet(cluster);
  });

  it('the gateway’s MAC is nobody else’s', async () => {
    const { vni } = await make(SIX);
    const mac = `0a:6f:67:${vni
      .toString(16)
      .padStart(6, '0')
      .replace(/..(?=.)/g, '$&:')}`;
    await expect(connect(one, { mac })).rejects.toThrow(`${mac} already in use on network web by the gateway`);
  });
});

describe('a network that gets a subnet of the other family', () => {
  const add = async (subnet: string) => {
    await cluster.clock.until(two.running.networks.addSubnet('web', { subnet }));
    await cluster.clock.advance(1_000);
  };

  it('gives both from then on, and those that are there keep the one that they have', async () => {
    await make(FOUR);
    const before = await connect(one);
    await add('fd00:5::/64');
    expect([ips(before), ips(await connect(two))]).toEqual([['10.5.0.2'], ['10.5.0.3', 'fd00:5::2']]);
    await checkQuiet(cluster);
    await disconnect(one, before);
    expect(claimed().sort()).toEqual(['10.5.0.3', 'fd00:5::2']);
    await checkQuiet(cluster);
  });

  it('passes over the addresses of IPv4 whose MAC an endpoint of IPv6 has', async () => {
    const { id } = await make(SIX);
    const mac = '02:42:0a:05:00:02';
    const before = [await connect(one), await connect(one, { mac })];
    await add('10.5.0.0/24');
    expect(await connect(two)).toMatchObject({ addresses: [{ ip: '10.5.0.3' }, { ip: 'fd00:5::4' }] });
    await expect(connect(two, { ip: '10.5.0.2' })).rejects.toThrow(`${mac} already in use on network web by c2 on h1`);
    expect(held(keys.macs(id)).sort()).toEqual([mac, proposedMac('fd00:5::2')]);
    await checkQuiet(cluster);
    for (const record of before) await disconnect(one, record);
    expect(held(keys.macs(id))).toEqual([]);
    expect(await connect(two, { ip: '10.5.0.2' })).toMatchObject({ mac });
    await checkQuiet(cluster);
  });
});

describe.each([
  ['both families', [FOUR, SIX]],
  ['IPv6 alone', [SIX]],
  ['both, of few addresses', [SMALL_FOUR, SIX, { ...SMALL_SIX, cidr: 'fd00:6::/126', gateway: 'fd00:6::1' }]],
])('of %s', (_, subnets) => {
  it.each(Array.from({ length: 8 }, (__, seed) => seed + 2))(
    'claims that race are never two’s (seed %i)',
    async (seed) => {
      await cluster.stop();
      await begun(seed, 20);
      await make(...subnets);
      const { random } = cluster;
      const asked = (): Options => {
        const ip6 = random.next() < 0.3 ? { ip6: `fd00:5::${2 + Math.floor(random.next() * 4)}` } : {};
        const mac = random.next() < 0.2 ? { mac: proposedMac(`fd00:5::${2 + Math.floor(random.next() * 4)}`) } : {};
        return { ...ip6, ...mac };
      };
      const claims = Array.from({ length: 9 }, async (__, index) => {
        await cluster.clock.sleep(random.next() * 20);
        await begin(cluster.hosts[index % 3]!, asked());
      });
      const settled = await cluster.clock.until(Promise.allSettled(claims));
      for (const each of settled) {
        if (each.status === 'rejected')
          expect(String(each.reason)).toMatch(/already in use|no available IPv4 addresses/);
      }
      expect(settled.some(({ status }) => status === 'fulfilled')).toBe(true);
      await checkQuiet(cluster);
    },
  );

  it.each(MOMENTS)('an agent that is killed while it claims leaves nothing: %s', async (moment) => {
    const { id } = await make(...subnets);
    const killed = killAt(one, moment, keys.addresses);
    void begin(one).catch(() => undefined);
    await cluster.clock.until(killed);
    await cluster.clock.advance(1_000);
    await one.start();
    await cluster.clock.advance(10_000);
    expect([claimed(), held(keys.macs(id)), held(keys.endpoints)]).toEqual([[], [], []]);
    await checkQuiet(cluster);
    await connect(one);
  });

  it.each(MOMENTS)('an agent that is killed while it releases leaves nothing: %s', async (moment) => {
    await make(...subnets);
    const { networkId, id } = await connect(one);
    const killed = killAt(one, moment, keys.addresses);
    void one.running.endpoints.disconnect('web', id, false).catch(() => undefined);
    await cluster.clock.until(killed);
    await cluster.clock.advance(1_000);
    await one.start();
    await cluster.clock.advance(10_000);
    expect([claimed(), held(keys.macs(networkId)), held(keys.endpoints)]).toEqual([[], [], []]);
    await checkQuiet(cluster);
  });
});
