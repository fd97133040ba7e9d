/**
 * Random histories of members behind NAT, from seeds: relays and agents end, routers forget, get other addresses or map otherwise, hosts are
 * cut from each other, keys are exchanged, members removed. At every moment nothing goes in clear; once it is calm all reach all
 * within a bounded time, by the way that their routers let them. `SIM_SEED=17 npx vitest run --project sim test/sim/nat-chaos.test.ts`.
 */
import { expect, it } from 'vitest';
import { networkRequest } from '../fixtures/network-request.ts';
import { KEEPER } from './admission.ts';
import type { FakeRouter, NatKind } from './fake-underlay.ts';
import { addRouter } from './fake-ways.ts';
import { evict, host, live, newWorld, pick, type WeightedStep, type World } from './history.ts';
import { checkAgainstTruth } from './oracle.ts';
import { checkSecrecy, checkWays, untilAllReach } from './oracle-ways.ts';
import { seedsOf } from './seeds.ts';
import { SimulatedCluster } from './simulated-cluster.ts';

const SEEDS = seedsOf(40);
const STEPS = 40;
/** A relay is missed, another one taken; an attempt that fails meanwhile. */
const RECOVERY_MS = 30_000;
/** The longest pause between two attempts past a relay, and two of them. */
const SETTLING_MS = 260_000;
const forever = new AbortController().signal;

const routersOf = ({ cluster }: World): FakeRouter[] => [...cluster.tunnels.underlay.routers];
const router = (world: World): FakeRouter => pick(world, routersOf(world))!;

function kind({ random }: World): NatKind {
  return random.next() < 0.6 ? 'cone' : 'symmetric';
}

/** Nobody else has it: what is sent to an address gets to one router. */
function freeAddress(world: World): string {
  const taken = new Set(routersOf(world).map(({ address }) => address));
  const first = Math.floor(world.random.next() * 100);
  const free = Array.from({ length: 100 }, (_, at) => `203.0.113.${100 + ((first + at) % 100)}`);
  return free.find((address) => !taken.has(address))!;
}

function nothing(done: unknown): undefined {
  void done;
}

const STEPS_OF_LIFE: readonly WeightedStep[] = [
  [3, 'an agent is killed', (world) => host(world)?.crash()],
  [2, 'an agent stops', (world) => host(world)?.end()],
  [
    4,
    'an agent starts',
    (world) =>
      pick(
        world,
        world.cluster.hosts.filter(({ member }) => !member),
      )?.start(),
  ],
  [2, 'a device ends', (world) => nothing(host(world)?.wireguard.crash('ovlwg0'))],
  [3, 'a router forgets', (world) => nothing(router(world).forget())],
  [2, 'a router gets another address', (world) => nothing(router(world).changeAddress(freeAddress(world)))],
  [
    1,
    'a router is replaced by one that maps otherwise',
    (world) => {
      const one = router(world);
      one.kind = kind(world);
      return nothing(one.forget());
    },
  ],
  [
    1,
    'a router is off, or on again',
    (world) => {
      router(world).isOn = world.random.next() < 0.5;
      return undefined;
    },
  ],
  [
    2,
    'two hosts are cut from each other',
    (world) => {
      const [a, b] = [pick(world, world.cluster.hosts)!, pick(world, world.cluster.hosts)!];
      const { reaches } = world.cluster.tunnels;
      const [from, to] = [a.wireguard, b.wireguard];
      world.cluster.tunnels.reaches = (one, other) =>
        reaches(one, other) && !(one === from && other === to) && !(one === to && other === from);
      return undefined;
    },
  ],
  [
    2,
    'all are joined again',
    ({ cluster }) => {
      cluster.tunnels.reaches = () => true;
      return nothing(cluster.heal());
    },
  ],
  [1, 'etcd falls silent', ({ cluster }) => nothing(cluster.etcd.stop('silent'))],
  [2, 'etcd is back', ({ cluster }) => nothing(cluster.etcd.start())],
  [1, 'a host does not reach etcd', (world) => nothing(pick(world, world.cluster.hosts.slice(1))?.store.cut())],
  [
    1,
    'a wall clock is set',
    (world) => {
      pick(world, world.cluster.hosts)!.skewMs = Math.round((world.random.next() - 0.5) * 20_000);
      return undefined;
    },
  ],
  [
    1,
    'a key is exchanged',
    (world) => host(world)?.running.wireguard.rotation.rotate({ force: false }, () => {}, forever),
  ],
  [
    1,
    'a host joins',
    (world) => {
      const { cluster, random } = world;
      if (cluster.hosts.length >= 6 || cluster.etcd.fault !== undefined) return undefined;
      return cluster.join(random.next() < 0.7 ? router(world) : undefined);
    },
  ],
  [
    1,
    'a dead host is removed',
    (world) => {
      const { cluster } = world;
      const by = cluster.running.find(({ record }) => record.id === KEEPER);
      const dead = cluster.hosts.find(
        ({ member, record, wireguard }) => !member && record.id !== KEEPER && wireguard.router,
      );
      if (!by || !dead || cluster.hosts.length < 4) return undefined;
      dead.kernel.reset();
      dead.wireguard.vanish();
      cluster.hosts.splice(cluster.hosts.indexOf(dead), 1);
      world.evicted.push(dead);
      return evict(by, dead);
    },
  ],
];

/** As it is to be when nothing is wrong any more. */
async function calm(world: World): Promise<void> {
  const { cluster } = world;
  cluster.tunnels.reaches = () => true;
  for (const each of routersOf(world)) each.isOn = true;
  cluster.etcd.start();
  cluster.heal();
  for (const wanted of [0, 20_000]) {
    await cluster.clock.advance(wanted);
    for (const each of cluster.hosts) if (!each.member) await each.start();
  }
  const [by] = cluster.hosts;
  for (const gone of world.evicted) await cluster.clock.until(evict(by!, gone));
}

it.each(SEEDS)('seed %i: all reach all, by the way that is there, and nothing goes in clear', async (seed) => {
  const cluster = new SimulatedCluster({ seed, loss: seed % 3 === 0 ? 0.02 : 0 });
  await cluster.start(2 + (seed % 2));
  const world = newWorld(cluster);
  for (let each = 0; each < 2 + (seed % 3 === 0 ? 1 : 0); each++) {
    await cluster.clock.until(cluster.join(addRouter(cluster, kind(world))));
  }
  const { networks } = cluster.hosts[0]!.running;
  await cluster.clock.until(networks.create(networkRequest('safe', { options: { encrypted: '' } })));
  for (const each of cluster.hosts) {
    const wanted = { network: 'safe', container: each.addContainer(), aliases: [] };
    await cluster.clock.until(each.running.endpoints.connect(wanted));
  }
  const unexpected = await live(world, STEPS_OF_LIFE, STEPS, () => checkSecrecy(cluster));
  await calm(world);
  expect(unexpected).toEqual([]);
  await untilAllReach(cluster, RECOVERY_MS);
  await cluster.clock.advance(SETTLING_MS);
  await untilAllReach(cluster, 5_000);
  checkWays(cluster);
  await checkAgainstTruth(cluster);
  await cluster.stop();
});
