/** Encrypted networks: who may make them, and whose containers may be connected to them. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Options } from '../../src/core/network-options.ts';
import { encodeRecord } from '../../src/core/record-codec.ts';
import { keys, type NodeRecord } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { clusterRecord } from '../fixtures/records.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

const WORDS = 'install the package wireguard-go, or a kernel that has the module wireguard there';

let cluster: SimulatedCluster;
let one: SimulatedHost;
let two: SimulatedHost;
let three: SimulatedHost;

const until = <T>(promise: Promise<T>) => cluster.clock.until(promise);
const create = (host: SimulatedHost, options: Options = {}, name = 'web') =>
  until(host.running.networks.create(networkRequest(name, { options })));
const connect = (host: SimulatedHost) =>
  until(host.running.endpoints.connect({ network: 'web', container: host.addContainer(), aliases: [] }));

/** Something that runs WireGuard is installed there, which its agent finds. */
async function install(...hosts: readonly SimulatedHost[]): Promise<void> {
  for (const host of hosts) host.wireguard.offers = 'wireguard-go';
  await cluster.clock.advance(63_000);
}

async function clusterSays(encryption: 'default' | 'required'): Promise<void> {
  const record = clusterRecord({ level: cluster.agent.levels.to, encryption });
  cluster.etcd.txn([], [{ kind: 'put', key: keys.cluster, value: encodeRecord(record) }]);
  await cluster.clock.advance(1_000);
}

beforeEach(async () => {
  cluster = new SimulatedCluster({ seed: 12, wireguard: 'none' });
  await cluster.start(3);
  [one, two, three] = cluster.hosts as [SimulatedHost, SimulatedHost, SimulatedHost];
});

afterEach(() => cluster.stop());

describe('a network that is to be encrypted', () => {
  it('is refused as long as a member has no WireGuard, and all of those are named', async () => {
    await install(one);
    await expect(create(one, { encrypted: '' })).rejects.toMatchObject({
      code: 'tool-missing',
      message: `encrypted networks need WireGuard, which hosts h2 and h3 do not have: ${WORDS}`,
    });
    expect(cluster.etcd.entries(keys.networkName('web'))).toEqual([]);
    await install(one, two, three);
    expect((await create(one, { encrypted: '' })).options).toEqual({ encrypted: '' });
  });

  it('is made by a host that has not heard yet what the others have', async () => {
    await install(one);
    one.store.cut('silent');
    await install(two, three);
    one.store.heal();
    await create(one, { encrypted: 'true' });
  });

  it('waits for a member that has just joined, and says a moment later what it has', async () => {
    await install(one, two, three);
    const key = keys.node(three.record.id);
    const [entry] = cluster.etcd.entries(key);
    const { wireguard: _, ...rest } = JSON.parse(entry!.value) as NodeRecord;
    three.store.cut('silent');
    const value = encodeRecord({ ...rest, joinedAt: cluster.clock.now() });
    cluster.etcd.txn([], [{ kind: 'put', key, value }]);
    await cluster.clock.advance(100);
    void cluster.clock.sleep(1_000).then(() => cluster.etcd.txn([], [{ kind: 'put', key, value: entry!.value }]));
    await create(one, { encrypted: 'true' });
    three.store.heal();
  });

  it('does not wait for one that has left', async () => {
    await install(one, two);
    const [entry] = cluster.etcd.entries(keys.node(three.record.id));
    const value = encodeRecord({ ...(JSON.parse(entry!.value) as NodeRecord), left: true });
    await three.stop();
    cluster.etcd.txn([], [{ kind: 'put', key: keys.node(three.record.id), value }]);
    await create(one, { encrypted: 'true' });
  });

  it('is refused while a member cannot be read', async () => {
    await install(one, two, three);
    cluster.etcd.txn([], [{ kind: 'put', key: keys.node('node9'), value: '{"id":9}' }]);
    await cluster.clock.advance(1_000);
    await expect(create(one, { encrypted: 'true' })).rejects.toMatchObject({
      code: 'version-mismatch',
      message: expect.stringContaining('encrypted networks need to know what every member has'),
    });
  });

  it('takes in no container of a host that has none, in the same words; plain ones do', async () => {
    await install(one, two, three);
    await create(one, { encrypted: 'true' });
    await connect(one);
    const four = await until(cluster.join());
    const refusal = {
      code: 'tool-missing',
      message: `encrypted networks need WireGuard, which host h4 does not have: ${WORDS}`,
    };
    await expect(connect(four)).rejects.toMatchObject(refusal);
    expect(cluster.etcd.entries(keys.endpointsOf(four.record.id))).toEqual([]);
    // Nobody makes an encrypted one while a member has no part in it.
    await create(one, { encrypted: 'false' }, 'plain');
    await until(four.running.endpoints.connect({ network: 'plain', container: four.addContainer(), aliases: [] }));
    await install(four);
    await connect(four);
  });
});

describe('a cluster that is made with --encrypt', () => {
  it('has its networks encrypted that do not say otherwise', async () => {
    await install(one, two, three);
    await clusterSays('default');
    expect((await create(one)).options).toEqual({ encrypted: 'true' });
    expect((await create(two, { encrypted: 'false' }, 'plain')).options).toEqual({ encrypted: 'false' });
    await checkQuiet(cluster);
  });

  it('required, has no others', async () => {
    await install(one, two, three);
    await clusterSays('required');
    expect((await create(one)).options).toEqual({ encrypted: 'true' });
    await expect(create(two, { encrypted: 'false' }, 'plain')).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringContaining('option encrypted: this cluster was made with --encrypt=required'),
    });
  });

  it('has none where WireGuard is missing', async () => {
    await clusterSays('default');
    await expect(create(one)).rejects.toMatchObject({ code: 'tool-missing' });
  });

  it('tells a member that has just started and knows nothing of it', async () => {
    await install(one, two, three);
    await clusterSays('required');
    await three.crash();
    const started = three.start();
    await expect(create(three, { encrypted: 'false' })).rejects.toMatchObject({ code: 'invalid-argument' });
    await until(started);
  });
});
