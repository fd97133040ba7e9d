/**
 * Agents that start while looking at the kernel or at WireGuard takes time: what the view is by the end of a look is not what it
 * was when it was decided what is wanted. Nothing is taken away on the word of a view that was not whole at that moment.
 */
import { afterEach, expect, it } from 'vitest';
import { networkRequest } from '../fixtures/network-request.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';
import { slowLooks } from './slow-looks.ts';

/** How long a look takes: in this cluster a view becomes whole some 10 ms after its agent's start. */
const LOOKS_MS = [0, 1, 3, 8, 15, 30, 60, 200];
/** Of what takes something away, or turns something off, for however short a time. */
const REMOVALS = /^(delete|remove)-/;

let cluster: SimulatedCluster;

afterEach(() => cluster.stop());

async function begin(): Promise<readonly SimulatedHost[]> {
  cluster = new SimulatedCluster({ seed: 5, etcdMs: 20 });
  await cluster.start(3);
  const [one] = cluster.hosts as [SimulatedHost];
  for (const [name, options] of [
    ['plain', { multicast: 'true' }],
    ['secret', { encrypted: '' }],
  ] as const) {
    await cluster.clock.until(one.running.networks.create(networkRequest(name, { options, ipv6: name === 'plain' })));
    await cluster.clock.advance(2_000);
    for (const host of cluster.hosts) {
      const wanted = { network: name, container: host.addContainer(), aliases: [] };
      await cluster.clock.until(host.running.endpoints.connect(wanted));
    }
  }
  await cluster.clock.advance(10_000);
  return cluster.hosts;
}

/** Looks take as long from now on; returns what was done in the way of removals. */
function slow(host: SimulatedHost, ms: number): string[] {
  const removals: string[] = [];
  const note = (kind: string) => {
    if (REMOVALS.test(kind)) removals.push(kind);
  };
  const { kernel, wireguard } = host;
  slowLooks(host, ms);
  const [applyKernel, applyWireguard] = [kernel.apply.bind(kernel), wireguard.apply.bind(wireguard)];
  kernel.apply = (plan) => {
    for (const { ops } of plan.stages) for (const { op } of ops) note(op.kind);
    return applyKernel(plan);
  };
  wireguard.apply = (ops) => {
    for (const { kind } of ops) note(kind);
    return applyWireguard(ops);
  };
  return removals;
}

it.each(LOOKS_MS)('nothing is taken away by a start where a look takes %i ms', async (ms) => {
  const [, two] = await begin();
  const removals = slow(two!, ms);
  const before = [two!.kernel.writes, two!.wireguard.writes];
  for (let start = 0; start < 4; start++) {
    await two!.crash();
    await two!.start();
    await cluster.clock.advance(5_000 + start * 7);
    expect(removals).toEqual([]);
  }
  expect([two!.kernel.writes, two!.wireguard.writes]).toEqual(before);
  await checkQuiet(cluster);
});

it.each(LOOKS_MS)('nor where members are heard before etcd is, and a look takes %i ms', async (ms) => {
  const [, two] = await begin();
  const removals = slow(two!, ms);
  for (let start = 0; start < 4; start++) {
    await two!.crash();
    two!.store.cut();
    await two!.start();
    await cluster.clock.advance(3_000 + start * 7);
    two!.store.heal();
    await cluster.clock.advance(5_000);
    expect(removals).toEqual([]);
  }
  await checkQuiet(cluster);
});
