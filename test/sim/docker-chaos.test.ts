/**
 * Random histories of Docker engines from seeds: what users and fate do to containers, engines, agents and etcd. Once it
 * is quiet, engines and cluster must agree about everything. `SIM_SEED=17 npx vitest run --project sim
 * test/sim/docker-chaos.test.ts` replays one.
 */
import { expect, it } from 'vitest';
import { DRIVER, NETWORK_OPTION } from '../../src/core/engine/engine.ts';
import { isOverlaydError } from '../../src/core/errors.ts';
import type { Random } from '../../src/ports/runtime.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { checkEnginesQuiet } from './engine-invariants.ts';
import type { AttachmentRequest, FakeContainer } from './fake-containers.ts';
import { checkInvariants } from './invariants.ts';
import { seedsOf } from './seeds.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

const SEEDS = seedsOf(25);
const STEPS = 80;
const NETWORKS = 4;
const forever = new AbortController().signal;

interface World {
  readonly cluster: SimulatedCluster;
  readonly random: Random;
  containers: number;
  macs: number;
}

/** A promise when it takes its time. */
type Step = (world: World) => unknown;

const below = ({ random }: World, count: number): number => Math.floor(random.next() * count);
const pick = <T>(world: World, items: readonly T[]): T | undefined => items[below(world, items.length)];
const host = (world: World): SimulatedHost => pick(world, world.cluster.hosts)!;
const agent = (world: World): SimulatedHost | undefined => pick(world, world.cluster.running);
const networkName = (world: World): string => `n${below(world, NETWORKS)}`;
/** Every other one has both families. */
const isBoth = (name: string): boolean => Number(name.slice(1)) % 2 === 1;
const ipv6SubnetOf = (name: string): string => `fd00:${name.slice(1)}::/64`;
const requestOf = (name: string) =>
  networkRequest(name, isBoth(name) ? { ipv6: true, subnets: [ipv6SubnetOf(name)] } : {});
/** Mostly one that the engine has. */
const networkAt = (world: World, { engine }: SimulatedHost): string =>
  (world.random.next() < 0.9 ? pick(world, [...engine.objects.values()])?.name : undefined) ?? networkName(world);

function attachment(world: World): AttachmentRequest {
  const { random } = world;
  return {
    ...(random.next() < 0.3 ? { aliases: [`a${below(world, 3)}`, 'Not valid!'] } : {}),
    ...(random.next() < 0.1 ? { ip: `10.0.${below(world, NETWORKS)}.${100 + below(world, 5)}` } : {}),
    ...(random.next() < 0.1 ? { ip6: `fd00:${below(world, NETWORKS)}::${100 + below(world, 5)}` } : {}),
    ...(random.next() < 0.3 ? { mac: `02:42:aa:00:00:${(world.macs++ % 256).toString(16).padStart(2, '0')}` } : {}),
    // What follows from an address that another one may get.
    ...(random.next() < 0.1 ? { mac: `02:42:0a:00:0${below(world, NETWORKS)}:0${below(world, 8) + 2}` } : {}),
  };
}

function container(world: World, at: SimulatedHost, which: (found: FakeContainer) => boolean = () => true) {
  return pick(world, [...at.engine.containers.values()].filter(which))?.name;
}

