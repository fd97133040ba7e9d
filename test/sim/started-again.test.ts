/** A container that is started again is connected before anybody has found out that the former one is gone. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { networkRequest } from '../fixtures/network-request.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;
let one: SimulatedHost;

beforeEach(async () => {
  cluster = new SimulatedCluster({ seed: 1 });
  await cluster.start(2);
  one = cluster.hosts[0]!;
  await cluster.clock.until(one.running.networks.create(networkRequest('web')));
  await cluster.clock.advance(1_000);
});
afterEach(() => cluster.stop());

const connect = (container: string, more: { name?: string; ip?: string } = {}) =>
  cluster.clock.until(one.running.endpoints.connect({ network: 'web', container, aliases: [], ...more }));
const own = () => one.running.local.all().map(({ record }) => record.id);

it('takes the place of the former one, its address too where it is asked for', async () => {
  const container = one.addContainer();
  const former = (await connect(container, { ip: '10.0.0.9' })).endpoint.record;
  one.replaceContainer(container);
  const next = (await connect(container, { ip: '10.0.0.9' })).endpoint.record;
  expect(next.id).not.toBe(former.id);
  expect(next.name).toBe(former.name);
  expect(own()).toEqual([next.id]);
  await cluster.clock.advance(1_000);
  await checkQuiet(cluster);
});

it('takes the name of one that is gone and was written otherwise', async () => {
  const gone = one.addContainer();
  await connect(gone, { name: 'db' });
  one.killContainer(gone);
  const next = await connect(one.addContainer(), { name: 'DB' });
  expect(own()).toEqual([next.endpoint.record.id]);
});

it('is refused the name of one that is there', async () => {
  await connect(one.addContainer(), { name: 'db' });
  await expect(connect(one.addContainer(), { name: 'db' })).rejects.toThrow(/endpoint with name db already exists/);
  expect(own()).toHaveLength(1);
});
