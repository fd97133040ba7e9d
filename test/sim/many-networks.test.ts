/** A container on many networks that ends: its endpoints are let go of side by side. */
import { expect, it } from 'vitest';
import { keys, type NetworkRecord } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

const NETWORKS = 40;

it('takes few passes, however many networks it was on', async () => {
  const cluster = new SimulatedCluster({ seed: 1 });
  await cluster.start(1);
  const [host] = cluster.hosts as [SimulatedHost];
  const container = host.addContainer();
  const networks: NetworkRecord[] = [];
  for (let at = 0; at < NETWORKS; at++) {
    const name = `net${at}`;
    networks.push(await cluster.clock.until(host.running.networks.create(networkRequest(name))));
    await cluster.clock.until(host.running.endpoints.connect({ network: name, container, aliases: [] }));
  }
  const claims = async () => {
    const lists = await Promise.all(networks.map(({ id }) => host.store.list(keys.addressesOn(id))));
    return lists.flatMap(({ entries }) => entries).length;
  };
  expect(await claims()).toBe(NETWORKS);
  const { passes } = host.running.reconciler.status();
  host.killContainer(container);
  while ((await cluster.clock.until(claims())) > 0) await cluster.clock.advance(100);
  expect(host.running.reconciler.status().passes - passes).toBeLessThan(NETWORKS / 4);
  await cluster.clock.advance(5_000);
  await checkQuiet(cluster);
  await cluster.stop();
});
