/** A network has so many containers on one host and no more: told before, and refused before anything is claimed. */
import { expect, it } from 'vitest';
import { MOST_CONTAINERS } from '../../src/core/host-state.ts';
import { keys } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

it('is nearly full, and full', async () => {
  const cluster = new SimulatedCluster({ seed: 1 });
  await cluster.start(2);
  const [one, two] = cluster.hosts as [SimulatedHost, SimulatedHost];
  const web = await cluster.clock.until(
    one.running.networks.create(networkRequest('web', { subnets: ['10.0.0.0/20'] })),
  );
  await cluster.clock.advance(1_000);
  const connect = (host: SimulatedHost) =>
    host.running.endpoints.connect({ network: 'web', container: host.addContainer(), aliases: [] });
  const many = (count: number) =>
    cluster.clock.until(Promise.allSettled(Array.from({ length: count }, () => connect(one))));
  const claims = async () => (await one.store.list(keys.addressesOn(web.id))).entries.length;

  await many(900);
  expect(one.running.findings.map(({ text }) => text)).toEqual([]);
  await many(50);
  expect(one.running.findings.map(({ text }) => text)).toEqual([
    expect.stringMatching(/^network web has 950 .* can have 1,022 on one/),
  ]);
  const rest = await many(80);
  const refused = rest.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
  expect(new Set(refused.map(({ code }) => code))).toEqual(new Set(['network-full']));
  expect(refused).toHaveLength(950 + 80 - MOST_CONTAINERS);
  expect(await claims()).toBe(MOST_CONTAINERS);
  expect(two.running.findings.map(({ text }) => text)).toEqual([]);
  const { endpoint } = await cluster.clock.until(connect(two));
  expect(endpoint.record.nodeId).toBe(two.record.id);

  const [first] = one.running.local.all();
  await cluster.clock.until(one.running.endpoints.disconnect('web', first!.record.id, false));
  await cluster.clock.until(connect(one));
  await expect(cluster.clock.until(connect(one))).rejects.toMatchObject({ code: 'network-full' });
  await cluster.clock.advance(5_000);
  await checkQuiet(cluster);
  await cluster.stop();
}, 120_000);
