/** Addresses that stay with a name: kept in the transaction that gives them back, and had again in the one that claims. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { releaseKept } from '../../src/agent/claims/kept-addresses.ts';
import { evictNode } from '../../src/agent/cluster/eviction.ts';
import { committingAlone } from '../../src/agent/view/commit.ts';
import { keptOn } from '../../src/core/ipam/kept.ts';
import type { NetworkRequest } from '../../src/core/network-request.ts';
import { encodeRecord } from '../../src/core/record-codec.ts';
import { type EndpointRecord, keys, type NetworkRecord } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { checkQuiet } from './invariants.ts';
import { killAt, MOMENTS } from './killed-claim.ts';
import { SimulatedCluster, type SimulatedHost, silent } from './simulated-cluster.ts';

interface Options {
  readonly ip?: string;
  readonly ip6?: string;
  readonly name?: string;
}

const FOUR = { subnets: ['10.5.0.0/24'] };
const BOTH = { subnets: ['10.5.0.0/24', 'fd00:5::/64'], ipv6: true };
/** Three endpoints. */
const SMALL = { subnets: ['10.5.0.0/29'], auxAddresses: { a: '10.5.0.5', b: '10.5.0.6' } };
const HOUR = 3_600_000;

let cluster: SimulatedCluster;
let one: SimulatedHost;
let two: SimulatedHost;
let three: SimulatedHost;
let web: NetworkRecord;

async function begun(seed: number, etcdMs = 0): Promise<void> {
  cluster = new SimulatedCluster({ seed, etcdMs });
  await cluster.start(3);
  [one, two, three] = cluster.hosts as [SimulatedHost, SimulatedHost, SimulatedHost];
}

async function make(request: Partial<NetworkRequest> = BOTH, sticky = 'true'): Promise<NetworkRecord> {
  web = await until(one.running.networks.create(networkRequest('web', { ...request, options: { sticky } })));
  await pass(1_000);
  return web;
}

const pass = (ms: number) => cluster.clock.advance(ms);
const until = <T>(promise: Promise<T>) => cluster.clock.until(promise);
const begin = (host: SimulatedHost, { name = 'db', ...asked }: Options = {}) =>
  host.running.endpoints.connect({ network: 'web', container: host.addContainer(), aliases: [], name, ...asked });
const connect = async (host: SimulatedHost, options: Options = {}) =>
  (await until(begin(host, options))).endpoint.record;
const disconnect = (host: SimulatedHost, { id }: EndpointRecord) =>
  until(host.running.endpoints.disconnect('web', id, false));
const ips = ({ addresses }: EndpointRecord) => addresses.map(({ ip }) => ip);
const resting = () =>
  new Map(
    cluster.etcd
      .entries(keys.quarantineOn(web.id))
      .map(({ key, value }) => [key.slice(keys.quarantineOn(web.id).length), JSON.parse(value)]),
  );
/** Name and addresses of each. */
const kept = () => keptOn(resting()).map(({ name, addresses }) => `${name} ${addresses}`);

beforeEach(() => begun(1));
afterEach(() => cluster.stop());

it('a name has its addresses again on another host, long after, and nobody else got them meanwhile', async () => {
  await make();
  const before = await connect(one);
  expect(ips(before)).toEqual(['10.5.0.2', 'fd00:5::2']);
  await disconnect(one, before);
  await pass(HOUR);
  expect(kept()).toEqual(['db 10.5.0.2,fd00:5::2']);
  const others = [];
  for (const name of ['a', 'b', 'c']) others.push(await connect(three, { name }));
  expect(others.flatMap(ips)).not.toContain('10.5.0.2');
  const after = await connect(two, { name: 'DB' });
  expect([ips(after), after.mac]).toEqual([ips(before), before.mac]);
  expect([...resting().keys()]).toEqual([]);
  await checkQuiet(cluster);
});

