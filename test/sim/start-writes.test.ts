/** An agent that starts finds networks right, and leaves them so, before anybody has told it what it was in etcd before. */
import { afterEach, expect, it } from 'vitest';
import { networkRequest } from '../fixtures/network-request.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;

afterEach(() => cluster.stop());

/** One network of both families, a container of each host on it; `mtuBytes`: of all underlays. */
async function make(mtuBytes: number): Promise<SimulatedHost> {
  cluster = new SimulatedCluster({ seed: 1 });
  await cluster.start(2);
  const [one] = cluster.hosts as [SimulatedHost, SimulatedHost];
  for (const host of cluster.hosts) {
    host.facts.mtuBytes = mtuBytes;
    host.running.noteHostChange();
  }
  await cluster.clock.advance(6_000);
  await cluster.clock.until(one.running.networks.create(networkRequest('web', { ipv6: true })));
  await cluster.clock.advance(1_000);
  for (const host of cluster.hosts) {
    const container = host.addContainer();
    await cluster.clock.until(host.running.endpoints.connect({ network: 'web', container, aliases: [] }));
  }
  await cluster.clock.advance(5_000);
  return one;
}

it.each([
  ['without IPv6, where networks have no way out by it', 1_500],
  ['whose underlay carries more than most', 9_000],
  ['whose underlay carries less than most', 1_400],
])('on a host %s', async (_, mtuBytes) => {
  const one = await make(mtuBytes);
  cluster.etcd.stop('refusing');
  await one.crash();
  cluster.partition([one], [cluster.hosts[1]!], []);
  const { writes } = one.kernel;
  await one.start();
  await cluster.clock.advance(20_000);
  expect(one.kernel.writes).toBe(writes);
  cluster.etcd.start();
  cluster.heal();
  await cluster.clock.advance(20_000);
  expect(one.kernel.writes).toBe(writes);
  await checkQuiet(cluster);
});
