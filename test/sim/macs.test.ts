/** No two endpoints of a network have one MAC, whoever chose it, wherever, whenever. */

import { afterEach, beforeEach, expect, it } from 'vitest';
import { evictNode } from '../../src/agent/cluster/eviction.ts';
import { encodeRecord } from '../../src/core/record-codec.ts';
import { keys } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { forget } from './forget.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;
let one: SimulatedHost;
let two: SimulatedHost;
let networkId: string;

async function make(seed: number): Promise<void> {
  cluster = new SimulatedCluster({ seed });
  await cluster.start(2);
  [one, two] = cluster.hosts as [SimulatedHost, SimulatedHost];
  const web = await cluster.clock.until(one.running.networks.create(networkRequest('web')));
  networkId = web.id;
  await cluster.clock.advance(1_000);
}

beforeEach(() => make(1));
afterEach(() => cluster.stop());

const begin = (host: SimulatedHost, options: { name?: string; ip?: string; mac?: string } = {}) =>
  host.running.endpoints.connect({ network: 'web', container: host.addContainer(), aliases: [], ...options });
const connect = async (host: SimulatedHost, options: { name?: string; ip?: string; mac?: string } = {}) =>
  (await cluster.clock.until(begin(host, options))).endpoint.record;

const at = (ip: string) => ({ addresses: [{ ip }] });
/** That of 10.0.0.`last`. */
const macOf = (last: number) => `02:42:0a:00:00:${last.toString(16).padStart(2, '0')}`;

it('an automatic endpoint passes over an address whose MAC somebody chose', async () => {
  await connect(one);
  expect(await connect(one, { name: 'a2', mac: macOf(4) })).toMatchObject({ ...at('10.0.0.3'), mac: macOf(4) });
  expect(await connect(two)).toMatchObject({ ...at('10.0.0.5'), mac: macOf(5) });
  await checkQuiet(cluster);
});

it('a MAC, or an address whose MAC somebody chose, that is asked for by hand is refused with who has it', async () => {
  await connect(one, { name: 'a1' });
  await connect(one, { name: 'a2', mac: macOf(4) });
  await expect(connect(two, { mac: macOf(4) })).rejects.toThrow(
    `${macOf(4)} already in use on network web by a2 on ${one.record.name}`,
  );
  await expect(connect(two, { mac: macOf(2) })).rejects.toThrow(
    `${macOf(2)} already in use on network web by a1 on ${one.record.name}`,
  );
  await expect(connect(two, { ip: '10.0.0.4' })).rejects.toThrow(`by a2 on ${one.record.name}`);
  expect(await connect(two, { ip: '10.0.0.4', mac: '02:00:00:00:00:01' })).toMatchObject(at('10.0.0.4'));
  expect(await connect(two, { ip: '10.0.0.9', mac: macOf(9) })).toMatchObject({ mac: macOf(9) });
  await checkQuiet(cluster);
});

it('is free again with its endpoint, and with its host', async () => {
  const { id } = await connect(one, { name: 'a2', mac: macOf(9) });
  await cluster.clock.until(one.running.endpoints.disconnect('web', id, false));
  await connect(two, { name: 'b2', mac: macOf(9) });
  await two.crash();
  const deps = { store: cluster.etcd.store('node1'), commit: one.running.commit, clock: cluster.clock };
  await cluster.clock.until(evictNode(deps, two.record.id, { by: one.record.id, quarantineSeconds: 1 }));
  expect(cluster.etcd.entries(keys.macs(networkId))).toEqual([]);
  expect(await connect(one, { mac: macOf(9) })).toMatchObject({ mac: macOf(9) });
});

it('a claim of a MAC whose endpoint somebody of an older release took away stands in nobody’s way', async () => {
  for (const last of [9, 3]) {
    const value = encodeRecord({ endpointId: 'gone', nodeId: 'node1' });
    cluster.etcd.txn([], [{ kind: 'put', key: keys.mac(networkId, macOf(last)), value }]);
  }
  expect(await connect(two, { mac: macOf(9) })).toMatchObject({ mac: macOf(9), ...at('10.0.0.2') });
  expect(await connect(two)).toMatchObject({ mac: macOf(3) });
  await checkQuiet(cluster);
});

it('is claimed again with its endpoint’s lost claim', async () => {
  const record = await connect(one, { mac: macOf(9) });
  forget(cluster.etcd, record);
  await cluster.clock.advance(10_000);
  expect(cluster.etcd.entries(keys.endpoint(record))).toHaveLength(1);
  await checkQuiet(cluster);
});

it.each(Array.from({ length: 24 }, (_, seed) => seed + 2))('never of two that race for it (seed %i)', async (seed) => {
  await cluster.stop();
  await make(seed);
  await connect(one);
  const random = cluster.random;
  // What follows from the next addresses, and what follows from none.
  const chosen = () => (random.next() < 0.7 ? macOf(3 + Math.floor(random.next() * 4)) : '02:00:00:00:00:01');
  const claims = Array.from({ length: 8 }, async (_, index) => {
    await cluster.clock.sleep(random.next() * 20);
    await begin(index % 2 === 0 ? one : two, random.next() < 0.5 ? { mac: chosen() } : {});
  });
  const settled = await cluster.clock.until(Promise.allSettled(claims));
  for (const each of settled) if (each.status === 'rejected') expect(String(each.reason)).toContain('already in use');
  await checkQuiet(cluster);
});
