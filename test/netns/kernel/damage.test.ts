/**
 * The real kernel is damaged while the reconciler works on it: once it is quiet, it holds what a kernel in memory holds that
 * was never damaged, and another agent writes nothing. Choices come from the seed; what happens when, the machine decides.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { desired } from '../../../src/core/desired.ts';
import { HOST, type NamespaceState, type Observed, type Place } from '../../../src/core/host-state.ts';
import { isNetworkNamespace } from '../../../src/core/plan/naming.ts';
import { plan } from '../../../src/core/plan.ts';
import type { NetworkRecord } from '../../../src/core/records.ts';
import { chooseDamage } from '../../contract/damage.ts';
import { contentOf } from '../../contract/kernel-bench.ts';
import type { Host } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { until } from '../../lab/until.ts';
import { seededRandom } from '../../sim/seeded-random.ts';
import { seedsOf } from '../../sim/seeds.ts';
import { undamaged } from '../../sim/undamaged.ts';
import { interrupted } from './interrupted.ts';
import { openKernel } from './kernel-host.ts';
import { chooseMischief, commit } from './mischief.ts';
import { Station } from './station.ts';

const SEEDS = seedsOf(12);
const STEPS = 30;
const MOST_CONTAINERS = 8;
/** So often the op of a plan is preceded by damage. */
const BETWEEN = 0.05;

let lab: Lab;
let host: Host;
let station: Station;
let networks: readonly NetworkRecord[];
/** Somebody else with root. */
let other: ReturnType<typeof openKernel>['kernel'];
let last = 0;
/** Undefined: plans are not interrupted. */
let interrupting: ReturnType<typeof seededRandom> | undefined;

beforeAll(async () => {
  lab = await Lab.open({ hosts: 1 });
  host = lab.host(1);
  const between = async () => {
    const random = interrupting;
    if (random && random.next() < BETWEEN) await damage(random).catch(() => undefined);
  };
  station = new Station(host, { through: (kernel) => interrupted(kernel, between) });
  other = openKernel(host).kernel;
  const { world } = station;
  world.addNode('h1', host.address);
  world.addNode('h2', '10.77.0.2');
  world.addNode('h3', '10.77.0.3', { dataPathPort: 4790 });
  networks = [0, 1, 2].map((index) =>
    world.addNetwork(`n${index}`, {
      ...{ vni: 4_096 + index, cidr: `10.${index}.0.0/16`, gateway: `10.${index}.0.1` },
      internal: index === 2,
      options: index === 1 ? { multicast: 'true' } : {},
    }),
  );
  station.start();
});

afterAll(async () => {
  await station?.stop();
  await lab?.close();
});

function nextAddress({ subnets }: NetworkRecord): string {
  last += 1;
  return subnets[0]!.gateway.replace(/0\.1$/, `${(last + 1) >> 8}.${(last + 1) & 255}`);
}

function pick<T>(random: ReturnType<typeof seededRandom>, items: readonly T[]): T | undefined {
  return items[Math.floor(random.next() * items.length)];
}

async function look(): Promise<{ wanted: ReturnType<typeof desired>; observed: Observed }> {
  const { world } = station;
  const wanted = desired({ view: world, self: world.self, local: [...world.local.values()] });
  const containers = [...world.local.values()].map(({ container }) => container);
  const names = networks.map(({ vni }) => `ovl-${vni}`);
  return { wanted, observed: await other.observe({ host: true, networks: names, containers, ports: [] }) };
}

async function damage(random: ReturnType<typeof seededRandom>): Promise<void> {
  const { observed } = await look();
  const states = new Map<Place, NamespaceState>(observed.networks);
  if (observed.host) states.set(HOST, observed.host);
  // One of the containers: there may be more of them than of all the rest.
  const { container } = pick(random, [...station.world.local.values()]) ?? {};
  const inside = container && observed.containers.get(container.identity);
  if (inside && inside !== 'gone') states.set(container.path, inside);
  if (random.next() < 0.5) {
    const mischief = chooseMischief(random, states);
    if (mischief) await commit(host, mischief);
    return;
  }
  const op = chooseDamage(random, states);
  if (!op) return;
  // What is not there any more is damaged already.
  const planned = { op, reason: 'update', network: undefined, endpointId: undefined } as const;
  await other.apply({ stages: [{ essential: false, ops: [planned] }], gone: [] });
}

function step(random: ReturnType<typeof seededRandom>): Promise<unknown> {
  const { world, reconciler } = station;
  const network = networks[Math.floor(random.next() * networks.length)]!;
  const choice = random.next();
  if (choice < 0.2 && world.local.size < MOST_CONTAINERS) {
    const name = `c${++last}`;
    return host.container(name).then(() => station.attach(network, nextAddress(network), name));
  }
  if (choice < 0.3) {
    world.addRemote(network, random.next() < 0.5 ? 'h2' : 'h3', nextAddress(network));
    return reconciler.converge(network.id);
  }
  if (choice < 0.4) {
    const record = pick(random, [...world.endpointRecords.values()]);
    if (!record) return Promise.resolve();
    world.remove(record.id);
    return reconciler.converge(record.networkId);
  }
  if (choice < 0.43) {
    const endpoint = pick(random, [...world.local.values()]);
    return endpoint ? host.deleteContainer(endpoint.container.text.slice('netns:'.length)) : Promise.resolve();
  }
  return damage(random);
}

it.each(SEEDS)('seed %i: is as if nothing had happened', async (seed) => {
  const random = seededRandom(seed);
  // Two at a time: each is done in the midst of what the other brings about.
  const some = async () => {
    for (let count = 0; count < STEPS / 2; count++) await step(random).catch(() => undefined);
  };
  interrupting = random;
  await Promise.all([some(), some()]);
  interrupting = undefined;
  await until('nothing to be wanted', async () => {
    const { wanted, observed } = await look();
    const { stages, gone } = plan(wanted, observed, { provesAbsence: true });
    const kinds = stages.flatMap(({ ops }) => ops.map(({ op }) => op.kind));
    if (kinds.length > 0 || gone.length > 0) {
      const problems = station.reconciler.status().problems.join('; ');
      throw new Error(`${kinds.join(', ')}; ${gone.length} are gone; ${problems}`);
    }
    // A port goes a while after the name of its container's namespace, and the endpoint with it.
    const ended = [...observed.containers].filter(([, inside]) => inside === 'gone');
    if (ended.length > 0) throw new Error(`${ended.length} that ended are still here`);
    return true;
  });
  await station.quiet();
  const { world } = station;
  const { machine } = await undamaged(world);
  const { observed } = await look();
  const places = machine.places().filter(isNetworkNamespace);
  expect([...observed.networks.keys()].sort()).toEqual(places.sort());
  for (const place of places) {
    expect(contentOf(observed.networks.get(place)!)).toEqual(contentOf(machine.snapshot(place)!));
  }
  expect(station.reconciler.status().problems).toEqual([]);
  await station.restart();
  await until('another agent to have looked', () => station.reconciler.status().passes > 0);
  await station.quiet();
  expect(station.reconciler.status()).toMatchObject({ writes: 0, problems: [] });
});
