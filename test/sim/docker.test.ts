import { afterEach, describe, expect, it } from 'vitest';
import { networkRequest } from '../fixtures/network-request.ts';
import { checkEnginesQuiet } from './engine-invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;

async function make(hosts: number, seed = 1): Promise<SimulatedHost[]> {
  cluster = new SimulatedCluster({ seed, engines: true });
  await cluster.start(hosts);
  return cluster.hosts;
}

const until = <T>(promise: Promise<T>) => cluster.clock.until(promise);

afterEach(async () => {
  await cluster.stop();
});

describe('networks', () => {
  it('appear on every engine', async () => {
    const [h1, h2] = await make(2);
    await until(h1!.running.networks.create(networkRequest('web')));
    await cluster.clock.advance(1000);
    expect([...h2!.engine.objects.values()].map(({ name }) => name)).toEqual(['web']);
    await until(h2!.engine.run('api', { networks: { web: {} } }));
    await checkEnginesQuiet(cluster);
  });
});
