import { describe, expect, it } from 'vitest';
import { LATENCY_MS, type Measurements, measure, STARVATION } from '../scale/experiment.ts';
import { judge } from '../scale/goals.ts';
import { GossipCluster } from '../scale/gossip-cluster.ts';
import { measureAll } from '../scale/seed-runs.ts';
import { theoryOf } from '../scale/theory.ts';

describe('clusters of the scale simulation', () => {
  it.each([10, 30])('of %i nodes hear of every attach and suspect nobody, though messages are lost', async (nodes) => {
    const found = await measure({ seed: 1, nodes, loss: 0.01, starved: 0.05 });
    expect(found.missed).toBe(0);
    expect(found.convergenceMs.length).toBe(5 * (nodes - 1));
    expect(found.falseSuspicions.calm).toBe(0);
    expect(found.hiddenMs.length).toBe(nodes - 1);
    // Virtual time: the same on every machine.
    expect(found.hiddenLastMs).toBeLessThan(10_000);
    expect(found.healedMs).toBeLessThan(2_000);
    expect(await measure({ seed: 1, nodes, loss: 0.01, starved: 0.05 })).toEqual(found);
  });

  it.each([4, 10, 40])('of %i nodes hide nobody for pairs that do not reach each other', async (nodes) => {
    const cluster = new GossipCluster({ seed: 1, nodes, latencyMs: LATENCY_MS, loss: 0.01 });
    const hidden = new Set<string>();
    cluster.onHidden = ({ observer, hidden: ids }) => {
      for (const id of ids) hidden.add(`${observer.record.name} hides ${id}`);
    };
    cluster.start();
    await cluster.clock.advance(5_000);
    // Every fourth node reaches the next one no more; of these, every second is not reached by it either.
    for (let i = 0; i < nodes; i += 4) {
      const [one, other] = [cluster.nodes[i]!.record.id, cluster.nodes[i + 1]!.record.id];
      cluster.network.cutOneWay(one, other);
      if (i % 8 === 0) cluster.network.cutOneWay(other, one);
    }
    await cluster.clock.advance(120_000);
    cluster.stop();
    expect([...hidden]).toEqual([]);
  });

  it('of 20 nodes of which one gets hardly any CPU for two minutes hide none of the others', async () => {
    const cluster = new GossipCluster({ seed: 1, nodes: 20, latencyMs: LATENCY_MS, loss: 0.01 });
    const busy = cluster.nodes[7]!;
    const hidden = new Set<string>();
    cluster.onHidden = ({ observer, hidden: ids }) => {
      for (const id of ids) if (id !== busy.record.id) hidden.add(`${observer.record.name} hides ${id}`);
    };
    cluster.start();
    await cluster.clock.advance(10_000);
    busy.cpu.starve(STARVATION);
    await cluster.clock.advance(120_000);
    cluster.stop();
    expect([...hidden]).toEqual([]);
  });

  it.each([16, 17, 60])('of %i nodes get what is pushed once each, in two steps', async (nodes) => {
    const cluster = new GossipCluster({ seed: 1, nodes, latencyMs: LATENCY_MS, loss: 0 });
    cluster.start();
    await cluster.clock.advance(5_000);
    const before = cluster.network.traffic.newsMessages;
    const attach = cluster.attach(cluster.nodes[3]!);
    await cluster.clock.advance(4 * LATENCY_MS[1]);
    expect(attach.seenAfterMs).toHaveLength(nodes - 1);
    // Each is answered.
    expect(cluster.network.traffic.newsMessages - before).toBe(2 * (nodes - 1));
    cluster.stop();
  });

  it('give the same figures, however many are measured at a time', async () => {
    const runs = [10, 4, 6].map((nodes) => ({ seed: 2, nodes, loss: 0.01, starved: 0.05 }));
    const done: number[] = [];
    const found = await measureAll(runs, 2, (index) => done.push(index));
    expect(done.sort()).toEqual([0, 1, 2]);
    expect(found).toEqual(await Promise.all(runs.map(measure)));
  });

  it('are held beside the goals of their size', async () => {
    const run = await measure({ seed: 1, nodes: 10, loss: 0, starved: 0.05 });
    const verdicts = (changed: Partial<Measurements>, nodes = 50) =>
      judge([{ nodes, runs: [{ ...run, ...changed }] }]).map((row) => `${row[0]}: ${row.at(-1)}`);
    expect(verdicts({ lastNodeMs: [400] })[0]).toBe('attach known everywhere, p99: met, stretch too');
    expect(verdicts({ lastNodeMs: [900] })[0]).toBe('attach known everywhere, p99: met');
    expect(verdicts({ lastNodeMs: [900, Number.POSITIVE_INFINITY] })[0]).toBe('attach known everywhere, p99: MISSED');
    expect(verdicts({ healedMs: 2_001 }).at(-1)).toBe('partition healed, tables equal, p99: MISSED');
    const suspicions = { calm: 0, starved: 1, starvedOfHealthy: 0 };
    expect(verdicts({ falseSuspicions: suspicions, hiddenMs: [10_001] }, 10)).toEqual([
      'crash hidden, p99: MISSED',
      'false suspicions, calm and while hosts starve: MISSED',
    ]);
  });

  it('are held beside a theory that grows with the logarithm of their size', () => {
    const [ten, thousand] = [theoryOf(10, 0, 1_000, 3), theoryOf(1_000, 0, 1_000, 3)];
    expect(thousand.rounds / ten.rounds).toBeCloseTo(3);
    expect(ten.firstDetectionMs).toBe(thousand.firstDetectionMs);
  });
});
