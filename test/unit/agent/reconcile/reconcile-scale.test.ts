import { afterEach, beforeEach, describe, expect, it, type MockInstance, vi } from 'vitest';
import { Reconciler } from '../../../../src/agent/reconcile/reconcile.ts';
import type { LocalEndpoint } from '../../../../src/core/container.ts';
import { firstAddress, type NetworkRecord } from '../../../../src/core/records.ts';
import type { Logger } from '../../../../src/ports/runtime.ts';
import { World } from '../../../contract/kernel-world.ts';
import { FakeKernel } from '../../../sim/fake-kernel.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

const silent: Logger = { error() {}, warn() {}, info() {}, debug() {}, child: () => silent };

let kernel: FakeKernel;
let world: World;
let clock: VirtualClock;
let reconciler: Reconciler;
let looks: MockInstance<FakeKernel['observe']>;
let quit: AbortController;
let ended: Promise<void>;

beforeEach(() => {
  kernel = new FakeKernel();
  looks = vi.spyOn(kernel, 'observe');
  clock = new VirtualClock();
  world = new World('h1');
  world.addNode('h1', '10.77.0.1');
  world.addNode('h2', '10.77.0.2');
  start();
});

afterEach(async () => {
  quit.abort();
  await ended;
});

/** As an agent does: it marks everything, and its state becomes whole a moment later. */
function start(): void {
  quit = new AbortController();
  reconciler = new Reconciler({
    ...{ kernel, clock, logger: silent, view: () => world, self: () => world.self },
    local: () => [...world.local.values()],
    onGone: async () => undefined,
  });
  ended = reconciler.run(quit.signal);
  reconciler.markDirty('all');
}

const addNetwork = (index: number) => {
  const cidr = `10.${index >> 4}.${(index & 15) << 4}.0/20`;
  return world.addNetwork(`n${index}`, { vni: 4_096 + index, cidr, gateway: cidr.replace('.0/20', '.1') });
};

function add(network: NetworkRecord, index: number): LocalEndpoint {
  const container = kernel.addContainer(`/run/netns/${network.name}-${index}`);
  const at = index + 2;
  const address = network.subnets[0]!.gateway.split('.').map(Number);
  return world.addLocal(network, `${address[0]}.${address[1]}.${address[2]! + (at >> 8)}.${at & 255}`, container);
}

/** Networks looked at since the last call, one as often as it was. */
function networksLookedAt(): number {
  const count = looks.mock.calls.reduce((sum, [{ networks }]) => sum + networks.length, 0);
  looks.mockClear();
  return count;
}

describe('two hundred networks', () => {
  let networks: NetworkRecord[];

  beforeEach(async () => {
    networks = Array.from({ length: 200 }, (_, index) => addNetwork(index));
    for (const network of networks) add(network, 0);
    reconciler.markDirty('all');
    await clock.advance(10_000);
    networksLookedAt();
  });

  it('are looked at once by an agent that begins, whatever it hears meanwhile', async () => {
    quit.abort();
    await ended;
    start();
    world.isWhole = false;
    await clock.advance(10);
    world.isWhole = true;
    reconciler.markDirty('all');
    await clock.advance(10);
    world.addNode('h3', '10.77.0.3');
    reconciler.markDirty('all');
    const { writes } = kernel;
    await clock.advance(20_000);
    expect(networksLookedAt()).toBe(200);
    // The host's filter has one more member.
    expect(kernel.writes - writes).toBe(1);
  });

  it('are not looked at because one of them, or a member, comes', async () => {
    const made = addNetwork(200);
    const endpoint = add(made, 0);
    await clock.until(reconciler.converge(made.id, { endpoint }));
    world.addNode('h3', '10.77.0.3');
    reconciler.markDirty('all');
    await clock.advance(10_000);
    // Once before it was made, and once because of the events of its making.
    expect(networksLookedAt()).toBe(2);
    expect(reconciler.status().repairs).toBe(0);
  });
});

describe('hundreds of endpoints of one network', () => {
  const COUNT = 500;
  let network: NetworkRecord;

  beforeEach(async () => {
    network = addNetwork(0);
    for (let index = 0; index < COUNT; index++) add(network, index);
    reconciler.markDirty('all');
    await clock.advance(10_000);
    networksLookedAt();
  });

  it('that come and go one after the other cost their own writes, and few looks', async () => {
    const { writes } = kernel;
    const rounds = 24;
    for (let round = 0; round < rounds; round++) {
      const endpoint = add(network, COUNT + round);
      const inside = await kernel.inside(endpoint.container.path);
      await clock.until(reconciler.converge(network.id, { endpoint, inside }));
      world.remove(endpoint.record.id);
      await clock.until(reconciler.converge(network.id, { endpoint }));
      await clock.advance(10);
    }
    expect(kernel.writes - writes).toBeLessThanOrEqual(rounds * 20);
    expect(networksLookedAt()).toBeLessThanOrEqual(rounds / 4);
    await clock.advance(10_000);
    expect(reconciler.status().repairs).toBe(0);
    expect(kernel.machine.snapshot('ovl-4096')!.neighbours).toHaveLength(COUNT + 1);
  });

  it('that drift meanwhile are found', async () => {
    const endpoint = add(network, COUNT);
    await clock.until(reconciler.converge(network.id, { endpoint }));
    const [first] = world.local.values();
    const { mac } = first!.record;
    const address = firstAddress(first!.record);
    kernel.interfere({ kind: 'delete-neighbour', at: 'ovl-4096', neighbour: { link: 'vx0', address, mac } });
    await clock.advance(1_000);
    expect(kernel.machine.snapshot('ovl-4096')!.neighbours).toContainEqual({ link: 'vx0', address, mac });
  });
});
