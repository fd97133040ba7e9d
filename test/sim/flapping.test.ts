/** Names and tables beside networks that lose, delay and reorder, over as long as nobody waits for outside of virtual time. */
import { afterEach, expect, it } from 'vitest';
import { firstAddress } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { addressesIn, question, read } from '../unit/core/dns/messages.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

const MINUTE_MS = 60_000;
let cluster: SimulatedCluster;

afterEach(() => cluster.stop());

/** Hosts with one container each that stays and is asked from, on a network of its own id. */
async function begin(options: { readonly seed: number; readonly loss?: number; readonly jitterMs?: number }) {
  const { seed, loss = 0, jitterMs = 3 } = options;
  cluster = new SimulatedCluster({ seed, loss, latencyMs: [1, jitterMs], etcdMs: jitterMs });
  await cluster.start(5);
  const { running } = cluster.hosts[0]!;
  const { id } = await cluster.clock.until(running.networks.create(networkRequest('web')));
  await cluster.clock.advance(3_000);
  const askers = new Map<SimulatedHost, string>();
  for (const host of cluster.hosts) {
    const wanted = { network: 'web', container: host.addContainer(), aliases: ['stays'] };
    const { endpoint } = await cluster.clock.until(host.running.endpoints.connect(wanted));
    askers.set(host, firstAddress(endpoint.record));
  }
  await cluster.clock.advance(5_000);
  const ask = async (host: SimulatedHost, name: string) => {
    const client = { networkId: id, address: askers.get(host)!, transport: 'tcp' } as const;
    return addressesIn(read(await host.names.handler(question(name), client))).sort();
  };
  return { ask, askers };
}

it.each([1, 2, 3])(
  'answers of a name whose tasks come and go are never more than one behind (seed %i)',
  async (seed) => {
    const { ask } = await begin({ seed, loss: 0.05, jitterMs: 300 });
    const live = new Map<string, { readonly host: SimulatedHost; readonly id: string }>();
    for (let round = 0; round < 120; round++) {
      const host = cluster.hosts[Math.floor(cluster.random.next() * cluster.hosts.length)]!;
      const [gone] = live;
      if (live.size > 3 && gone) {
        const [address, { host: at, id }] = gone;
        await cluster.clock.until(at.running.endpoints.disconnect('web', id, false));
        live.delete(address);
      } else {
        const wanted = { network: 'web', container: host.addContainer(), aliases: ['task'] };
        const { endpoint } = await cluster.clock.until(host.running.endpoints.connect(wanted));
        live.set(firstAddress(endpoint.record), { host, id: endpoint.record.id });
      }
      for (let second = 0; second < 5; second++) {
        await cluster.clock.advance(1_000);
        for (const each of cluster.hosts) {
          const surplus = (await ask(each, 'task')).filter((address) => !live.has(address));
          expect(surplus.length, `${surplus} on ${each.record.name}, round ${round}`).toBeLessThanOrEqual(1);
        }
      }
    }
    await cluster.clock.advance(2_000);
    for (const each of cluster.hosts)
      expect(await ask(each, 'task'), each.record.name).toEqual([...live.keys()].sort());
    await cluster.clock.advance(10_000);
    await checkQuiet(cluster);
  },
);

it.each([
  ['20 seconds', 20_000, 2_000],
  ['ten minutes', 10 * MINUTE_MS, 10_000],
])('a host that was cut off for %s has all names again, and so have all others', async (_, cutMs, limitMs) => {
  const { ask, askers } = await begin({ seed: 1 });
  const [five, ...others] = [...cluster.hosts].reverse() as [SimulatedHost, ...SimulatedHost[]];
  cluster.partition([five], others, [five]);
  await cluster.clock.advance(cutMs);
  expect(await ask(others[0]!, 'stays')).not.toContain(askers.get(five));
  const id = 'c1';
  expect(await ask(five, id)).toContain(askers.get(five));
  cluster.heal();
  await cluster.clock.advance(limitMs);
  const all = [...askers.values()].sort();
  for (const host of cluster.hosts) expect(await ask(host, 'stays'), host.record.name).toEqual(all);
  await checkQuiet(cluster);
});
