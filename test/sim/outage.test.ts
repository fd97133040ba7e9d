/** Short outages of etcd: whatever became due meanwhile is done afterwards, without anything else having to happen. */
import { afterEach, expect, it } from 'vitest';
import { decodeNode } from '../../src/core/record-codec.ts';
import { keys } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

const forever = new AbortController().signal;
let cluster: SimulatedCluster;

async function make(hosts: number): Promise<SimulatedHost[]> {
  cluster = new SimulatedCluster({ seed: 1 });
  await cluster.start(hosts);
  await cluster.clock.until(cluster.hosts[0]!.running.networks.create(networkRequest('web')));
  await cluster.clock.advance(5_000);
  return cluster.hosts;
}

afterEach(() => cluster.stop());

it('an MTU that changes while etcd is away is published when it is back', async () => {
  const [h1] = await make(2);
  h1!.store.cut('refusing');
  await cluster.clock.advance(4_000);
  h1!.facts.mtuBytes = 1_400;
  h1!.kernel.tell({ kind: 'underlay' });
  await cluster.clock.advance(2_000);
  h1!.store.heal();
  await cluster.clock.advance(3_000);
  const { value } = cluster.etcd.entries(keys.node('node1'))[0]!;
  expect(decodeNode(value)?.underlayMtu).toBe(1_400);
});

it('an MTU that changes while the own record is written by somebody else is published', async () => {
  const [h1] = await make(1);
  const { txn } = h1!.store;
  h1!.store.txn = async () => {
    h1!.store.txn = txn;
    return { succeeded: false, revision: cluster.etcd.revision, deleted: [] };
  };
  h1!.facts.mtuBytes = 1_400;
  h1!.kernel.tell({ kind: 'underlay' });
  await cluster.clock.advance(3_000);
  expect(decodeNode(cluster.etcd.entries(keys.node('node1'))[0]!.value)?.underlayMtu).toBe(1_400);
});

it('a removal that an outage cuts short in the middle of a member goes on when etcd is back', async () => {
  const [h1, h2] = await make(3);
  const { txn } = h2!.store;
  h2!.store.txn = async (compares, writes) => {
    h2!.store.txn = txn;
    // The others have acknowledged by then, so nothing is news when etcd is back.
    await cluster.clock.sleep(500);
    h2!.store.cut();
    return await txn.call(h2!.store, compares, writes);
  };
  const removed = await cluster.clock.until(h1!.running.networks.remove('web', forever));
  expect(removed.waitingFor).toEqual(['h2']);
  await cluster.clock.advance(3_000);
  h2!.store.heal();
  await cluster.clock.advance(3_000);
  expect(cluster.etcd.entries('/overlayd/v2/vnis/')).toEqual([]);
  await checkQuiet(cluster);
});

it('a release that etcd refuses does not keep others from being released', async () => {
  const [h1] = await make(1);
  const connect = async () =>
    await cluster.clock.until(
      h1!.running.endpoints.connect({ network: 'web', container: h1!.addContainer(), aliases: [] }),
    );
  const { endpoint: stuck } = await connect();
  await connect();
  const { txn } = h1!.store;
  const refused = keys.endpoint(stuck.record);
  h1!.store.txn = async (compares, writes) => {
    const isRefused = writes.some((write) => write.kind === 'delete' && write.key === refused);
    if (isRefused) throw Object.assign(new Error('etcd refused the request'), { retryable: false });
    return await txn.call(h1!.store, compares, writes);
  };
  await cluster.clock.until(h1!.running.endpoints.disconnect('web', 'netns:c1', false)).catch(() => undefined);
  h1!.store.cut('refusing');
  await cluster.clock.until(h1!.running.endpoints.disconnect('web', 'netns:c2', false));
  h1!.store.heal();
  await cluster.clock.advance(5_000);
  expect(cluster.etcd.entries('/overlayd/v2/endpoints/').map(({ key }) => key)).toEqual([refused]);
});

it('a host that was removed, and that etcd refuses from then on, goes on saying so', async () => {
  const [, h2] = await make(2);
  cluster.etcd.txn([], [{ kind: 'delete', key: keys.node('node2') }]);
  await cluster.clock.advance(1_000);
  expect(h2!.running.removed).toBe(true);
  h2!.store.cut('refusing');
  await cluster.clock.advance(60_000);
  expect([h2!.running.storeConnected, h2!.running.removed]).toEqual([false, true]);
});