const STEPS_BY_WEIGHT: readonly (readonly [weight: number, name: string, step: Step])[] = [
  [2, 'overlayd network create', (world) => agent(world)?.running.networks.create(requestOf(networkName(world)))],
  [
    1,
    'overlayd network rm',
    (world) => {
      const at = agent(world);
      const network = at && pick(world, at.running.networks.list());
      return network && at.running.networks.remove(network.id, forever);
    },
  ],
  [
    2,
    'docker network create',
    (world) => {
      const name = networkName(world);
      const ipamOptions = { [NETWORK_OPTION]: name };
      const spec = { name, driver: DRIVER, ipamDriver: DRIVER, internal: false, labels: {}, options: {}, ipamOptions };
      const ipv6 = isBoth(name) ? { ipv6: true, ipv6Subnet: { cidr: ipv6SubnetOf(name) } } : {};
      return host(world).engine.createNetworkAs({ ...spec, ...ipv6 });
    },
  ],
  [
    1,
    'docker compose up, with a network of its own',
    (world) => {
      const net = networkName(world);
      const spec = {
        driver: DRIVER,
        ipamDriver: DRIVER,
        internal: false,
        labels: {},
        ipamOptions: {},
        ipv6: isBoth(net),
      };
      return host(world).engine.createNetworkAs({ ...spec, name: `shop_${net}`, options: { [NETWORK_OPTION]: net } });
    },
  ],
  [1, 'docker compose down', (world) => host(world).engine.removeNetworkAs(`shop_${networkName(world)}`)],
  [1, 'docker network rm', (world) => host(world).engine.removeNetworkAs(networkName(world))],
  [
    16,
    'docker run',
    (world) => {
      const at = host(world);
      const networks = { [networkAt(world, at)]: attachment(world) };
      if (world.random.next() < 0.4) networks[networkAt(world, at)] = attachment(world);
      const publishesPorts = world.random.next() < 0.2;
      const restarts = world.random.next() < 0.4;
      const withoutIpv6 = world.random.next() < 0.1;
      return at.engine.run(`c${world.containers++}`, { networks, publishesPorts, restarts, withoutIpv6 });
    },
  ],
  [
    3,
    'docker start',
    (world) => {
      const at = host(world);
      const name = container(world, at, ({ pid }) => pid === 0);
      return name === undefined ? undefined : at.engine.startContainer(name);
    },
  ],
  [
    3,
    'docker stop',
    (world) => {
      const at = host(world);
      const name = container(world, at);
      return name === undefined ? undefined : at.engine.stopContainer(name);
    },
  ],
  [
    2,
    'docker rm',
    (world) => {
      const at = host(world);
      const name = container(world, at);
      return name === undefined ? undefined : at.engine.removeContainer(name);
    },
  ],
  [
    2,
    'a container ends by itself',
    (world) => {
      const at = host(world);
      const name = container(world, at);
      if (name !== undefined) at.engine.crashContainer(name);
    },
  ],
  [
    2,
    'docker rename',
    (world) => {
      const at = host(world);
      const name = container(world, at);
      return name === undefined ? undefined : at.engine.renameContainer(name, `c${world.containers++}`);
    },
  ],
  [
    3,
    'docker network connect',
    (world) => {
      const at = host(world);
      const name = container(world, at);
      return name === undefined ? undefined : at.engine.connectAs(networkAt(world, at), name, attachment(world));
    },
  ],
  [
    3,
    'docker network disconnect',
    (world) => {
      const at = host(world);
      const name = container(world, at);
      return name === undefined ? undefined : at.engine.disconnectAs(networkAt(world, at), name);
    },
  ],
  [
    2,
    'overlayd network connect of a Docker container',
    (world) => {
      const at = agent(world);
      const name = at && container(world, at);
      const network = at && pick(world, at.running.networks.list());
      const options = { aliases: ['b'], ip: undefined, mac: undefined };
      if (!network || name === undefined) return undefined;
      return at.engineSide?.containers.connect(network, name, options);
    },
  ],
  [
    2,
    'overlayd network connect of a namespace',
    (world) => {
      const at = agent(world);
      const network = at && pick(world, at.running.networks.list());
      if (!network) return undefined;
      return at.running.endpoints.connect({ network: network.id, container: at.addContainer(), aliases: [] });
    },
  ],
  [2, 'kill an engine', (world) => host(world).engine.kill()],
  [6, 'start an engine', (world) => void host(world).engine.start()],
  [2, 'kill an agent', (world) => agent(world)?.crash()],
  [
    6,
    'start an agent',
    (world) =>
      pick(
        world,
        world.cluster.hosts.filter((each) => !each.member),
      )?.start(),
  ],
  [1, 'cut the power', (world) => agent(world)?.reboot()],
  [
    2,
    'cut a host off',
    (world) => {
      const at = host(world);
      const others = world.cluster.hosts.filter((other) => other !== at);
      world.cluster.partition([at], others, world.random.next() < 0.7 ? [at] : []);
    },
  ],
  [4, 'lose an answer of etcd', (world) => host(world).store.loseReplies()],
  [1, 'etcd falls silent', ({ cluster }) => cluster.etcd.stop('silent')],
  [2, 'etcd is back', ({ cluster }) => cluster.etcd.start()],
  [3, 'heal', ({ cluster }) => cluster.heal()],
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

it.each(SEEDS)('seed %i: engines and cluster agree when it is quiet', async (seed) => {
  const cluster = new SimulatedCluster({ seed, loss: seed % 3 === 0 ? 0.05 : 0, engines: true });
  await cluster.start(2 + (seed % 2));
  for (const host of cluster.hosts) {
    host.stateFile.ms = 1 + (seed % 7) * 3;
    host.runFile.ms = seed % 3;
  }
  for (const { engine, line } of cluster.hosts) {
    line.repeats = seed % 5 === 0 ? 0.3 : 0;
    engine.liveRestore = seed % 7 === 0;
  }
  const world: World = { cluster, random: cluster.random, containers: 0, macs: 0 };
  const unexpected: unknown[] = [];
  for (const name of ['n0', 'n1']) {
    await cluster.clock.until(pick(world, cluster.running)!.running.networks.create(requestOf(name)));
  }
  for (let i = 0; i < STEPS; i++) {
    const [, , step] = choose(world.random);
    const result = step(world);
    if (result instanceof Promise) {
      result.catch(expectRefusal).catch((error: unknown) => unexpected.push(error));
    }
    await cluster.clock.advance(world.random.next() < 0.6 ? world.random.next() * 20 : world.random.next() * 4_000);
    checkInvariants(cluster);
  }
  cluster.etcd.start();
  cluster.heal();
  for (const each of cluster.hosts) if (!each.member) await each.start();
  for (const each of cluster.hosts) void each.engine.start();
  await cluster.clock.advance(240_000);
  expect(unexpected).toEqual([]);
  await checkEnginesQuiet(cluster);
  await cluster.stop();
});
