/**
 * Random histories from seeds: everything that users and fate do to a cluster, with the invariants checked after every
 * step and full agreement demanded once it is quiet. A failing seed replays exactly: `SIM_SEED=17 npx vitest
 * run --project sim test/sim/chaos.test.ts`.
 */
import { expect, it } from 'vitest';
import { proposedMac } from '../../src/core/endpoint-mac.ts';
import { isOverlaydError } from '../../src/core/errors.ts';
import type { Random } from '../../src/ports/runtime.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { checkInvariants, checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

const SEEDS = process.env.SIM_SEED
  ? [Number(process.env.SIM_SEED)]
  : Array.from({ length: Number(process.env.SIM_SEEDS ?? 100) }, (_, i) => i + 1);
const STEPS = 60;
const FAMILIES = [
  { ipv4: true, ipv6: false },
  { ipv4: true, ipv6: true },
  { ipv4: false, ipv6: true },
] as const;
/** Of IPv4 and of IPv6, few addresses each. */
const SUBNETS = (nth: number) => [`10.${nth}.0.0/28`, `fd00:0:0:${nth}::/124`];
const forever = new AbortController().signal;

interface World {
  readonly cluster: SimulatedCluster;
  readonly random: Random;
  networks: number;
}

type Step = (world: World) => Promise<unknown> | undefined;

const pick = <T>({ random }: World, items: readonly T[]): T | undefined =>
  items[Math.floor(random.next() * items.length)];
const host = (world: World): SimulatedHost | undefined => pick(world, world.cluster.running);

const STEPS_BY_WEIGHT: readonly (readonly [weight: number, name: string, step: Step])[] = [
  [
    2,
    'create',
    (world) => {
      const name = `n${world.networks++ % 6}`;
      const asked = world.random.next() < 0.3 ? Math.floor(world.random.next() * 3) : undefined;
      const families = pick(world, FAMILIES)!;
      const subnets =
        asked === undefined ? [] : SUBNETS(asked).filter((_, at) => (at === 0 ? families.ipv4 : families.ipv6));
      const options: Record<string, string> = {
        ...(/[14]/.test(name) && { multicast: 'true' }),
        ...(/[25]/.test(name) && { sticky: 'true' }),
      };
      return host(world)?.running.networks.create(networkRequest(name, { ...families, subnets, options }));
    },
  ],
  [
    1,
    'remove',
    (world) => {
      const at = host(world);
      const network = at && pick(world, at.running.networks.list());
      return network && at.running.networks.remove(network.id, forever);
    },
  ],
  [
    10,
    'connect',
    (world) => {
      const at = host(world);
      const network = at && pick(world, at.running.networks.list());
      if (!network) return undefined;
      const aliases = world.random.next() < 0.5 ? ['shared'] : [];
      const wanted = { network: network.id, container: at.addContainer(), aliases };
      // In the first subnets, the MAC that follows from an address that another one may get, or is proposed for it.
      const last = 2 + Math.floor(world.random.next() * 8);
      const isSix = world.random.next() < 0.5;
      const mac =
        world.random.next() < 0.2 ? { mac: isSix ? proposedMac(`fd00::${last}`) : `02:42:0a:00:00:0${last}` } : {};
      const ip6 = world.random.next() < 0.1 ? { ip6: `fd00::${last}` } : {};
      const name = world.random.next() < 0.3 ? { name: pick(world, ['db', 'api', 'web'])! } : {};
      return at.running.endpoints.connect({ ...wanted, ...mac, ...ip6, ...name });
    },
  ],
  [
    5,
    'disconnect',
    (world) => {
      const at = host(world);
      const endpoint = at && pick(world, at.running.local.all());
      return endpoint && at.running.endpoints.disconnect(endpoint.record.networkId, endpoint.container.text, false);
    },
  ],
  [
    2,
    'kill a container',
    (world) => {
      const at = host(world);
      const endpoint = at && pick(world, at.running.local.all());
      if (endpoint) at.killContainer(endpoint.container.text);
      return undefined;
    },
  ],
  [2, 'kill an agent', (world) => host(world)?.crash()],
  [1, 'cut the power', (world) => host(world)?.reboot()],
  [
    3,
    'start an agent',
    (world) =>
      pick(
        world,
        world.cluster.hosts.filter((each) => !each.member),
      )?.start(),
  ],
  [
    2,
    'cut a host off',
    (world) => {
      const at = pick(world, world.cluster.hosts);
      if (at)
        world.cluster.partition(
          [at],
          world.cluster.hosts.filter((other) => other !== at),
          world.random.next() < 0.7 ? [at] : [],
        );
      return undefined;
    },
  ],
  [
    2,
    'lose an answer of etcd',
    (world) => {
      host(world)?.store.loseReplies();
      return undefined;
    },
  ],
  [
    1,
    'etcd falls silent',
    (world) => {
      world.cluster.etcd.stop('silent');
      return undefined;
    },
  ],
  [
    2,
    'etcd is back',
    (world) => {
      world.cluster.etcd.start();
      return undefined;
    },
  ],
  [
    1,
    'set a wall clock',
    (world) => {
      const at = pick(world, world.cluster.hosts);
      if (at) at.skewMs += Math.round((world.random.next() - 0.5) * 2 * 86_400_000);
      return undefined;
    },
  ],
  [
    3,
    'heal',
    (world) => {
      world.cluster.heal();
      return undefined;
    },
  ],
];

function choose(random: Random): readonly [number, string, Step] {
  const total = STEPS_BY_WEIGHT.reduce((sum, [weight]) => sum + weight, 0);
  let left = random.next() * total;
  for (const entry of STEPS_BY_WEIGHT) {
    left -= entry[0];
    if (left < 0) return entry;
  }
  return STEPS_BY_WEIGHT[0]!;
}

/** Refusals are part of life; anything that is not one of ours is a bug. */
function expectRefusal(error: unknown): void {
  if (!isOverlaydError(error) || error.code === 'internal') throw error;
}

it.each(SEEDS)('seed %i: no address twice at any moment, equal tables and no leaks when it is quiet', async (seed) => {
  const cluster = new SimulatedCluster({ seed, loss: seed % 3 === 0 ? 0.05 : 0, family: seed % 4 === 0 ? 6 : 4 });
  await cluster.start(2 + (seed % 4));
  for (const host of cluster.hosts) {
    host.stateFile.ms = 1 + (seed % 7) * 3;
    host.runFile.ms = seed % 3;
  }
  const world: World = { cluster, random: cluster.random, networks: 0 };
  const unexpected: unknown[] = [];
  for (let i = 0; i < STEPS; i++) {
    const [, , step] = choose(world.random);
    const result = step(world);
    result?.catch(expectRefusal).catch((error: unknown) => unexpected.push(error));
    await cluster.clock.advance(world.random.next() < 0.5 ? world.random.next() * 20 : world.random.next() * 4_000);
    checkInvariants(cluster);
  }
  cluster.etcd.start();
  cluster.heal();
  for (const each of cluster.hosts) if (!each.member) await each.start();
  // What a killed agent was in the middle of never ends; everything else has long ended by then.
  await cluster.clock.advance(150_000);
  expect(unexpected).toEqual([]);
  await checkQuiet(cluster);
  await cluster.stop();
});
