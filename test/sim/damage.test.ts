/**
 * Whatever is done to the kernel and whenever, between looks, between ops and while containers come and go: once it is quiet
 * the kernel is as one that was never damaged, and nothing more is written. `SIM_SEED=17` runs one history again.
 */
import { expect, it } from 'vitest';
import { Reconciler, type ReconcilerDeps } from '../../src/agent/reconcile/reconcile.ts';
import type { LocalEndpoint } from '../../src/core/container.ts';
import { HOST, type NamespaceState, type Op, type Place } from '../../src/core/host-state.ts';
import type { NetworkRecord } from '../../src/core/records.ts';
import { chooseDamage, isSilent } from '../contract/damage.ts';
import { contentOf } from '../contract/kernel-bench.ts';
import { World } from '../contract/kernel-world.ts';
import { FakeKernel } from './fake-kernel.ts';
import { seededRandom } from './seeded-random.ts';
import { seedsOf } from './seeds.ts';
import { silent } from './simulated-cluster.ts';
import { undamaged } from './undamaged.ts';
import { VirtualClock } from './virtual-clock.ts';

const SEEDS = seedsOf(100);
const STEPS = 40;

class History {
  readonly kernel = new FakeKernel();
  readonly world = new World('h1');
  readonly clock = new VirtualClock();
  readonly random;
  readonly reconciler: Reconciler;
  readonly networks: NetworkRecord[];
  damages = 0;
  #last = 0;
  #chance = 0;

  constructor(seed: number) {
    this.random = seededRandom(seed);
    const { world, kernel } = this;
    world.addNode('h1', '10.77.0.1');
    world.addNode('h2', '10.77.0.2');
    world.addNode('h3', '10.77.0.3', { dataPathPort: 4790 });
    world.serviceAddress = this.random.next() < 0.5;
    this.networks = [0, 1, 2].map((index) =>
      world.addNetwork(`n${index}`, {
        ...{ vni: 4_096 + index, cidr: `10.0.${index}.0/24`, gateway: `10.0.${index}.1` },
        internal: index === 2,
        options: index === 1 ? { multicast: 'true' } : {},
      }),
    );
    const carryOut = kernel.machine.carryOut.bind(kernel.machine);
    // Between the ops of a plan, of whatever stage.
    kernel.machine.carryOut = (op) => {
      if (this.random.next() < this.#chance) this.damage();
      return carryOut(op);
    };
    const deps: ReconcilerDeps = {
      ...{ kernel, clock: this.clock, logger: silent, view: () => world, self: () => world.self },
      local: () => [...world.local.values()],
      serviceAddress: () => world.serviceAddress,
      onGone: async (gone) => this.remove(gone),
    };
    this.reconciler = new Reconciler(deps, { auditIntervalMs: 3_000 });
  }

  /** From now on plans are interrupted, that often. */
  interrupt(chance: number): void {
    this.#chance = chance;
  }

  damage(): void {
    const chance = this.#chance;
    this.#chance = 0;
    const { machine } = this.kernel;
    const states = new Map<Place, NamespaceState>(machine.places().map((place) => [place, machine.snapshot(place)!]));
    states.set(HOST, machine.hostSnapshot());
    const op = chooseDamage(this.random, states);
    if (op && this.#try(op)) this.damages += 1;
    this.#chance = chance;
  }

  step(): void {
    const { random, world } = this;
    const network = this.networks[Math.floor(random.next() * this.networks.length)]!;
    const choice = random.next();
    if (choice < 0.25) this.#attach(network);
    else if (choice < 0.35) {
      world.addRemote(network, random.next() < 0.5 ? 'h2' : 'h3', this.#address(network));
      this.reconciler.markDirty(network.id);
    } else if (choice < 0.45) {
      const all = [...world.endpointRecords.values()];
      const record = all[Math.floor(random.next() * all.length)];
      if (record) this.remove([{ record } as LocalEndpoint]);
    } else if (choice < 0.5) {
      const all = [...world.local.values()];
      const endpoint = all[Math.floor(random.next() * all.length)];
      if (endpoint) this.kernel.killContainer(endpoint.container.path);
    } else if (choice < 0.6) this.kernel.failNext(() => random.next() < 0.1, 1 + Math.floor(random.next() * 3));
    else this.damage();
  }

  remove(endpoints: readonly LocalEndpoint[]): void {
    for (const { record } of endpoints) {
      this.world.remove(record.id);
      this.reconciler.markDirty(record.networkId);
    }
  }

  #attach(network: NetworkRecord): void {
    const container = this.kernel.addContainer(`/run/netns/c${++this.#last}`);
    const endpoint = this.world.addLocal(network, this.#address(network), container);
    this.reconciler.converge(network.id, { endpoint }).catch(() => undefined);
    if (this.random.next() > 0.3) return;
    const other = this.networks.find((each) => each !== network)!;
    this.world.addLocal(other, this.#address(other), container, { ifname: 'eth1' });
    this.reconciler.markDirty(other.id);
  }

  #address(network: NetworkRecord): string {
    return network.subnets[0]!.gateway.replace(/\d+$/, String(++this.#last + 1));
  }

  #try(op: Op): boolean {
    try {
      this.kernel.interfere(op, { silent: isSilent(op) && this.random.next() < 0.5 });
      return true;
    } catch {
      return false;
    }
  }
}

function contents({ machine }: FakeKernel) {
  const places = machine.places().filter((place) => place !== HOST && !place.startsWith('/'));
  const networks = places.map((place) => [place, contentOf(machine.snapshot(place)!)] as const);
  const host = machine.hostSnapshot();
  // That of the host is not switched off again: others may rely on it.
  const forwarding = host.links.size > 0 ? host.forwarding : undefined;
  return new Map([[HOST, { ...contentOf(host), forwarding }] as const, ...networks.sort()]);
}

it.each(SEEDS)('seed %i: is as if nothing had happened, and stays so', async (seed) => {
  const history = new History(seed);
  const { clock, kernel, random, reconciler, world } = history;
  const quit = new AbortController();
  const ended = reconciler.run(quit.signal);
  reconciler.markDirty('all');
  await clock.advance(1_000);
  history.interrupt(0.1);
  for (let step = 0; step < STEPS; step++) {
    history.step();
    await clock.advance(random.next() < 0.5 ? 0 : random.next() * 2_000);
  }
  history.interrupt(0);
  expect(history.damages).toBeGreaterThan(0);
  await clock.advance(120_000);
  const fresh = await undamaged(world);
  expect(contents(kernel)).toEqual(contents(fresh));
  for (const { container } of world.local.values()) {
    const [is, should] = [kernel, fresh].map(({ machine }) => contentOf(machine.snapshot(container.path)!));
    expect(is).toEqual(should);
  }
  expect(reconciler.status().problems).toEqual([]);
  const { writes } = kernel;
  kernel.tell({ kind: 'all' });
  reconciler.markDirty('all');
  await clock.advance(60_000);
  expect(kernel.writes).toBe(writes);
  quit.abort();
  await ended;
});