it('a network without the option keeps nothing', async () => {
  await make(FOUR, 'false');
  const before = await connect(one);
  await disconnect(one, before);
  expect(ips(await connect(one))).not.toEqual(ips(before));
  expect(before.sticky).toBeUndefined();
  expect(kept()).toEqual([]);
});

it('several of one name have each their own, which is what their host let go of', async () => {
  await make();
  const [first, second] = [await connect(one), await connect(two)];
  await disconnect(two, second);
  await pass(1_000);
  await disconnect(one, first);
  expect(kept()).toEqual([`db ${ips(second)}`, `db ${ips(first)}`]);
  expect(ips(await connect(two))).toEqual(ips(second));
  expect(ips(await connect(three))).toEqual(ips(first));
  const third = await connect(one);
  expect([...ips(first), ...ips(second)]).not.toContain(ips(third)[0]);
  await checkQuiet(cluster);
});

describe('somebody else', () => {
  it('is refused it by name, and it is the name’s own for the asking', async () => {
    await make();
    await disconnect(one, await connect(one));
    await expect(connect(two, { name: 'other', ip: '10.5.0.2' })).rejects.toMatchObject({
      code: 'address-in-use',
      message: expect.stringContaining('10.5.0.2 is kept for db; choose another one, or give it back (overlayd ipam'),
    });
    expect(ips(await connect(two, { ip: '10.5.0.2' }))).toEqual(['10.5.0.2', 'fd00:5::2']);
    await checkQuiet(cluster);
  });

  it('gets it when nothing else is free, the one that was let go of first, and the name gets another then', async () => {
    await make(SMALL);
    const [db, api] = [await connect(one), await connect(one, { name: 'api' })];
    await disconnect(one, api);
    await pass(1_000);
    await disconnect(one, db);
    await pass(HOUR);
    expect(kept()).toEqual(['api 10.5.0.3', 'db 10.5.0.2']);
    await connect(two, { name: 'a' });
    expect(ips(await connect(two, { name: 'b' }))).toEqual(ips(api));
    expect(ips(await connect(two, { name: 'api' }))).toEqual(ips(db));
    await expect(connect(two)).rejects.toThrow('3 used, 0 free, 0 quarantined; disconnect');
    await checkQuiet(cluster);
  });
});

it('what a name does not take again is kept no more', async () => {
  await make();
  await disconnect(one, await connect(one));
  await pass(1_000);
  const elsewhere = await connect(two, { ip: '10.5.0.77' });
  expect(ips(elsewhere)).toEqual(['10.5.0.77', 'fd00:5::2']);
  // As long as anything that was released.
  expect([...resting()]).toEqual([['10.5.0.2', expect.not.objectContaining({ keptFor: expect.anything() })]]);
  await pass(90_000);
  expect([...resting()]).toEqual([]);
  await disconnect(two, elsewhere);
  await pass(HOUR);
  await connect(one, { ip: '10.5.0.78' });
  expect([...resting()]).toEqual([]);
  await checkQuiet(cluster);
});

describe('what is kept is given back', () => {
  const release = (ref: string) =>
    until(
      releaseKept({ ...one.running, store: one.store, clock: cluster.clock, logger: silent }, web, ref, {
        quarantineSeconds: 60,
      }),
    );

  it('by hand, of a name or an address, and rests then for nobody', async () => {
    await make();
    for (const host of [one, two]) await disconnect(host, await connect(host));
    await disconnect(one, await connect(one, { name: 'api', ip: '10.5.0.9' }));
    await pass(1_000);
    expect((await release('10.5.0.9')).map(({ name }) => name)).toEqual(['api']);
    expect(kept()).toEqual(['db 10.5.0.2,fd00:5::2']);
    expect((await release('DB')).map(({ addresses }) => addresses)).toEqual([['10.5.0.2', 'fd00:5::2']]);
    expect(kept()).toEqual([]);
    await disconnect(one, await connect(one, { name: 'api', ip6: 'fd00:5::9' }));
    expect((await release('FD00:5:0::9')).map(({ name }) => name)).toEqual(['api']);
    expect(ips(await connect(one, { name: 'other', ip: '10.5.0.2' }))[0]).toBe('10.5.0.2');
    await expect(release('db')).rejects.toMatchObject({ code: 'name-not-found' });
    await pass(90_000);
    expect([...resting()]).toEqual([]);
    await checkQuiet(cluster);
  });

  it('with its network', async () => {
    await make();
    await disconnect(one, await connect(one));
    await pass(HOUR);
    await until(one.running.networks.remove('web', new AbortController().signal));
    await pass(5_000);
    expect([...resting()]).toEqual([]);
    await checkQuiet(cluster);
  });
});

