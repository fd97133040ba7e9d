/**
 * Random histories over an etcd that goes back in time: now and then it is put back to what it held a while ago, with its
 * revision as it was or far ahead, under whatever else happens. What lives stays up, whatever etcd lacks; what has no place in it
 * is the user's to decide, and all agree then.
 */
import { expect, it } from 'vitest';
import { keys } from '../../src/core/records.ts';
import { exposingOf, isOfHost } from './exposures.ts';
import { begin, calm, fill, live, newWorld, type WeightedStep, type World } from './history.ts';
import { FATE } from './history-fate.ts';
import { USERS } from './history-users.ts';
import { checkQuiet } from './invariants.ts';
import { seedsOf } from './seeds.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';
import { truthOf } from './truth.ts';

const SEEDS = seedsOf(25);
const STEPS = 50;
/** Nobody is removed for good: a backup would bring him back. */
const NOT_HERE = ['a dead host is removed', 'a host joins'];
const LIFE = [...USERS, ...FATE].filter(([, name]) => !NOT_HERE.includes(name));

type Backup = ReturnType<SimulatedCluster['etcd']['backUp']>;

function restores(backups: Backup[]): readonly WeightedStep[] {
  return [
    [2, 'back up', ({ cluster }) => void backups.push(cluster.etcd.backUp())],
    [
      1,
      'restore',
      ({ cluster, random }) => {
        const backup = backups[Math.floor(random.next() * backups.length)];
        if (!backup) return undefined;
        const raised = random.next() < 0.3 ? cluster.etcd.revision + 1_000_000_000 : undefined;
        cluster.etcd.restore(backup, raised);
        // Of a later life of the store nothing is known in this one.
        backups.splice(backups.indexOf(backup) + 1);
        return undefined;
      },
    ],
  ];
}

/** What a person does that reads of it in `overlayd status`: lets go of containers that have no place in etcd any more. */
async function decide({ cluster }: World): Promise<void> {
  for (const host of cluster.running) {
    for (const { record, container } of host.running.local.all()) {
      const network = truthOf(cluster.etcd).networks.find(({ id }) => id === record.networkId);
      const hasPlace = record.addresses.every(({ subnet }) => network?.subnets.some(({ cidr }) => cidr === subnet));
      if (hasPlace && cluster.etcd.entries(keys.endpoint(record)).length > 0) continue;
      const gone: Promise<unknown> = isOfHost(record)
        ? exposingOf(host).unexpose(record.networkId)
        : host.running.endpoints.disconnect(record.networkId, container.text, true);
      await cluster.clock.until(gone).catch(() => undefined);
    }
  }
}

const shownOf = (host: SimulatedHost) =>
  host.running.local
    .all()
    .map(({ record }) => `${record.networkId} ${record.name}`)
    .sort();

it.each(SEEDS)('seed %i: nothing that lives is taken down, and all agree when it is decided', async (seed) => {
  const cluster = new SimulatedCluster({ seed: 10_000 + seed, loss: seed % 3 === 0 ? 0.05 : 0 });
  await cluster.start(2 + (seed % 3));
  const world = newWorld(cluster);
  await begin(world);
  const backups: Backup[] = [];
  const unexpected = await live(world, [...LIFE, ...restores(backups)], STEPS, () => undefined);
  await calm(world);
  expect(unexpected).toEqual([]);
  // A last one, of which nothing else disturbs what comes.
  await fill(world);
  const backup = backups.at(-1);
  if (backup) {
    const before = cluster.running.map(shownOf);
    cluster.etcd.restore(backup);
    await cluster.clock.advance(40_000);
    expect(cluster.running.map(shownOf)).toEqual(before);
  }
  await decide(world);
  await cluster.clock.advance(200_000);
  await decide(world);
  await cluster.clock.advance(200_000);
  for (const host of cluster.running) expect(host.running.view.behind, host.record.name).toBe(false);
  await checkQuiet(cluster);
  await cluster.stop();
});
