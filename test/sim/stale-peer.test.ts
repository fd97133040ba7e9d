/** Members that know less than this node did: what they do not know of is not gone. */

import { afterEach, expect, it } from 'vitest';
import { endpointEntries } from '../../src/agent/claims/endpoint-claims.ts';
import { keys } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;

async function make(hosts: number): Promise<SimulatedHost[]> {
  cluster = new SimulatedCluster({ seed: 1 });
  await cluster.start(hosts);
  return cluster.hosts;
}

const connect = (host: SimulatedHost, network = 'web') =>
  cluster.clock.until(host.running.endpoints.connect({ network, container: host.addContainer(), aliases: [] }));

/** It hears of nothing any more. */
const stall = async (host: SimulatedHost) => {
  const others = cluster.hosts.filter((other) => other !== host);
  cluster.partition([host], others, [host]);
  await cluster.clock.advance(5_000);
};

/**
 * etcd goes away and the first host's agent is restarted: from then on it reaches the third, which stalled, and nobody
 * else. Nothing is written to its kernel. Returns how much had been.
 */
const restartBesideStalled = async (h1: (typeof cluster.hosts)[number]): Promise<number> => {
  cluster.etcd.stop('refusing');
  await cluster.clock.advance(5_000);
  await h1.crash();
  const { writes } = h1.kernel;
  cluster.network.heal();
  cluster.network.partition(['node1', 'node3'], ['node2']);
  await h1.start();
  await cluster.clock.advance(30_000);
  expect(h1.kernel.writes).toBe(writes);
  return writes;
};

afterEach(() => cluster.stop());

it('a restarted agent whose first answer is from a member that stalled before takes nothing down', async () => {
  const [h1, h2, h3] = await make(3);
  await stall(h3!);
  await cluster.clock.until(h1!.running.networks.create(networkRequest('web')));
  await connect(h1!);
  await connect(h2!);
  await cluster.clock.advance(5_000);
  const writes = await restartBesideStalled(h1!);
  expect(h1!.running.local.all()).toHaveLength(1);
  expect(h1!.running.view.provesAbsence).toBe(false);
  // A member that knows as much as this node did is believed.
  cluster.network.heal();
  await cluster.clock.advance(10_000);
  expect(h1!.running.view.provesAbsence).toBe(true);
  expect(h1!.kernel.writes).toBe(writes);
  cluster.etcd.start();
  cluster.heal();
  await cluster.clock.advance(20_000);
  await checkQuiet(cluster);
});

it('remembers how far etcd had come although nothing of its own changed since', async () => {
  const [h1, h2, h3] = await make(3);
  await cluster.clock.until(h1!.running.networks.create(networkRequest('web')));
  await connect(h1!);
  await cluster.clock.advance(5_000);
  await stall(h3!);
  await connect(h2!);
  await cluster.clock.advance(70_000);
  await restartBesideStalled(h1!);
  cluster.etcd.start();
  cluster.heal();
  await cluster.clock.advance(20_000);
  await checkQuiet(cluster);
});

it('an agent that is told to stop writes down how far etcd had come', async () => {
  const [h1, h2] = await make(2);
  await cluster.clock.until(h1!.running.networks.create(networkRequest('web')));
  await connect(h1!);
  await connect(h2!);
  await cluster.clock.advance(5_000);
  expect(h1!.disk.state?.store?.height).toBeLessThan(cluster.etcd.revision);
  await h1!.stop();
  expect(h1!.disk.state?.store?.height).toBe(cluster.etcd.revision);
});

it('members alone do not end an endpoint of this host, nor the network that it is on', async () => {
  const [h1, h2] = await make(2);
  await cluster.clock.until(h1!.running.networks.create(networkRequest('web')));
  const { endpoint } = await connect(h1!);
  await cluster.clock.advance(5_000);
  const { networkId } = endpoint.record;
  h1!.store.cut('refusing');
  await cluster.clock.advance(5_000);
  // Somebody takes both away in etcd, by hand; of the two only the other one hears of it there.
  const taken = [...endpointEntries(endpoint.record), { key: keys.network(networkId) }];
  cluster.etcd.txn(
    [],
    taken.map(({ key }) => ({ kind: 'delete', key })),
  );
  const { writes } = h1!.kernel;
  await cluster.clock.advance(20_000);
  expect(h2!.running.view.network(networkId)).toBeUndefined();
  expect(h1!.kernel.writes).toBe(writes);
  expect(h1!.running.view.network(networkId)?.name).toBe('web');
  // etcd's own word does.
  h1!.store.heal();
  await cluster.clock.advance(10_000);
  expect(h1!.running.local.all()).toEqual([]);
  await checkQuiet(cluster);
});
