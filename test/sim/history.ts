/**
 * Random histories of a cluster: what users and fate do to it, step by step, as the seed says. Steps answer at once or with what
 * comes of them; refusals are part of life.
 */
import { evictNode } from '../../src/agent/cluster/eviction.ts';
import { isOverlaydError } from '../../src/core/errors.ts';
import type { Random } from '../../src/ports/runtime.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import type { SimulatedCluster, SimulatedHost } from './simulated-cluster.ts';

export const FAMILIES = [
  { ipv4: true, ipv6: false },
  { ipv4: true, ipv6: true },
  { ipv4: false, ipv6: true },
] as const;

export interface World {
  readonly cluster: SimulatedCluster;
  readonly random: Random;
  networks: number;
  /** Removed for good; what removes them may have been cut short. */
  readonly evicted: SimulatedHost[];
}

export type Step = (world: World) => Promise<unknown> | undefined;
export type WeightedStep = readonly [weight: number, name: string, step: Step];

export function newWorld(cluster: SimulatedCluster): World {
  return { cluster, random: cluster.random, networks: 0, evicted: [] };
}

/** Networks of some kinds to begin with. */
export async function begin({ cluster, random }: World): Promise<void> {
  const { networks } = cluster.hosts[0]!.running;
  for (const name of ['n0', 'n1', 'n2', 'n3']) {
    if (random.next() < 0.3) continue;
    const families = FAMILIES[Math.floor(random.next() * FAMILIES.length)]!;
    await cluster.clock.until(networks.create(networkRequest(name, { ...families, ...kindOf(name) })));
  }
  await cluster.clock.advance(1_000);
}

/** What the network of that name is like. */
export function kindOf(name: string) {
  const options: Record<string, string> = {
    ...(/[14]/.test(name) && { multicast: 'true' }),
    ...(/[25]/.test(name) && { sticky: 'true' }),
    ...(/[04]/.test(name) && { encrypted: '' }),
  };
  return { options, internal: name === 'n3' };
}

/** So many steps, some of them right after another; `afterEach` is told when each has had its time. */
export async function live(
  world: World,
  steps: readonly WeightedStep[],
  count: number,
  afterEach: () => void,
): Promise<readonly unknown[]> {
  const unexpected: unknown[] = [];
  for (let i = 0; i < count; i++) {
    const [, , step] = choose(world.random, steps);
    const result = step(world);
    result?.catch(expectRefusal).catch((error: unknown) => unexpected.push(error));
    await world.cluster.clock.advance(
      world.random.next() < 0.5 ? world.random.next() * 20 : world.random.next() * 4_000,
    );
    afterEach();
  }
  return unexpected;
}

/** No fault any more, every agent runs, and what was begun has long ended. */
export async function calm(world: World): Promise<void> {
  const { cluster } = world;
  cluster.network.garble = (message) => message;
  cluster.etcd.start();
  cluster.heal();
  for (const each of cluster.hosts) each.kernel.setWireguard(true);
  const startAll = async () => {
    for (const each of cluster.hosts) if (!each.member) await each.start();
  };
  await startAll();
  await cluster.clock.advance(20_000);
  // One that was about to stop has done so by now.
  await startAll();
  const [by] = cluster.hosts as [SimulatedHost];
  by.store.loseReplies(-Infinity);
  for (const host of world.evicted) await cluster.clock.until(evict(by, host));
  // What a killed agent was in the middle of never ends; everything else has long ended by then.
  await cluster.clock.advance(150_000);
}

/** Something of every network on every host, so that all that there is can be compared. */
export async function fill({ cluster }: World): Promise<void> {
  for (const host of cluster.running) {
    for (const { id: network } of host.running.networks.list()) {
      const wanted = { network, container: host.addContainer(), aliases: ['everywhere'] };
      await cluster.clock.until(host.running.endpoints.connect(wanted)).catch(expectRefusal);
    }
  }
  await cluster.clock.advance(10_000);
}

function choose(random: Random, steps: readonly WeightedStep[]): WeightedStep {
  const total = steps.reduce((sum, [weight]) => sum + weight, 0);
  let left = random.next() * total;
  for (const entry of steps) {
    left -= entry[0];
    if (left < 0) return entry;
  }
  return steps[0]!;
}

/** Anything that is not one of ours is a bug. */
function expectRefusal(error: unknown): void {
  if (!isOverlaydError(error) || error.code === 'internal') throw error;
}

export const pick = <T>({ random }: World, items: readonly T[]): T | undefined =>
  items[Math.floor(random.next() * items.length)];
export const host = (world: World): SimulatedHost | undefined => pick(world, world.cluster.running);

export function evict(by: SimulatedHost, { record }: SimulatedHost): Promise<number> {
  const { commit } = by.running;
  const deps = { store: by.store, commit, clock: by.clock };
  return evictNode(deps, record.id, { by: by.record.id, quarantineSeconds: 60 });
}
