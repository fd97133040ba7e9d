import { afterEach, expect, it } from 'vitest';
import { SERVICE_ADDRESS } from '../../src/core/host-state.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;
afterEach(() => cluster.stop());

async function connect(host: SimulatedHost, network: string): Promise<void> {
  const container = host.addContainer();
  await cluster.clock.until(host.running.endpoints.connect({ network, container, aliases: [] }));
}

it('is answered at on a host that uses it, in networks that are there and that come, and goes on when the agent stops', async () => {
  cluster = new SimulatedCluster({ seed: 1 });
  await cluster.start(2);
  const [one, two] = cluster.hosts as [SimulatedHost, SimulatedHost];
  const web = await cluster.clock.until(one.running.networks.create(networkRequest('web')));
  for (const host of [one, two]) await connect(host, 'web');
  const gateway = web.subnets[0]!.gateway;
  expect(one.listening).toEqual(new Map([[web.id, [gateway]]]));

  one.running.useServiceAddress();
  one.running.useServiceAddress();
  await cluster.clock.advance(5_000);
  expect(one.kernel.machine.hostSnapshot().addresses).toEqual([{ link: 'lo', address: SERVICE_ADDRESS, prefix: 32 }]);
  expect(one.listening).toEqual(
    new Map([
      [web.id, [gateway, SERVICE_ADDRESS]],
      ['', [SERVICE_ADDRESS]],
    ]),
  );
  expect(two.listening).toEqual(new Map([[web.id, [gateway]]]));

  const api = await cluster.clock.until(one.running.networks.create(networkRequest('api')));
  await connect(one, 'api');
  expect(one.listening.get(api.id)).toEqual([api.subnets[0]!.gateway, SERVICE_ADDRESS]);
  await checkQuiet(cluster);

  const { writes } = one.kernel;
  const answered = new Map(one.listening);
  await one.stop();
  expect(one.listening).toEqual(answered);
  await one.start((member) => member.useServiceAddress());
  await cluster.clock.advance(10_000);
  expect(one.kernel.writes).toBe(writes);
  expect(one.listening.get('')).toEqual([SERVICE_ADDRESS]);
});
