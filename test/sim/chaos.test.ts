/**
 * Random histories from seeds: everything that users and fate do to a cluster, with the invariants checked after every
 * step and full agreement demanded once it is quiet. A failing seed replays exactly: `SIM_SEED=17 npx vitest
 * run --project sim test/sim/chaos.test.ts`.
 */
import { expect, it } from 'vitest';
import { begin, calm, fill, live, newWorld } from './history.ts';
import { FATE } from './history-fate.ts';
import { USERS } from './history-users.ts';
import { checkInvariants, checkQuiet } from './invariants.ts';
import { seedsOf } from './seeds.ts';
import { SimulatedCluster } from './simulated-cluster.ts';
import { slowLooks } from './slow-looks.ts';

const SEEDS = seedsOf(100);
const STEPS = 60;

it.each(SEEDS)('seed %i: no address twice at any moment, equal tables and no leaks when it is quiet', async (seed) => {
  const [loss, etcdMs] = [seed % 3 === 0 ? 0.05 : 0, seed % 5 === 0 ? 40 : 0];
  const cluster = new SimulatedCluster({ seed, loss, etcdMs, family: seed % 4 === 0 ? 6 : 4 });
  await cluster.start(2 + (seed % 4));
  for (const host of cluster.hosts) {
    host.stateFile.ms = 1 + (seed % 7) * 3;
    host.runFile.ms = seed % 3;
    if (seed % 7 === 0) slowLooks(host, 25);
  }
  const world = newWorld(cluster);
  await begin(world);
  const unexpected = await live(world, [...USERS, ...FATE], STEPS, () => checkInvariants(cluster));
  await calm(world);
  expect(unexpected).toEqual([]);
  await checkQuiet(cluster);
  await fill(world);
  await checkQuiet(cluster);
  await cluster.stop();
});
