/**
 * Whatever somebody does to a kernel without an event that tells of it: a look finds something exactly when the kernel differs from
 * one that was never damaged, changes nothing, and after a repair there is nothing to be found. `SIM_SEED=17` runs one history again.
 */
import { expect, it } from 'vitest';
import { Reconciler } from '../../src/agent/reconcile/reconcile.ts';
import { HOST, type NamespaceState, type Place } from '../../src/core/host-state.ts';
import { chooseDamage } from '../contract/damage.ts';
import { contentOf } from '../contract/kernel-bench.ts';
import { World } from '../contract/kernel-world.ts';
import { FakeKernel } from './fake-kernel.ts';
import { seededRandom } from './seeded-random.ts';
import { seedsOf } from './seeds.ts';
import { silent } from './simulated-cluster.ts';
import { undamaged } from './undamaged.ts';
import { VirtualClock } from './virtual-clock.ts';

const SEEDS = seedsOf(100);
const ROUNDS = 12;

function build(seed: number) {
  const random = seededRandom(seed);
  const [kernel, clock, world] = [new FakeKernel(), new VirtualClock(), new World('h1')];
  world.addNode('h1', '10.77.0.1');
  world.addNode('h2', '10.77.0.2');
  world.addNode('h3', '10.77.0.3', { dataPathPort: 4790 });
  world.serviceAddress = random.next() < 0.5;
  for (let index = 0; index < 3; index++) {
    const network = world.addNetwork(`n${index}`, {
      ...{ vni: 4_096 + index, cidr: `10.0.${index}.0/24`, gateway: `10.0.${index}.1` },
      internal: index === 2,
      options: index === 1 ? { multicast: 'true' } : {},
    });
    for (let nth = 0; nth < 3; nth++) {
      const address = (number: number) => `10.0.${index}.${10 * number + nth}`;
      world.addRemote(network, random.next() < 0.5 ? 'h2' : 'h3', address(2));
      if (index > 0 || nth > 0) world.addLocal(network, address(1), kernel.addContainer(`/run/netns/c${index}${nth}`));
    }
  }
  const reconciler = new Reconciler(
    {
      ...{ kernel, clock, logger: silent, view: () => world, self: () => world.self },
      local: () => [...world.local.values()],
      serviceAddress: () => world.serviceAddress,
      onGone: async () => undefined,
    },
    { auditIntervalMs: 2 ** 31 - 1 },
  );
  return { random, kernel, clock, world, reconciler };
}

function contents({ machine }: FakeKernel, world: World) {
  const places = machine
    .places()
    .filter((place) => place !== HOST && !place.startsWith('/') && place.startsWith('ovl-'));
  const insides = [...world.local.values()].map(({ container }) => container.path);
  return new Map<Place, unknown>([
    [HOST, contentOf(machine.hostSnapshot())],
    ...[...places, ...insides].sort().map((place) => [place, contentOf(machine.snapshot(place)!)] as const),
  ]);
}

it.each(SEEDS)('seed %i: is found, and put right when that is asked for', async (seed) => {
  const { random, kernel, clock, world, reconciler } = build(seed);
  const quit = new AbortController();
  const ended = reconciler.run(quit.signal);
  reconciler.markDirty('all');
  await clock.advance(5_000);
  const right = contents(await undamaged(world), world);
  const look = () => clock.until(reconciler.drift.look(undefined, quit.signal));
  expect(contents(kernel, world)).toEqual(right);
  expect(await look()).toEqual([]);
  for (let round = 0; round < ROUNDS; round++) {
    for (let left = 1 + Math.floor(random.next() * 3); left > 0; left--) {
      const { machine } = kernel;
      const states = new Map<Place, NamespaceState>(machine.places().map((place) => [place, machine.snapshot(place)!]));
      states.set(HOST, machine.hostSnapshot());
      const op = chooseDamage(random, states);
      try {
        if (op) kernel.interfere(op, { silent: true });
      } catch {
        // What cannot be done to it is no damage.
      }
    }
    const damaged = contents(kernel, world);
    const { writes } = kernel;
    const found = await look();
    expect([found.length > 0, kernel.writes]).toEqual([!equal(damaged, right), writes]);
    for (const { why, object } of found) expect([why, object]).not.toContain('');
    await clock.until(reconciler.audit(quit.signal));
    expect(await look()).toEqual([]);
    expect(contents(kernel, world)).toEqual(right);
  }
  quit.abort();
  await ended;
});

function equal(a: unknown, b: unknown): boolean {
  try {
    expect(a).toEqual(b);
    return true;
  } catch {
    return false;
  }
}
