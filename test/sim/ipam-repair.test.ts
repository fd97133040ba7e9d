/** What etcd holds of addresses, compared with what there is: nothing is found where all is well, nothing of anybody's is touched. */
import { afterEach, describe, expect, it } from 'vitest';
import type { KeeperCalls } from '../../src/agent/cluster/keeper-calls.ts';
import type { IpamRepair } from '../../src/agent/endpoints/ipam-repair.ts';
import { ipamRepair } from '../../src/agent/keeper-work.ts';
import type { NetworkRequest } from '../../src/core/network-request.ts';
import { encodeRecord } from '../../src/core/record-codec.ts';
import { type EndpointRecord, firstAddress, keys, PREFIX } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost, silent } from './simulated-cluster.ts';

let cluster: SimulatedCluster;
let one: SimulatedHost;
let two: SimulatedHost;

const until = <T>(promise: Promise<T>) => cluster.clock.until(promise);
const pass = (ms: number) => cluster.clock.advance(ms);

const FAMILIES = [{}, { ipv6: true }, { ipv6: true, ipv4: false }];

async function begin(etcdMs = 0, families: Partial<NetworkRequest> = {}): Promise<string> {
  cluster = new SimulatedCluster({ seed: 1, etcdMs });
  await cluster.start(3);
  [one, two] = cluster.hosts as [SimulatedHost, SimulatedHost];
  const { id } = await until(one.running.networks.create(networkRequest('web', families)));
  await pass(1_000);
  return id;
}

afterEach(() => cluster.stop());

/** What the host may not repair the first one does, which is a keeper. */
function ipam(host: SimulatedHost): IpamRepair {
  const deps = { store: host.store, clock: cluster.clock, logger: silent, member: () => host.running };
  const ask = async (_: string, asked: object) => {
    const { findings } = await ipam(one).repair((asked as { network: string }).network);
    return { repaired: findings.filter(({ outcome }) => outcome === 'repaired').map(({ key }) => key) };
  };
  return ipamRepair(deps, { quarantineSeconds: 60 }, { ask } as Pick<KeeperCalls, 'ask'>);
}

const connect = (host: SimulatedHost, options: { mac?: string; ip?: string } = {}) =>
  host.running.endpoints.connect({ network: 'web', container: host.addContainer(), aliases: [], ...options });
const check = async (host: SimulatedHost, network = '') => (await until(ipam(host).check(network))).findings;
const repair = async (host: SimulatedHost, network = '') =>
  (await until(ipam(host).repair(network))).findings.map(({ key, outcome }) => [key, outcome]);
const put = (key: string, record: object) => cluster.etcd.txn([], [{ kind: 'put', key, value: encodeRecord(record) }]);
const remove = (key: string) => cluster.etcd.txn([], [{ kind: 'delete', key }]);
const all = () => cluster.etcd.entries(PREFIX).map(({ key, value }) => [key, value]);

/** Nothing of it is any agent's to put right. */
function stray(networkId: string, nodeId: string): EndpointRecord {
  const { subnets } = one.running.view.network(networkId)!;
  const addresses = subnets.map(({ cidr }) => ({ subnet: cidr, ip: cidr.replace(/0?\/\d+$/, '77') }));
  return {
    ...{ id: 'f'.repeat(64), networkId, nodeId, addresses, mac: '02:00:00:00:00:07', name: 'stray' },
    ...{ aliases: [], createdAt: 1 },
  };
}

function putAll(record: EndpointRecord): string[] {
  const { id: endpointId, networkId, nodeId, mac } = record;
  const claims = [...record.addresses.map(({ ip }) => keys.address(networkId, ip)), keys.mac(networkId, mac)];
  put(keys.endpoint(record), record);
  for (const key of claims) put(key, { endpointId, nodeId });
  return [keys.endpoint(record), ...claims];
}

it.each(FAMILIES)('nothing is found at any moment of containers coming and going, on no host: %o', async (families) => {
  await begin(20, families);
  let isBusy = true;
  const found: unknown[] = [];
  let looks = 0;
  const looking = cluster.hosts.map(async (host) => {
    while (isBusy) {
      found.push(...(await ipam(host).check('')).findings);
      looks += 1;
    }
  });
  for (let round = 0; round < 4; round++) {
    const coming = cluster.hosts.flatMap((host, at) => [
      connect(host),
      connect(host, { mac: `02:00:00:00:0${round}:0${at}` }),
    ]);
    const connections = await until(Promise.all(coming));
    const going = connections.map(({ endpoint: { record } }) => {
      const host = cluster.hosts.find((each) => each.record.id === record.nodeId)!;
      return host.running.endpoints.disconnect('web', record.id, false);
    });
    await until(Promise.all(going.slice(0, 3)));
    await until(Promise.all(going));
  }
  isBusy = false;
  await until(Promise.all(looking));
  expect(looks).toBeGreaterThan(20);
  expect(found).toEqual([]);
  await checkQuiet(cluster);
});

