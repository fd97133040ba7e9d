/** Hosts with addresses of IPv6 alone: tunnels, filters and MTU of their networks. */
import { expect, it } from 'vitest';
import { networkRequest } from '../fixtures/network-request.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

it('carry networks like hosts of IPv4, and an agent that takes over finds nothing to do', async () => {
  const cluster = new SimulatedCluster({ seed: 1, family: 6 });
  await cluster.start(3);
  const [one, two, three] = cluster.hosts as [SimulatedHost, SimulatedHost, SimulatedHost];
  await cluster.clock.until(one.running.networks.create(networkRequest('web')));
  for (const host of cluster.hosts) {
    const container = host.addContainer();
    await cluster.clock.until(host.running.endpoints.connect({ network: 'web', container, aliases: [] }));
  }
  await cluster.clock.advance(5_000);
  const { links, fdb } = two.kernel.machine.snapshot('ovl-4096')!;
  expect(links.get('vx0')).toMatchObject({ mtu: 1_430, vxlan: { local: '2001:db8::2' } });
  const ends = fdb.filter(({ link }) => link === 'vx0').map(({ vtep }) => vtep);
  expect(ends.sort()).toEqual(['2001:db8::1', '2001:db8::3']);
  const { sets } = two.kernel.machine.hostSnapshot().filter!;
  expect(sets.find(({ name }) => name === 'members6')?.elements).toEqual(new Set(['2001:db8::1', '2001:db8::3']));
  expect(sets.find(({ name }) => name === 'members')).toBeUndefined();

  // A router names another MTU, of which the kernel tells nobody.
  three.facts.mtuBytes = 1_400;
  await cluster.clock.advance(60_000);
  expect(one.running.view.node(three.record.id)?.underlayMtu).toBe(1_400);
  expect(two.kernel.machine.snapshot('ovl-4096')!.links.get('vx0')?.mtu).toBe(1_330);

  await three.crash();
  const { writes } = three.kernel;
  await three.start();
  await cluster.clock.advance(30_000);
  expect(three.kernel.writes).toBe(writes);
  expect(one.running.findings.map(({ text }) => text)).toEqual([]);
  await checkQuiet(cluster);
  await cluster.stop();
});
