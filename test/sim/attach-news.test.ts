/** What an attach touches on the cluster's hosts, and what it does not: on a busy cluster there is one every moment. */
import { expect, it } from 'vitest';
import { networkRequest } from '../fixtures/network-request.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

it('is no news of members: nobody looks at certificates for it', async () => {
  const cluster = new SimulatedCluster({ seed: 1 });
  await cluster.start(3);
  const [one, two, three] = cluster.hosts as [SimulatedHost, SimulatedHost, SimulatedHost];
  await cluster.clock.until(one.running.networks.create(networkRequest('web', { subnets: ['10.0.0.0/24'] })));
  await cluster.clock.advance(5_000);
  const before = cluster.hosts.map(({ memberNews }) => memberNews);
  expect(Math.min(...before)).toBeGreaterThan(0);
  for (const host of [one, two]) {
    const connecting = host.running.endpoints.connect({ network: 'web', container: host.addContainer(), aliases: [] });
    await cluster.clock.until(connecting);
  }
  await cluster.clock.advance(1_000);
  expect(three.running.view.endpointCount()).toBe(2);
  expect(cluster.hosts.map(({ memberNews }) => memberNews)).toEqual(before);
  await three.crash();
  await cluster.clock.advance(30_000);
  expect(one.memberNews).toBeGreaterThan(before[0]!);
});