describe('a host that is gone', () => {
  const evict = () => {
    const deps = { store: one.store, commit: committingAlone(one.store), clock: cluster.clock };
    return until(evictNode(deps, 'node3', { by: 'node1', quarantineSeconds: 60 }));
  };

  it('leaves to its names what they had: they have it again at once, and others not before it has rested', async () => {
    await make(SMALL);
    const [db, api] = [await connect(three), await connect(three, { name: 'api' })];
    await three.crash();
    await evict();
    await pass(1_000);
    expect(kept()).toEqual([`api ${ips(api)}`, `db ${ips(db)}`]);
    expect(ips(await connect(one))).toEqual(ips(db));
    await connect(one, { name: 'a' });
    await expect(connect(one, { name: 'b' })).rejects.toThrow('0 free, 0 quarantined, 1 kept for names');
    await pass(2 * 60_000);
    expect(ips(await connect(one, { name: 'b' }))).toEqual(ips(api));
  });

  it('leaves a name what it had although the network is changed while it is claimed', async () => {
    const network = await make(SMALL);
    const before = await connect(three);
    await three.crash();
    await evict();
    await pass(1_000);
    const connecting = begin(one);
    const value = encodeRecord({ ...network, labels: { team: 'a' } });
    cluster.etcd.txn([], [{ kind: 'put', key: keys.network(web.id), value }]);
    expect(ips((await until(connecting)).endpoint.record)).toEqual(ips(before));
  });

  it('leaves nothing to its names in a subnet that an etcd of before lacks', async () => {
    await make(FOUR);
    await connect(three, { name: 'api' });
    await pass(1_000);
    const backup = cluster.etcd.backUp();
    await until(one.running.networks.addSubnet('web', { subnet: '10.6.0.0/24' }));
    await pass(1_000);
    await connect(three, { ip: '10.6.0.9' });
    await three.crash();
    // It holds the claim that the host wrote again, and not the subnet.
    const [claim] = cluster.etcd.entries(keys.address(web.id, '10.6.0.9'));
    const endpoint = cluster.etcd.entries(keys.endpointsOf('node3')).find(({ value }) => value.includes('10.6.0.9'))!;
    cluster.etcd.restore(backup);
    const lost = [claim!, endpoint].map(({ key, value }) => ({ kind: 'put', key, value }) as const);
    cluster.etcd.txn([], lost);
    await evict();
    expect([...resting().keys()].sort()).toEqual(['10.5.0.2', '10.6.0.9']);
    await pass(HOUR);
    expect(kept()).toEqual(['api 10.5.0.2']);
    expect([...resting().keys()]).toEqual(['10.5.0.2']);
  });

  it('leaves its names what they had when it only loses power', async () => {
    await make();
    const before = await connect(three);
    await three.reboot();
    await three.start();
    await pass(5_000);
    expect(kept()).toEqual([`db ${ips(before)}`]);
    expect(ips(await connect(three))).toEqual(ips(before));
    await checkQuiet(cluster);
  });
});