describe('what is left of a host that is no member', () => {
  it.each(FAMILIES)(
    'goes by repair on any host, its addresses rest, and all else is as it was: %o',
    async (families) => {
      const networkId = await begin(0, families);
      await until(connect(one));
      await pass(1_000);
      const before = all();
      const record = stray(networkId, 'gone');
      const written = putAll(record);
      await pass(1_000);
      expect(await check(two)).toMatchObject([{ kind: 'leaked', key: written[0], outcome: 'repairable' }]);
      const { revision } = cluster.etcd;
      await check(two, 'web');
      expect(cluster.etcd.revision).toBe(revision);
      expect(await repair(two)).toEqual([[written[0], 'repaired']]);
      // In one transaction.
      expect(cluster.etcd.revision).toBe(revision + 1);
      const resting = record.addresses.map(({ ip }) => keys.quarantine(networkId, ip));
      expect(all().filter(([key]) => !resting.includes(key!))).toEqual(before);
      for (const key of resting) expect(cluster.etcd.entries(key)).toHaveLength(1);
      expect(await check(one)).toEqual([]);
      await pass(80_000);
      expect(all()).toEqual(before);
    },
  );

  it('stays where anything of it changed meanwhile', async () => {
    const networkId = await begin();
    const [key, claim] = putAll(stray(networkId, 'gone'));
    const { list } = two.store;
    two.store.list = async (prefix) => {
      const answer = await list.call(two.store, prefix);
      put(keys.node('gone'), { ...one.record, id: 'gone', name: 'back' });
      return answer;
    };
    expect(await repair(two)).toEqual([[key, 'changed']]);
    expect(cluster.etcd.entries(claim!)).toHaveLength(1);
  });
});

it('what this host is said to have and does not goes by repair there, and nowhere else', async () => {
  const networkId = await begin();
  const { endpoint } = await until(connect(one));
  const [key] = putAll(stray(networkId, one.record.id));
  await pass(1_000);
  const before = all();
  expect(await repair(two)).toEqual([]);
  expect(all()).toEqual(before);
  expect(await repair(one)).toEqual([[key, 'repaired']]);
  expect(await check(one)).toEqual([]);
  expect(one.running.local.all()).toEqual([endpoint]);
  await checkQuiet(cluster);
});

it.each([
  [{}, '02:00:00:00:00:09'],
  [{ ipv6: true, ipv4: false }, undefined],
])('a lost MAC claim is written again by repair on the host whose it is: %o', async (families, asked) => {
  const networkId = await begin(0, families);
  const { endpoint } = await until(connect(one, asked === undefined ? {} : { mac: asked }));
  const { mac } = endpoint.record;
  const key = keys.mac(networkId, mac);
  remove(key);
  await pass(5_000);
  expect(await repair(two)).toEqual([[key, 'found']]);
  expect(await repair(one)).toEqual([[key, 'repaired']]);
  await checkQuiet(cluster);
});

it('what a live owner puts right by itself is named and not touched', async () => {
  await begin();
  const { record } = (await until(connect(one))).endpoint;
  const key = keys.address(record.networkId, firstAddress(record));
  await pass(1_000);
  one.store.cut();
  await pass(5_000);
  remove(key);
  await pass(1_000);
  expect(await check(two)).toMatchObject([{ kind: 'missing', key, outcome: 'found' }]);
  const before = all();
  expect(await repair(two)).toEqual([[key, 'found']]);
  expect(all()).toEqual(before);
  one.store.heal();
  await pass(10_000);
  expect(await check(two)).toEqual([]);
  await checkQuiet(cluster);
});

describe('refuses', () => {
  it('while etcd does not tell this host what it holds, or was restored', async () => {
    await begin();
    const backup = cluster.etcd.backUp();
    await until(connect(one));
    await pass(5_000);
    one.store.cut();
    await pass(10_000);
    await expect(check(one)).rejects.toMatchObject({ code: 'store-unavailable', retryable: true });
    one.store.heal();
    await pass(5_000);
    cluster.etcd.restore(backup);
    await pass(5_000);
    for (const look of [check, repair]) {
      await expect(look(one)).rejects.toMatchObject({
        code: 'store-unavailable',
        message: expect.stringContaining('holds less than it did'),
      });
    }
  });

  it('a network that there is none of; one that is gone is named by its id', async () => {
    await begin();
    await expect(check(one, 'other')).rejects.toMatchObject({ code: 'network-not-found' });
    const key = keys.address('9'.repeat(64), '10.9.9.9');
    put(key, { endpointId: 'f'.repeat(64), nodeId: 'gone' });
    await pass(1_000);
    expect(await check(one, 'web')).toEqual([]);
    expect(await check(one, '9'.repeat(12))).toMatchObject([{ key, outcome: 'repairable' }]);
    expect(await repair(one, '9'.repeat(12))).toEqual([[key, 'repaired']]);
  });
});
