/** Lives of the store: who was away while it went back, or does not reach it, takes nothing down for that. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { decodeCluster, encodeRecord } from '../../src/core/record-codec.ts';
import { keys, type StoreGate } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { EPOCH } from '../fixtures/records.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;
let one: SimulatedHost;
let two: SimulatedHost;
let three: SimulatedHost;

const connect = (host: SimulatedHost, network: string, name: string) =>
  cluster.clock.until(host.running.endpoints.connect({ network, container: host.addContainer(), name, aliases: [] }));
const create = (network: string) => cluster.clock.until(one.running.networks.create(networkRequest(network)));
const names = (host: SimulatedHost) =>
  [...host.running.view.nodes()]
    .flatMap(({ id }) => [...host.running.view.endpointsOf(id).values()].map(({ name }) => name))
    .sort();
const epoch = () => decodeCluster(cluster.etcd.entries(keys.cluster)[0]!.value)!.epoch;
/** More than was ever written. */
const pass = () => {
  for (let i = 0; i < 500; i++) cluster.etcd.txn([], [{ kind: 'put', key: '/other', value: String(i) }]);
};

beforeEach(async () => {
  cluster = new SimulatedCluster({ seed: 1 });
  await cluster.start(3);
  [one, two, three] = cluster.hosts as [SimulatedHost, SimulatedHost, SimulatedHost];
  await create('web');
  await connect(one, 'web', 'a');
  await cluster.clock.advance(5_000);
});

afterEach(() => cluster.stop());

it('etcd that is put back by its own means is given another epoch by those who see it', async () => {
  const backup = cluster.etcd.backUp();
  await connect(one, 'web', 'b');
  await cluster.clock.advance(5_000);
  cluster.etcd.restore(backup);
  await cluster.clock.advance(5_000);
  expect(epoch()).toMatch(/^2-/);
  await cluster.clock.advance(70_000);
  for (const host of cluster.hosts) expect(host.running.findings.map(({ text }) => text)).toEqual([]);
  expect(epoch()).toMatch(/^2-/);
  await checkQuiet(cluster);
});

it('a host that was away sees that etcd went back, also when it has come further since', async () => {
  const backup = cluster.etcd.backUp();
  await create('later');
  await connect(two, 'later', 'y');
  await cluster.clock.advance(70_000);
  await two.crash();
  const { writes } = two.kernel;
  cluster.etcd.restore(backup);
  await cluster.clock.advance(90_000);
  pass();
  await two.start();
  await cluster.clock.advance(30_000);
  expect(two.running.local.all().map(({ record }) => record.name)).toEqual(['y']);
  expect(two.kernel.writes).toBe(writes);
  expect(two.running.findings.map(({ text }) => text).join()).toMatch(/another one than before.*y \(network later\)/);
});

it('a host that etcd does not reach follows the later life of the store by what members say', async () => {
  const backup = cluster.etcd.backUp();
  await connect(two, 'web', 'b');
  await connect(three, 'web', 'c');
  await cluster.clock.advance(5_000);
  three.store.cut('refusing');
  await cluster.clock.advance(10_000);
  cluster.etcd.restore(backup);
  await cluster.clock.advance(10_000);
  await create('late');
  await connect(one, 'late', 'd');
  await cluster.clock.advance(5_000);
  expect(names(three)).toEqual(['a', 'b', 'c', 'd']);
  three.store.heal();
  await cluster.clock.advance(90_000);
  for (const host of cluster.hosts) expect(host.running.findings.map(({ text }) => text)).toEqual([]);
  expect(names(one)).toEqual(['a', 'b', 'c', 'd']);
  await checkQuiet(cluster);
});

it('what a host says that follows an earlier life of the store changes nothing', async () => {
  three.store.cut('refusing');
  await cluster.clock.advance(10_000);
  const held = { ...decodeCluster(cluster.etcd.entries(keys.cluster)[0]!.value)!, epoch: '2-00000000000000e2' };
  const message = { from: 'node3', members: [], epoch: EPOCH };
  cluster.etcd.txn([], [{ kind: 'put', key: keys.cluster, value: encodeRecord(held) }]);
  await cluster.clock.advance(90_000);
  expect(one.running.findings.map(({ text }) => text)).toEqual([]);
  const record = {
    ...one.running.view.endpointsOf('node1').values().next().value!,
    nodeId: 'node3',
    id: 'f'.repeat(64),
  };
  const records = [{ key: keys.endpoint(record), value: encodeRecord(record), revision: cluster.etcd.revision + 5 }];
  const node3 = cluster.network.transport('node3', '192.0.2.3:7946');
  await cluster.clock.until(
    node3.request(
      { nodeId: 'node1', address: '192.0.2.1:7946' },
      { ...message, delta: { from: 0, to: 0, records } },
      1_000,
    ),
  );
  expect(names(one)).toEqual(['a']);
});

it.each(['running', 'restarted'])(
  'while records are copied nothing changes, and says so (%s agents)',
  async (which) => {
    const backup = cluster.etcd.entries('/overlayd/v2/');
    await connect(two, 'web', 'b');
    await cluster.clock.advance(70_000);
    const writes = cluster.hosts.map(({ kernel }) => kernel.writes);
    const gate: StoreGate = {
      kind: 'restore',
      by: 'node1',
      startedAt: cluster.clock.now(),
      epoch: '2-00000000000000e2',
    };
    cluster.etcd.txn([], [{ kind: 'put', key: keys.storeGate, value: encodeRecord(gate) }]);
    await cluster.clock.advance(1_000);
    const held = new Set(backup.map(({ key }) => key));
    for (const { key } of cluster.etcd.entries('/overlayd/v2/')) {
      if (!held.has(key) && key !== keys.storeGate) cluster.etcd.txn([], [{ kind: 'delete', key }]);
    }
    if (which === 'restarted') {
      for (const host of cluster.hosts) await host.crash();
      for (const host of cluster.hosts) await host.start();
    }
    await cluster.clock.advance(30_000);
    expect(cluster.hosts.map(({ kernel }) => kernel.writes)).toEqual(writes);
    expect(two.running.findings.map(({ text }) => text).join()).toMatch(
      /store is being restored by node h1|by node node1/,
    );
    await expect(connect(one, 'web', 'x')).rejects.toThrow(/store is being restored/);
    const record = { ...decodeCluster(cluster.etcd.entries(keys.cluster)[0]!.value)!, epoch: gate.epoch };
    cluster.etcd.txn(
      [],
      [
        { kind: 'put', key: keys.cluster, value: encodeRecord(record) },
        { kind: 'delete', key: keys.storeGate },
      ],
    );
    await cluster.clock.advance(90_000);
    expect(cluster.hosts.map(({ kernel }) => kernel.writes)).toEqual(writes);
    for (const host of cluster.hosts) expect(host.running.findings.map(({ text }) => text)).toEqual([]);
    expect(names(three)).toEqual(['a', 'b']);
    await checkQuiet(cluster);
  },
);