describe('etcd that is away', () => {
  it('hears of what was let go of before the next of the name is claimed', async () => {
    await make();
    const before = await connect(one);
    one.store.cut();
    await disconnect(one, before);
    one.store.heal();
    expect(ips(await connect(one))).toEqual(ips(before));
    await checkQuiet(cluster);
  });

  it.each(['silent', 'reply-lost'] as const)('while the name is claimed leaves it what it had (%s)', async (fault) => {
    await make();
    const before = await connect(one);
    await disconnect(one, before);
    one.store.cut(fault);
    await expect(connect(one)).rejects.toMatchObject({ code: 'store-unavailable' });
    one.store.heal();
    await pass(10_000);
    expect(kept()).toEqual([`db ${ips(before)}`]);
    expect(ips(await connect(two))).toEqual(ips(before));
    await checkQuiet(cluster);
  });
});

describe.each(MOMENTS)('an agent that is killed: %s', (moment) => {
  it('while the name is claimed again leaves it what it had', async () => {
    await make();
    const before = await connect(one);
    await disconnect(one, before);
    const killed = killAt(one, moment, keys.addresses);
    void begin(one).catch(() => undefined);
    await until(killed);
    await pass(1_000);
    await one.start();
    await pass(10_000);
    expect(kept()).toEqual([`db ${ips(before)}`]);
    await checkQuiet(cluster);
    expect(ips(await connect(two))).toEqual(ips(before));
  });

  it('while the name lets go leaves it what it had', async () => {
    await make();
    const before = await connect(one);
    const killed = killAt(one, moment, keys.addresses);
    void one.running.endpoints.disconnect('web', before.id, false).catch(() => undefined);
    await until(killed);
    await pass(1_000);
    await one.start();
    await pass(10_000);
    expect(kept()).toEqual([`db ${ips(before)}`]);
    await checkQuiet(cluster);
    expect(ips(await connect(two))).toEqual(ips(before));
  });
});

describe.each([
  ['one family', FOUR],
  ['both families', BOTH],
  ['few addresses', SMALL],
])('names that come and go at once, of %s', (_, request) => {
  it.each(Array.from({ length: 8 }, (__, seed) => seed + 2))('have each their own (seed %i)', async (seed) => {
    await cluster.stop();
    await begun(seed, 20);
    await make(request);
    const { random } = cluster;
    const names = ['db', 'api'];
    const stories = cluster.hosts.flatMap((host) =>
      names.map(async (name) => {
        for (let turn = 0; turn < 4; turn++) {
          await cluster.clock.sleep(random.next() * 60);
          const made = await begin(host, { name }).catch((error: unknown) => {
            expect(String(error)).toMatch(/no available IPv4 addresses|too many claims at once/);
          });
          await cluster.clock.sleep(random.next() * 60);
          if (made) await host.running.endpoints.disconnect('web', made.endpoint.record.id, false);
        }
      }),
    );
    await until(Promise.all(stories));
    await pass(120_000);
    // No more of a name than were there at once, and nothing beside.
    const all = keptOn(resting());
    for (const name of names) expect(all.filter((each) => each.name === name).length).toBeLessThanOrEqual(3);
    expect(all.flatMap(({ addresses }) => addresses).sort()).toEqual([...resting().keys()].sort());
    await checkQuiet(cluster);
  });
});

it('a cluster with older hosts makes no such network', async () => {
  await cluster.stop();
  cluster = new SimulatedCluster({ seed: 1, agent: { version: '0.0.9', levels: { from: 1, to: 1 } } });
  await cluster.start(2);
  const { networks } = cluster.hosts[0]!.running;
  const request = networkRequest('web', { options: { sticky: 'true' } });
  await expect(until(networks.create(request))).rejects.toMatchObject({
    code: 'version-mismatch',
    message: expect.stringContaining('h1 (0.0.9), h2 (0.0.9)'),
  });
  await until(networks.create(networkRequest('web', { options: { sticky: 'false' } })));
});
