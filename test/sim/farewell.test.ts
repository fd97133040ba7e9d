/** An agent that stops in order is awaited: its names stay for a bounded time, and for as long as its host is there. */
import { afterEach, describe, expect, it } from 'vitest';
import { AWAITED_MS, type Liveness } from '../../src/core/failure-detector.ts';
import type { GossipMessage } from '../../src/core/gossip/message.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;
afterEach(() => cluster.stop());

async function make(hosts: number): Promise<readonly SimulatedHost[]> {
  cluster = new SimulatedCluster({ seed: hosts });
  await cluster.start(hosts);
  await cluster.clock.advance(5_000);
  return cluster.hosts;
}

/** What the others say of a host. */
const saidOf = (of: SimulatedHost) =>
  new Set(
    cluster.hosts.filter((host) => host !== of && host.member).map(({ running }) => running.liveness(of.record.id)),
  );

async function expectFor(ms: number, of: SimulatedHost, said: Liveness): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) {
    await cluster.clock.advance(500);
    expect(saidOf(of)).toEqual(new Set([said]));
  }
}

/** As a release before does: it knows no farewell, and passes none on. */
const plain = (message: GossipMessage): GossipMessage => ({
  ...message,
  members: message.members.map(({ backWithinMs: _, ...news }) => news),
});

describe.each([2, 3, 12])('of %i hosts', (count) => {
  it('one whose agent stops in order is awaited, etcd without its lease or not, and is ready when it is back', async () => {
    const one = (await make(count))[0]!;
    await one.stop();
    await expectFor(AWAITED_MS - 3_000, one, 'restarting');
    await one.start();
    await cluster.clock.advance(2_000);
    await expectFor(10_000, one, 'ready');
  });

  it('one that does not come back is hidden when its time is over', async () => {
    const one = (await make(count))[0]!;
    await one.stop();
    await cluster.clock.advance(AWAITED_MS - 3_000);
    expect(saidOf(one)).toEqual(new Set(['restarting']));
    await cluster.clock.advance(20_000);
    expect(saidOf(one)).toEqual(new Set(['down']));
  });

  it('one whose host is gone meanwhile is hidden as any other', async () => {
    const one = (await make(count))[0]!;
    await one.stop();
    await expectFor(10_000, one, 'restarting');
    await one.reboot();
    await cluster.clock.advance(15_000);
    expect(saidOf(one)).toEqual(new Set(['down']));
  });

  it('one that is killed says nothing, and is hidden as ever', async () => {
    const one = (await make(count))[0]!;
    await one.crash();
    await cluster.clock.advance(15_000);
    expect(saidOf(one)).toEqual(new Set(['down']));
  });
});

it('a host that comes meanwhile awaits it too', async () => {
  const [one] = await make(3);
  await one!.stop();
  await cluster.clock.advance(20_000);
  await cluster.join();
  await cluster.clock.advance(5_000);
  expect(cluster.hosts[3]!.running.liveness(one!.record.id)).toBe('restarting');
  await cluster.clock.advance(AWAITED_MS - 10_000);
  expect(saidOf(one!)).toEqual(new Set(['down']));
});

it('a member of a release before, which passes no farewell on, keeps nobody from awaiting it', async () => {
  const [one, former] = await make(5);
  cluster.network.garble = (message) => (message.from === former!.record.id ? plain(message) : message);
  await one!.stop();
  await cluster.clock.advance(30_000);
  for (const host of cluster.hosts.slice(2)) expect(host.running.liveness(one!.record.id)).toBe('restarting');
  await one!.start();
  await cluster.clock.advance(3_000);
  expect(saidOf(one!)).toEqual(new Set(['ready']));
});

it('who cannot reach its host hides it for nobody else', async () => {
  const [one, two, ...others] = await make(4);
  await one!.stop();
  cluster.network.cut(one!.record.id, two!.record.id);
  for (let passed = 0; passed < 30_000; passed += 500) {
    await cluster.clock.advance(500);
    for (const { running } of others) expect(running.liveness(one!.record.id)).toBe('restarting');
  }
  expect(two!.running.liveness(one!.record.id)).toBe('down');
});

it('all of them, one after the other, and all at once: nobody is hidden', async () => {
  const hosts = await make(4);
  for (const host of hosts) {
    await host.stop();
    await expectFor(8_000, host, 'restarting');
    await host.start();
    await cluster.clock.advance(2_000);
    for (const other of hosts) expect(saidOf(other)).toEqual(new Set(['ready']));
  }
  for (const host of hosts) await host.stop();
  await cluster.clock.advance(20_000);
  for (const host of hosts) await host.start();
  await expectFor(20_000, hosts[0]!, 'ready');
});
